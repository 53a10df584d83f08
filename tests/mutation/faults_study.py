"""Faults in what runs a study: `study` and `search_spaces`. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

STUDY: list[Mutant] = [
    *of(
        "stages",
        "study/record/stages.py",
        "tests/study/record/test_stages.py::test_later_stages_are_named_by_merges_and_by_what_acts_between",
        (
            "alpha of the stage itself left out",
            "step) for step in range(1, stage + 1)",
            "step) for step in range(1, stage)",
            "tests/study/record/test_stages.py::test_what_acts_at_once_names_another_first_stage",
        ),
        (
            "only the newest merge names a stage",
            "for labels in labels_history:",
            "for labels in labels_history[-1:]:",
            "tests/study/record/test_stages.py::test_a_stage_is_named_by_every_merge_before_it",
        ),
        ("data and code not in a stage's name", "{where} {json.dumps", "{json.dumps"),
        (
            "later epochs have no part in the second stage",
            "(_FROM_STAGE_2 if stage == 1 else ())",
            "(_FROM_STAGE_2 if stage <= 2 else ())",
        ),
    ),
    *of(
        "stages",
        "study/worker/shared_stages.py",
        "tests/study/worker/test_shared_stages.py::test_trials_that_share_equal_trials_that_do_not",
        (
            "a stage more is shared",
            "algorithm.steps_done >= self.stages",
            "algorithm.steps_done > self.stages",
        ),
        (
            "a GPU's stages for a CPU",
            "algorithm.ranks, algorithm.device.type",
            'algorithm.ranks, "cpu"',
            "tests/study/worker/test_shared_stages.py::test_a_stage_is_taken_over_on_the_same_kind_of_device_and_data_only",
        ),
    ),
    *of(
        "stages",
        "study/decide/sharing.py",
        "tests/study/decide/test_sharing.py::test_who_shares",
        ("shared with oneself", "self._keys[key] > 1", "self._keys[key] >= 1"),
        (
            "waits a step longer than the stages",
            "trial.last_step < stages and",
            "trial.last_step <= stages and",
            "tests/study/decide/test_sharing.py::test_nobody_waits_longer_than_for_the_stages_that_are_shared",
        ),
        (
            "the first trial takes over too",
            "sum(count - 1 for count in self._keys.values())",
            "sum(count for count in self._keys.values())",
            "tests/study/decide/test_sharing.py::test_how_many_can_take_stages_over",
        ),
    ),
    *of(
        "searcher",
        "study/on_ray/hooks.py",
        "tests/study/on_ray/test_hooks.py",
        ("a crashed trial has left", "if not error:", "if error:"),
        (
            "Tune's own keys are part of a row",
            'if name not in TUNE_KEYS and "/" not in name',
            "if name not in _TUNES_OWN",
        ),
    ),
    *of(
        "searcher",
        "study/decide/session.py",
        "tests/study/decide/test_session.py::test_of_two_bad_trials_the_draw_is_pruned_and_the_paper_goes_on",
        ("the paper's configuration is pruned too", 'if prune and trial.origin == "search":', "if prune:"),
        (
            "the last step has no part in the value",
            "steps=trial.steps | new)",
            "steps=trial.steps)",
            "tests/study/decide/test_session.py::test_the_objective_is_what_optuna_holds",
        ),
        (
            "a trial more than may run",
            "len(self.running) >= self.plan.concurrency",
            "len(self.running) > self.plan.concurrency",
            "tests/study/decide/test_session.py::test_concurrency_is_kept",
        ),
        (
            "the untrained network is not asked for",
            "recorded=trial.last_step,",
            "recorded=max(0, trial.last_step),",
            "tests/study/decide/test_session.py::test_a_trial_has_a_row_of_every_step_and_of_the_untrained_network",
        ),
    ),
    *of(
        "searcher",
        "study/decide/queue.py",
        "tests/study/decide/test_failures.py::test_failed_trials_are_replaced",
        (
            "any failure of five stops",
            "all(trial.state in states for trial in self.latest)",
            "any(trial.state in states for trial in self.latest)",
        ),
        (
            "the same draw again and again",
            "number * _DRAWS + attempt",
            "number * _DRAWS",
            "tests/study/decide/test_queue.py::test_no_configuration_runs_twice",
        ),
    ),
    *of(
        "searcher",
        "study/plan.py",
        "tests/study/record/test_reuse.py::test_results_are_known_for_the_same_configuration_data_and_code_only",
        ("results of other code are known", '{fingerprint} {code}".encode()', '{fingerprint}".encode()'),
        ("results of other data are known", "{config.digest()} {fingerprint} ", "{config.digest()} "),
    ),
    *of(
        "searcher",
        "study/record/reuse.py",
        "tests/study/record/test_reuse.py::test_of_what_failed_nothing_is_known",
        (
            "what failed is known",
            't.digest == digest and t.state != "failed"',
            "t.digest == digest",
        ),
        (
            "the last study counts",
            "self._found.setdefault(trial.digest, Found(source, trial))",
            "self._found.update({trial.digest: Found(source, trial)})",
            "tests/study/record/test_reuse.py::test_the_first_study_that_has_a_result_counts",
        ),
    ),
    *of(
        "Optuna's side",
        "study/search/optuna_study.py",
        "tests/study/decide/test_failures.py::TestDiverged",
        ("what diverged teaches nothing", '"diverged": TrialState.COMPLETE,', '"diverged": TrialState.FAIL,'),
        (
            "the lowest mAP is sought",
            'direction="maximize"',
            'direction="minimize"',
            "tests/study/decide/test_failures.py::TestDiverged::test_the_sampler_learns_to_keep_away",
        ),
        (
            "every draw by the first sampler",
            "self.study.sampler = self.make_sampler(draw)",
            "self.study.sampler = self.make_sampler(0)",
            "tests/study/decide/test_session.py::test_a_study_ends_complete_and_optuna_knows_it",
        ),
        (
            "mAP of the step for the best so far",
            "value = max([value, *trial.curve().values()])",
            "value = max([value])",
            "tests/study/decide/test_session.py::test_the_objective_is_what_optuna_holds",
        ),
    ),
    *of(
        "Optuna's side",
        "study/search/optuna_study.py",
        "tests/study/search/test_optuna_study.py::test_running_trials_of_other_parameters_are_made_again "
        "tests/study/search/test_optuna_study.py::test_a_storage_that_says_something_else_is_made_again",
        ("other parameters of a trial stay", "if frozen.params != trial.params:", "if not frozen.params:"),
        (
            "a trial may stand there twice",
            "if number not in ledger or number in seen:",
            "if number not in ledger:",
        ),
    ),
    *of(
        "Optuna's side",
        "study/search/pruners.py",
        "tests/study/search/test_optuna_study.py::test_every_rung_is_three_times_as_far_as_the_one_before_and_compared_there",
        ("rungs at equal distances", "rung *= _SHARE", "rung += self.first_rung"),
        (
            "one more than a third goes on",
            "values[max(1, len(values) // _SHARE) - 1]",
            "values[max(1, len(values) // _SHARE)]",
            "tests/study/search/test_optuna_study.py::test_halving_keeps_the_best_third_at_rungs_only",
        ),
        (
            "a rung by its newest step",
            "trial.intermediate_values[min(reached)]",
            "trial.intermediate_values[max(reached)]",
        ),
    ),
    *of(
        "Optuna's side",
        "study/search/samplers.py",
        "tests/study/search/test_samplers.py::test_pruned_trials_count_as_no_better_than_the_worst_complete",
        (
            "a pruned trial by its last value alone",
            "TrialState.COMPLETE, worse(last, worst)",
            "TrialState.COMPLETE, last",
        ),
        (
            "a continued study draws its first points again",
            "SeedSequence([seed, n_existing])",
            "SeedSequence([seed, 0])",
            "tests/study/search/test_samplers.py::test_seeds_repeat_a_study_but_not_its_continuation",
        ),
    ),
    *of(
        "Optuna's side",
        "search_spaces/prior.py",
        "tests/search_spaces/test_prior.py",
        (
            "evenly, not log-evenly",
            "FloatDistribution(low, high, log=self.log)}",
            "FloatDistribution(low, high)}",
        ),
        (
            "a grid of even steps",
            "low * (high / low) ** (i / 4) if self.log else",
            "low * (high / low) ** (i / 4) if not self.log else",
        ),
        (
            "the strip for zero above the range",
            "floor = low * (low / high) ** _ZERO_STRIP",
            "floor = low * (low / high) ** (_ZERO_STRIP / 2)",
        ),
    ),
    *of(
        "ledger",
        "study/record/ledger.py",
        "tests/study/record/test_ledger.py",
        (
            "a repeated step counts",
            'if entry["row"]["step"] not in trial.steps:',
            'if entry["row"]["step"] >= 0:',
        ),
        ("a line's end is not read", "self._size += len(line) + 1", "self._size += len(line)"),
        (
            "the worst so far for the best",
            "accumulate(curve.values(), max)",
            "accumulate(curve.values(), min)",
            "tests/study/decide/test_session.py::test_the_objective_is_what_optuna_holds",
        ),
        (
            "diverged where it was last well",
            "return max(self.last_step, 0) + 1 if",
            "return max(self.last_step, 0) if",
            "tests/study/decide/test_failures.py::TestDiverged",
        ),
        (
            "half a line is left on a full disk",
            "os.fstat(self._file.fileno()).st_size - written)",
            "os.fstat(self._file.fileno()).st_size)",
        ),
        (
            "work of others counts as spent",
            "return 0.0 if self.reused else",
            "return 0.0 if not self.steps else",
        ),
    ),
    *of(
        "ledger",
        "study/worker/checkpoints.py",
        "tests/study/worker/test_checkpoints.py",
        ("the best checkpoint is dropped", "if old != best_step:", "if old == best_step:"),
        ("checkpoints of a later life push the new one out", "if old <= step]", "if old >= 0]"),
        ("damaged checkpoints are taken", "if hashlib.sha256(payload).digest() != digest:", "if not digest:"),
    ),
    *of(
        "ledger",
        "study/worker/rows.py",
        "tests/study/worker/test_trainable.py::test_the_checkpoint_kept_as_the_best_is_the_first_of_equals",
        (
            "the latest of equal steps is the best",
            "key=lambda step: (step.mAP, -step.step)",
            "key=lambda step: (step.mAP, step.step)",
        ),
        (
            "steps are reported twice",
            "if step.step > recorded:",
            "if step.step >= recorded:",
            "tests/study/worker/test_trainable.py",
        ),
    ),
    *of(
        "budgets",
        "study/decide/session.py",
        "tests/study/decide/test_session.py::test_gpu_hours_are_of_all_sessions_and_a_larger_number_goes_on",
        ("minutes for hours", ">= 3600 * hours", ">= 60 * hours"),
        (
            "GPU hours of trials that have ended",
            "sum(t.gpu_seconds for t in self.ledger.trials.values())",
            "sum(t.gpu_seconds for t in self.ledger.trials.values() if t.ended)",
        ),
        (
            "time budget from the first session on",
            "time.time() - self.began > budget",
            'time.time() - self.ledger.sessions[0]["time"] > budget',
            "tests/study/decide/test_session.py::test_a_time_budget_is_that_of_one_session",
        ),
        (
            "a failure while stopping is the trial's",
            "if running is not None and self.stopping is None:",
            "if running is not None:",
            "tests/study/decide/test_failures.py::test_what_fails_while_stopping_is_resumed",
        ),
    ),
    *of(
        "budgets",
        "study/decide/queue.py",
        "tests/study/decide/test_session.py::test_a_study_ends_complete_and_optuna_knows_it",
        ("a sample more than asked for", "len(begun) >= self._samples()", "len(begun) > self._samples()"),
        (
            "running trials are no samples",
            '(*FINISHED, "running")) if self._is_sample(t)',
            "FINISHED) if self._is_sample(t)",
        ),
        (
            "other seeds of the paper are samples",
            '(origin == "paper" and seed == self.config.seed)',
            'origin == "paper"',
            "tests/study/decide/test_session.py::test_every_seed_of_the_papers_configuration_runs",
        ),
    ),
    *of(
        "budgets",
        "study/record/ledger.py",
        "tests/study/record/test_ledger.py",
        ("a part of a GPU counts as one", "trial.gpus * row_seconds(", "row_seconds("),
        ("seconds that others had spent", 'if name.startswith("seconds_")', 'if "seconds" in name'),
    ),
    *of(
        "budgets",
        "study/command/dry_run.py",
        "tests/study/command/test_dry_run.py::test_frames_are_counted",
        (
            "first epochs in every stage",
            "max(0, steps - 1) * config.train.later_epochs",
            "max(0, steps - 1) * config.train.first_epochs",
        ),
        (
            "training at the rate of features",
            "train_frames / train_rate + feature_frames / feature_rate,",
            "train_frames / feature_rate + feature_frames / train_rate,",
            "tests/study/command/test_dry_run.py::test_a_trial_takes_its_frames_at_the_rate_of_each_kind",
        ),
        (
            "what is shared costs more",
            "trials * cost.seconds - saved",
            "trials * cost.seconds + saved",
            "tests/study/command/test_dry_run.py::test_what_shared_stages_save_is_taken_off_the_cost_of_the_study",
        ),
    ),
]
