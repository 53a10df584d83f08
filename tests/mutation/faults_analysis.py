"""Faults in what is told of a study: tables, intervals, verdicts. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

ANALYSIS: list[Mutant] = [
    *of(
        "tables",
        "study/record/results.py",
        "tests/study/record/test_results.py::test_the_tables_best_step_is_the_first_of_equals_and_no_untrained_one",
        ("the latest of equal steps is best", "value > best[metric]", "value >= best[metric]"),
        ("the untrained network may be best", 'if value is None or row["step"] == 0:', "if value is None:"),
    ),
    *of(
        "tables",
        "study/show/wording.py",
        "tests/study/decide/test_confirmation.py::test_the_ranking_is_by_the_last_step_and_tells_the_best_one_beside_it",
        (
            "the first step for the last",
            "return curve[max(curve)] if curve else None",
            "return curve[min(curve)] if curve else None",
        ),
    ),
    *of(
        "view",
        "study/show/view.py",
        "tests/study/show/test_view.py",
        (
            "the worst come first",
            "key=lambda trial: (-(trial.value or 0.0), trial.number)",
            "key=lambda trial: ((trial.value or 0.0), trial.number)",
        ),
        (
            "the step under way counts as done",
            'else f"{max(trial.last_step, 0)}/{trial.total_steps}"',
            'else f"{max(trial.last_step, 0) + 1}/{trial.total_steps}"',
        ),
        (
            "the epoch of the stage before",
            'note["stage"] != max(trial.last_step, 0) + 1:',
            'note["stage"] != max(trial.last_step, 0):',
        ),
        ("the epoch of an attempt that has ended", "< attempt.started or", "< 0.0 or"),
        (
            "failures of one reason with another's",
            '(trial.state, trial.reason or "unknown")',
            '(trial.state, "unknown")',
        ),
        (
            "trials under way are counted as new ones too",
            "self.queue.target - self.queue.done() - len(unfinished))",
            "self.queue.target - self.queue.done())",
        ),
        (
            "the long first stage sets the pace",
            "for step in trial.steps if step > 1]",
            "for step in trial.steps if step > 0]",
        ),
        (
            "a trial takes as long as its rest",
            "return trial.seconds + pace * (trial.total_steps - trial.last_step)",
            "return pace * (trial.total_steps - trial.last_step)",
        ),
        (
            "the merge step under way costs nothing",
            "whole - trial.seconds - self._since_report(trial))",
            "whole - trial.seconds)",
        ),
        (
            "who waits for a worker runs",
            '"waiting" if self.under_way[trial.number] is None else "running"',
            '"waiting" if self.under_way[trial.number] is not None else "running"',
        ),
    ),
    *of(
        "view",
        "study/record/costs.py",
        "tests/study/record/test_costs.py tests/study/show/test_view.py",
        ("every trial has taken stages over", "for seconds in saved if seconds)", "for seconds in saved)"),
        (
            "what was spent for what was saved",
            'row.get("saved_seconds") or 0.0',
            'row.get("seconds_train") or 0.0',
        ),
    ),
    *of(
        "tables",
        "analysis/stats/searched.py",
        "tests/analysis/figures/test_search.py::"
        "test_the_best_trial_is_the_one_of_highest_value_and_the_history_rises_to_it",
        (
            "Optuna's plots of a minimum",
            'direction="maximize", study_name=study.name',
            'direction="minimize", study_name=study.name',
        ),
    ),
    *of(
        "tables",
        "analysis/data/runs.py",
        "tests/analysis/data/test_runs.py",
        (
            "the last of equal steps is best",
            "key=lambda step: (curve[step], -step)",
            "key=lambda step: (curve[step], step)",
        ),
        ("taken over rather than computed", "return not trial.reused", "return bool(trial.reused)"),
        ("the last study's run counts", "return study is known.study", "return study is not known.study"),
    ),
    *of(
        "tables",
        "analysis/stats/ablations.py",
        "tests/analysis/test_tables.py",
        (
            "the paper's rank-1 minus ours",
            'measured["rank1"].mean - printed.rank1',
            'printed.rank1 - measured["rank1"].mean',
        ),
    ),
    *of(
        "tables",
        "analysis/stats/variants.py",
        "tests/analysis/test_tables.py",
        (
            "gains of the first row over the others",
            '"mAP_trapezoid", at) - of_experiment(',
            '"mAP_trapezoid", at) + of_experiment(',
        ),
    ),
    *of(
        "tables",
        "analysis/stats/confirmed.py",
        "tests/analysis/test_tables.py",
        (
            "runs that the search chose by are fresh",
            "return origin not in SEARCHED and not",
            "return origin in SEARCHED or not",
        ),
        (
            "not paired by seed",
            "compare(fresh - reference)",
            "compare(fresh - reference.mean())",
        ),
    ),
    *of(
        "tables",
        "analysis/data/results.py",
        "tests/analysis/data/test_results.py",
        (
            "galleries are averaged together",
            '("name", "fingerprint", "protocol")]',
            '("name", "fingerprint")]',
        ),
    ),
    *of(
        "intervals",
        "study/record/intervals.py",
        "tests/analysis/stats/test_comparisons.py tests/study/decide/test_confirmation.py::test_estimates",
        ("deviation of the whole population", "ddof=1", "ddof=0"),
        ("a one-sided quantile", "1 - LEVEL / 2", "1 - LEVEL"),
        ("a degree of freedom more", "LEVEL / 2, n - 1)", "LEVEL / 2, n)"),
        ("deviation of a run, not of the mean", " / math.sqrt(n)", ""),
        ("two runs have an interval", "FEWEST_SEEDS = 3", "FEWEST_SEEDS = 2"),
        (
            "an interval of no width",
            "n >= FEWEST_SEEDS and not same(known)",
            "n >= FEWEST_SEEDS",
            "tests/analysis/stats/test_comparisons.py::test_an_interval_of_no_width_is_none",
        ),
        (
            "two runs are told by their mean",
            "if len(self.runs) == FEWEST_SEEDS - 1:",
            "if len(self.runs) == FEWEST_SEEDS - 3:",
        ),
    ),
    *of(
        "intervals",
        "analysis/stats/comparisons.py",
        "tests/analysis/stats/test_comparisons.py",
        ("many tests at the level of one", "self.p * tests < LEVEL", "self.p < LEVEL"),
        (
            "a one-sided test",
            "stats.ttest_1samp(difference.runs, 0.0)",
            'stats.ttest_1samp(difference.runs, 0.0, alternative="greater")',
        ),
        (
            "two seeds are enough",
            "self.difference.n >= FEWEST_SEEDS",
            "self.difference.n >= FEWEST_SEEDS - 1",
        ),
        (
            "the best of many has the p of one",
            "noise.error, len(values), noise.df",
            "noise.error, 1, noise.df",
        ),
        ("intervals hold one at a time", "_critical(len(values), noise.df", "_critical(1, noise.df"),
        ("seeds' effects count as noise", " - settled.mean(axis=1, keepdims=True)", ""),
        ("as many degrees of freedom as without seeds", "df = (k - 1) * (n - 1)", "df = k * (n - 1)"),
        ("noise of a mean, not of a difference", "math.sqrt(2 / n * float(", "math.sqrt(1 / n * float("),
        ("a run that diverged is noise", "if name == always or not _diverged(blocks[name])]", "]"),
        ("a control that diverged has no noise", "if name == always or not _diverged", "if not _diverged"),
        (
            "a setting that diverged has a p",
            "if noise is not None and not _diverged(blocks[column]):",
            "if noise:",
        ),
        ("the best by a two-sided allowance", "noise.df, sides=1)", "noise.df, sides=2)"),
        ("one setting too many", "_critical(len(means) - 1", "_critical(len(means)"),
        ("differences that do not share a mean", "math.sqrt(2 / df) * t", "math.sqrt(1 / df) * t"),
        ("no spread is proof", "    if same(residuals):", "    if False:"),
    ),
    *of(
        "intervals",
        "study/decide/confirmation.py",
        "tests/study/decide/test_confirmation.py::test_the_best_and_the_papers_run_on_fresh_seeds",
        (
            "the worst are confirmed",
            "(-(trial.value or 0.0), trial.number)",
            "((trial.value or 0.0), trial.number)",
        ),
        ("one configuration more is confirmed", "[: plan.confirm]", "[: plan.confirm + 1]"),
        (
            "confirming runs that diverge are forgotten",
            't.state in ("complete", "diverged")',
            't.state == "complete"',
            "tests/study/decide/test_confirmation.py"
            "::test_two_fresh_runs_are_two_values_and_one_that_diverged_is_worth_nothing",
        ),
        (
            "pruned trials are candidates",
            't.state == "complete" and t.value is not None]',
            't.state in ("complete", "pruned") and t.value is not None]',
            "tests/study/decide/test_confirmation.py::test_pruned_and_unmeasured_trials_are_no_candidates",
        ),
    ),
    *of(
        "claims",
        "analysis/stats/claims.py",
        "tests/analysis/stats/test_claims.py",
        (
            "best of all the wrong way round",
            '{own: 1.0, f"{prefix}/{v:g}": -1.0}',
            '{own: -1.0, f"{prefix}/{v:g}": 1.0}',
        ),
        (
            "collapse is any loss",
            '{"table3/0.1": 0.5, "table3/0.3": -1}',
            '{"table3/0.1": 1.0, "table3/0.3": -1}',
        ),
        ("lambda2 against lambda1 alone", "{_BOTH: 1, _L1: -2, _BASELINE: 1}", "{_BOTH: 1, _L1: -1}"),
        (
            "supported by one contrast of several",
            "if all(each.sign() > 0 for each in tested):",
            "if any(each.sign() > 0 for each in tested):",
        ),
        ("contradicted by the luckiest of several", "each.sign(tests=len(tested)) < 0", "each.sign() < 0"),
        (
            "judged on the other mAP",
            'per_seed(contrast, found, "mAP_trapezoid", at)',
            'per_seed(contrast, found, "mAP", at)',
        ),
        ("the strongest contrast is shown", "weakest = min(tested", "weakest = max(tested"),
        (
            "the paper's largest margin",
            "interval_text(min(sums), signed=True)",
            "interval_text(max(sums), signed=True)",
        ),
    ),
]
