"""Faults in the paper's part of a page: charts, and what is shown of what was run."""

from __future__ import annotations

from mutation.run import Mutant, of

PAPER: list[Mutant] = [
    *of(
        "the paper on a page",
        "analysis/charts/steps.py",
        "tests/analysis/charts/test_steps.py",
        ("a curve without its untrained network", "scale=100, untrained=True)", "scale=100)"),
        (
            "a last step of a training that diverged",
            'if steps[at] is not None and not (run.diverged and at != "best"):',
            "if steps[at] is not None:",
        ),
        ("a band below the mean alone", '"high": each.mean + each.half', '"high": each.mean'),
        ("one seed beside itself", "if over.runs > 1:", "if over.runs > 0:"),
    ),
    *of(
        "the paper on a page",
        "analysis/charts/sweeps.py",
        "tests/analysis/charts/test_sweeps.py",
        ("the best step is shown before it is asked for", 'if one != "best"]', 'if one != "last"]'),
        ("even values on a logarithmic axis", "gaps.max() > _UNEVEN * gaps.min()", "gaps.max() > 0"),
        (
            "a cross for whatever went well",
            'if one["diverged"] == diverged]:',
            'if one["diverged"] != diverged]:',
        ),
    ),
    *of(
        "the paper on a page",
        "analysis/charts/forest.py",
        "tests/analysis/charts/test_forest.py",
        ("a wide interval hides the others", "_REACH = 0.5", "_REACH = 50"),
        (
            "the same verdict at every row",
            'f"{len(lines)}|{row.label}|{row.said}|"',
            'f"{len(lines)}|{row.label}||"',
        ),
    ),
    *of(
        "the paper on a page",
        "analysis/sections/paper.py",
        "tests/analysis/sections/test_paper.py",
        ("rows of what was not run", 'absent = ("0", *', 'absent = ("", *'),
        ("bold stays where its row was", "(kept.index(i), j)", "(i, j)"),
        ("nothing is missing", "if there < len(names):", "if there > len(names):"),
    ),
    *of(
        "the paper on a page",
        "analysis/sections/paper_curves.py",
        "tests/analysis/sections/test_paper.py",
        (
            "the paper's numbers beside those of a part of its data",
            "rows = ablations(group.dataset) if group.is_papers else {}",
            "rows = ablations(group.dataset)",
        ),
    ),
    *of(
        "the paper on a page",
        "analysis/sections/paper_differences.py",
        "tests/analysis/sections/test_paper.py",
        (
            "a step that test labels have chosen is judged",
            'one.per_seed and one.at != "best"]',
            "one.per_seed]",
        ),
        ("eleven gains at the level of one", "if not p < LEVEL:", "if not compared.p < LEVEL:"),
    ),
    *of(
        "the paper on a page",
        "analysis/stats/joins.py",
        "tests/analysis/charts/test_classes.py tests/analysis/stats/test_joins.py",
        ("joins of all runs together", "fill_value=0) / len(runs)", "fill_value=0)"),
    ),
]
