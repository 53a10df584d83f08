"""What trials have cost."""

from __future__ import annotations

from study.record.costs import gpu_hours, saved_seconds, trial_seconds


def test_what_was_saved_is_counted(play, plan_of):
    trials = list(play(plan_of("--plan", "table1")).ledger.trials.values())
    assert saved_seconds(trials) == (0, 0.0)
    trials[1].steps[1]["saved_seconds"] = 60.0
    trials[1].steps[2]["saved_seconds"] = 30.0
    assert saved_seconds(trials) == (1, 90.0)


def test_what_was_spent_adds_up_over_trials(play, plan_of):
    first, second, taken = play(plan_of("--plan", "table1")).ledger.trials.values()
    for trial in (first, second, taken):
        trial.steps[1] |= {"seconds_train": 40.0, "seconds_features": 2.0, "saved_seconds": 7.0}
    taken.reused = "study other, trial 0"
    first.gpu_seconds, second.gpu_seconds = 1800.0, 900.0
    assert trial_seconds([first, second, taken]) == 84.0
    assert gpu_hours([first, second, taken]) == 0.75
