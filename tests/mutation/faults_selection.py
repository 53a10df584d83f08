"""Faults in how scores without labels are judged and shown. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

SELECTION: list[Mutant] = [
    *of(
        "selection",
        "analysis/data/candidates.py",
        "tests/analysis/data/test_candidates.py",
        ("pruned runs are no candidates", "runs(group, pruned=True)", "runs(group, pruned=False)"),
        ("the more camera excess the better", "float(-value if name", "float(value if name"),
        (
            "the combination of the time",
            "combined(row) if name == COMBINED else row.get(name)",
            "row.get(name)",
        ),
        (
            "a collapse has no scores",
            "DIVERGED_VALUE if name == COMBINED else -np.inf",
            "DIVERGED_VALUE if name == COMBINED else np.nan",
        ),
        (
            "the bound is a candidate",
            "if not run.config.trains_with_identities]",
            "if run.config.seed >= 0]",
        ),
        ("resamples of queries over the number measured", "/ (queries @ times)", "/ queries.sum()"),
        ("half of the queries are enough", "curve().keys() <= set(", "curve().keys() & set("),
    ),
    *of(
        "selection",
        "analysis/stats/selection.py",
        "tests/analysis/stats/test_selection.py",
        ("the worst weigh most", "np.maximum(r, t) ** 2", "np.minimum(r, t) ** 2"),
        ("weights are not squared", "np.maximum(r, t) ** 2", "np.maximum(r, t)"),
        (
            "the last of equals is chosen",
            "int(rows[s[rows].argmax()])",
            "int(rows[-1 - s[rows][::-1].argmax()])",
        ),
        (
            "against networks that nobody would choose",
            "_best(m, list(picked.values())) - m[winner]",
            "_best(m) - m[winner]",
        ),
        ("the first step for the last step", "- m[rows[-1]] for rows", "- m[rows[0]] for rows"),
        ("the best of every resample", "m[rows][m[rows][:, 0].argmax()]", "m[rows].max(axis=0)"),
        ("random choice of all networks", "- m[last].mean(axis=0)", "- m.mean(axis=0)"),
        ("a one-sided interval", "[LEVEL / 2, 1 - LEVEL / 2]", "[LEVEL, 1 - LEVEL]"),
        ("the first half for both", "[:drawn] for each in measured]", "[:drawn] for each in measured[:1]]"),
    ),
    *of(
        "selection",
        "analysis/data/runs.py",
        "tests/analysis/data/test_runs.py",
        (
            "a run that diverged has a selected network",
            "self.trial.diverged_at if self.diverged else self.trial.selected_step",
            "self.trial.selected_step or self.trial.diverged_at",
        ),
        (
            "a pruned run is chosen",
            'left_out = trial.state != "complete" or trial.origin',
            "left_out = trial.origin",
            "tests/analysis/stats/test_unlabelled.py",
        ),
        (
            "the lowest score comes first",
            'left_out, -(trial.objective_value("unlabelled")',
            'left_out, (trial.objective_value("unlabelled")',
            "tests/analysis/stats/test_unlabelled.py",
        ),
    ),
    *of(
        "selection",
        "analysis/stats/unlabelled.py",
        "tests/analysis/stats/test_unlabelled.py",
        (
            "scores of a network that is lost",
            "row = {} if run.diverged else run.trial.selected",
            "row = run.trial.selected",
        ),
        ("every tracklet is a pair", "(counts * (counts - 1)).sum()", "(counts * counts).sum()"),
        (
            "classes of one camera run together",
            "(int(cameras.max()) + 1) + cameras",
            "int(cameras.max()) + cameras",
        ),
    ),
    *of(
        "selection",
        "analysis/people/rank_lists.py",
        "tests/analysis/people/test_rank_lists.py",
        (
            "neighbours of the same camera",
            "else cameras != cameras[tracklet]",
            "else cameras == cameras[tracklet]",
        ),
        ("the farthest first", "np.argsort(-(v[rows]", "np.argsort((v[rows]"),
    ),
    *of(
        "selection",
        "analysis/stats/confirmed.py",
        "tests/analysis/test_tables.py",
        (
            "a search by score in the order of mAP",
            "trial.objective_value(objective) or",
            'trial.objective_value("last") or',
        ),
    ),
    *of(
        "selection",
        "analysis/people/network.py",
        "tests/analysis/test_ranks.py",
        (
            "the best step before the selected one",
            "(step != selected, step != best,",
            "(step != best, step != selected,",
        ),
    ),
    *of(
        "selection",
        "analysis/selection.py",
        "tests/analysis/test_selection.py",
        ("halves of other settings are averaged", "for group in groups}) == 1", "for group in groups}) >= 1"),
    ),
    *of(
        "selection",
        "analysis/figures/selection.py",
        "tests/analysis/test_selection.py",
        (
            "the worst run is shown as the chosen one",
            "key=lambda run: -s[chosen_of",
            "key=lambda run: s[chosen_of",
        ),
        (
            "the last step is marked as the selected one",
            '"selected": chosen_of[run]}',
            '"selected": rows[-1]}',
        ),
    ),
]
