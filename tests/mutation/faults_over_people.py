"""Faults in intervals over people. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import of

OVER_PEOPLE = (
    *of(
        "over people",
        "analysis/data/queries.py",
        "tests/analysis/data/test_people.py tests/analysis/data/test_candidates.py",
        ("resamples of queries over the number measured", "/ (self.counts @ times)", "/ self.counts.sum()"),
        (
            "the first match within fewer",
            'table["first_match"] <= k for k in',
            'table["first_match"] < k for k in',
        ),
        (
            "any people are the same people",
            "np.array_equal(each.identities,",
            "np.shape(each.counts) == np.shape(",
        ),
    ),
    *of(
        "over people",
        "analysis/data/people.py",
        "tests/analysis/data/test_people.py",
        (
            "people drawn without replacement",
            "rng.multinomial(identities,",
            "rng.multinomial(identities // 2,",
        ),
        ("other people for every run", "np.random.default_rng(_SEED))", "np.random.default_rng())"),
        ("a one-sided interval over people", "[LEVEL / 2, 1 - LEVEL / 2]", "[LEVEL, 1 - LEVEL]"),
        ("runs without queries are passed over", "if 0 < len(values) == len(found) and", "if values and"),
        ("a collapse has the queries from before", "run.lost_at(step):", "run.lost_at(step - 99):"),
        ("seeds that one alone has run", "if run.trial.seed in shared]", "if run.trial.seed >= 0]"),
    ),
    *of(
        "over people",
        "analysis/stats/measures.py",
        "tests/analysis/stats/test_measures.py",
        ("rank-1 over people is mAP", '"rank1_people": "rank1"', '"rank1_people": "mAP"'),
        ("a gain over people without the base", "{experiment: 1.0, base: -1.0}", "{experiment: 1.0}"),
    ),
    *of(
        "versions of the code",
        "analysis/data/results.py",
        "tests/analysis/data/test_results.py",
        (
            "versions are joined unasked",
            "frozenset[str]() if across_versions else",
            "frozenset[str]() if True else",
        ),
        (
            "versions cannot be joined",
            "frozenset[str]() if across_versions else",
            "frozenset[str]() if False else",
        ),
        ("a later session runs the first one's code", "(UNKNOWN if n > 1 else first)", "first"),
        ("unknown versions part studies", "frozenset(ended - {UNKNOWN})", "frozenset(ended)"),
        ("failed trials count as of a version", "if t.state in FINISHED)", "if t.state)"),
    ),
    *of(
        "versions of the code",
        "study/record/ledger.py",
        "tests/analysis/data/test_results.py",
        (
            "a trial is of its last session",
            "sorted({*trial.computed_in, len(self.sessions)})",
            "[len(self.sessions)]",
        ),
    ),
    *of(
        "versions of the code",
        "analysis/tables.py",
        "tests/analysis/test_tables.py",
        ("captions keep silent on versions", 'caption=f"{table.caption}{mixed}")', "caption=table.caption)"),
    ),
    *of(
        "tables that typeset",
        "analysis/page/typeset.py",
        "tests/analysis/page/test_typeset.py",
        (
            "bold in LaTeX is of the cell below",
            '"textbf:--rwrap;" * ((i, j) in',
            '"textbf:--rwrap;" * ((i - 1, j) in',
        ),
        (
            "bold in Markdown is of the cell above",
            'f"**{text}**" if (i, j) in',
            'f"**{text}**" if (i + 1, j) in',
        ),
        (
            "nothing is bold in HTML",
            'f"<b>{escaped(t)}</b>" if (i, j) in table.bold',
            'f"<b>{escaped(t)}</b>" if False',
        ),
        ("a narrow table is blown up", "\\\\else\\\\width\\\\fi", "\\\\else\\\\linewidth\\\\fi"),
        ("what stands behind a line's end is an option", '"[": "{[}",', '"[": "[",'),
        ("headings are commands", "join(map(_latex, lines))", "join(lines)"),
    ),
    *of(
        "tables that typeset",
        "analysis/stats/measures.py",
        "tests/analysis/stats/test_measures.py",
        (
            "the best are those of another step",
            "of_experiment(found, each, name, at) for each in exp",
            'of_experiment(found, each, name, "last") for each in exp',
        ),
        (
            "bold stands a column beside",
            "j, column + k) for each in best",
            "j, column + k + 1) for each in best",
        ),
    ),
    *of(
        "diverged runs in figures",
        "analysis/curves.py",
        "tests/analysis/test_curves.py::test_a_training_that_diverged_is_marked_where_it_fell_to_nothing",
        (
            "every point is marked as diverged",
            "if any(run.diverged for run in runs_of(found, name))",
            "if runs_of(found, name)",
        ),
        (
            "every run is marked as diverged",
            "(step := run.trial.diverged_at) is not None})",
            "(step := run.trial.total_steps) is not None})",
        ),
        (
            "only points that are all diverged are marked",
            "if any(run.diverged for run in",
            "if all(run.diverged for run in",
        ),
    ),
    *of(
        "diverged runs in figures",
        "analysis/figures/rivals.py",
        "tests/analysis/test_curves.py::test_a_rival_that_diverged_is_marked_at_its_epochs",
        (
            "a rival is marked at its merge step",
            "float(epochs_trained(run.config.train, step))",
            "float(step)",
        ),
    ),
)
