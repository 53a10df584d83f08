"""Faults in a page's trials and search: what the table, the curves and the charts say of the ledger."""

from __future__ import annotations

from mutation.run import Mutant, of

TRIALS: list[Mutant] = [
    *of(
        "page",
        "analysis/sections/trials.py",
        "tests/analysis/sections/test_trials.py",
        (
            "the worst trial comes first",
            "-(one.trial.objective_value(one.study.plan.objective) or DIVERGED_VALUE)",
            "(one.trial.objective_value(one.study.plan.objective) or DIVERGED_VALUE)",
            "tests/analysis/sections/test_trials.py"
            "::test_every_trial_is_a_row_the_best_first_what_did_not_end_last",
        ),
        (
            "a trial that was cut stands as one that ran to its end",
            'return _Cell(f"{value:.1f}" if ended else f"({value:.1f})"',
            'return _Cell(f"{value:.1f}" if value else f"({value:.1f})"',
            "tests/analysis/sections/test_trials.py"
            "::test_what_has_not_come_to_its_end_is_in_brackets_and_divergence_counts_as_zero",
        ),
        (
            "a value that does not count is shown",
            "        if holds(prior, values):\n            values[prior.field] = flat[prior.field]",
            "        if prior.field:\n            values[prior.field] = flat[prior.field]",
            "tests/analysis/sections/test_trials.py"
            "::test_only_what_varies_has_a_column_and_what_does_not_count_is_no_value",
        ),
        (
            "a training that diverged keeps its curve",
            "            values[last] = DIVERGED_VALUE",
            "            values[last] = values[last - 1]",
            "tests/analysis/sections/test_trials.py::test_curves_are_the_ledgers_and_end_as_their_trials_did",
        ),
        (
            "trials of two studies answer to one click",
            'key=f"{place}/{trial.number}" if several else',
            'key=f"{trial.number}" if several else',
            "tests/analysis/sections/test_trials.py::test_of_several_studies_each_is_named",
        ),
        (
            "groups of a page share what is isolated",
            '    isolates = f"isolated{suffix}"\n    known',
            '    isolates = "isolated"\n    known',
            "tests/analysis/sections/test_trials.py::test_groups_on_one_page_are_isolated_apart",
        ),
    ),
    *of(
        "page",
        "analysis/charts/trials.py",
        "tests/analysis/charts/test_trials.py",
        (
            "stars of all trials at once",
            '"always": few or mark != SELECTED,',
            '"always": few or mark != PRUNED,',
        ),
        (
            "states look alike from two trials on",
            'field = "trial" if len(curves) <= FEW else "kind"',
            'field = "trial" if len(curves) > FEW else "kind"',
        ),
    ),
    *of(
        "page",
        "analysis/charts/search.py",
        "tests/analysis/charts/test_search.py",
        (
            "a pruned trial is the best so far",
            'if p.kind != "pruned":',
            'if p.kind != "diverged":',
        ),
        (
            "divergence stretches the colours",
            'values = [p.value for p in points if p.kind != "diverged"]',
            "values = [p.value for p in points]",
        ),
        (
            "the surface lies on its side",
            '{"x": across.position(p.params[across.name]), "y": up.position(p.params[up.name]),',
            '{"y": across.position(p.params[across.name]), "x": up.position(p.params[up.name]),',
        ),
    ),
    *of(
        "page",
        "analysis/stats/searched.py",
        "tests/analysis/stats/test_searched.py",
        (
            "pruned trials do not count",
            "        if trial.state == TrialState.PRUNED:",
            "        if trial.state == TrialState.RUNNING:",
        ),
        (
            "pruned trials make up for complete ones",
            "complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))",
            "complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))",
        ),
        (
            "the smallest weight stands on 0",
            "_APART + (1 - _APART) * share",
            "share",
        ),
        (
            "of trials at one place the sum counts",
            "np.bincount(which.ravel(), values) / np.bincount(which.ravel())",
            "np.bincount(which.ravel(), values) / 1.0",
        ),
    ),
]
