"""The paper's claims, tables and figures from the runs of a study, ours beside what the paper prints.

What was not run takes no place: neither a row nor an axis. One line at the end names it.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from markupsafe import Markup

from analysis.data.results import Group
from analysis.data.runs import Run, runs, runs_of, steps_told, unlabelled
from analysis.page import reproduce
from analysis.page.frame import Section, command, details, paragraph
from analysis.page.typeset import Table
from analysis.sections.paper_curves import classes, curves, rivals, sweeps
from analysis.sections.paper_differences import claims, confirmed, variants
from analysis.sections.paper_parts import heading, table_of
from analysis.stats.findings import Finding, findings
from analysis.tables import tables
from search_spaces.paper import PLANS
from search_spaces.rivals import RIVAL_PLANS
from study.plan import PAPERS
from study.record.intervals import MISSING
from study.show.next_command import next_command

_TABLES = ("table1", "table2", "table3", "table4", "table5")
_ABLATIONS = ("table1", "table2", "table3", "alpha")
# What `--plan paper` runs: its part in words, and the experiments' prefix.
_PARTS = {
    "Table 1": "table1", "Table 2": "table2", "Table 3": "table3", "Fig 4": "fig4", "Fig 5": "fig5",
    "end values of α": "alpha",
}  # fmt: skip
_HOW_TO_READ = (
    "Dots are seeds, large marks their means, lines through them 95 % intervals over seeds, from three seeds "
    "on. ×: a training that diverged, which counts as 0 from there on. Values in percent, differences in "
    "points. A click in a legend that names steps shows or hides one."
)
_STEPS = (
    "Last step: chosen without labels. Best step: the paper's protocol, the merge step with the highest mAP "
    "on the labelled test split; that is chosen with test labels, so it is a little too good."
)
_SELECTED = (
    "Selected step: chosen without labels too, by a score of each step's network and classes; python "
    "analysis/selection.py says how well that chooses."
)
_PROTOCOL = (
    "Two mAPs: the published numbers of this family of methods come from MARS's own evaluator, the area "
    "under the precision–recall curve by trapezoids; they are compared with 'mAP trapezoid'. The usual mAP "
    "(rectangle rule) is higher."
)


def paper(groups: Sequence[Group], judged: Sequence[Finding] | None = None) -> Section | None:
    """The section; None where no run with labels has come to an end. judged: the findings of the page."""
    parts = [(group, found) for group in groups if not unlabelled(group) and (found := runs(group))]
    if not parts:
        return None
    judged = findings(groups) if judged is None else judged
    bodies = [_body(group, found, judged, named=len(groups) > 1) for group, found in parts]
    selected = any("selected" in steps_told(found) for _, found in parts)
    notes = (_HOW_TO_READ, _STEPS, *([_SELECTED] if selected else []), _PROTOCOL)
    how = details("How to read the charts and tables", Markup().join(map(paragraph, notes)))
    return Section("paper", "The paper", Markup().join([how, *bodies]))


def _body(group: Group, found: Sequence[Run], judged: Sequence[Finding], *, named: bool) -> Markup:
    held = {table.name: table for whole in tables(group, judged) if (table := of_runs(whole)) is not None}
    return Markup().join(
        [
            heading(group.name) if named else Markup(),
            *claims(group, found, judged, held),
            *map(table_of, _captioned_once([held[name] for name in _TABLES if name in held])),
            *curves(group, found),
            *sweeps(group, found, held),
            *rivals(group, found, held),
            *confirmed(group, found, held),
            *variants(group, found, held),
            *classes(found, held),
            _missing(group, found),
        ]
    )


def of_runs(table: Table) -> Table | None:
    """The rows of what was run, beside what others print; None where nothing was."""
    counted = next((name for name in ("runs", "seeds") if name in table.columns), None)
    if counted is None:
        return table
    column = table.columns.index(counted)
    absent = ("0", *([MISSING] if counted == "seeds" else []))
    kept = [i for i, row in enumerate(table.rows) if row[column] not in absent]
    rows = [table.rows[i] for i in kept]
    if all(row[column] == MISSING for row in rows):
        return None
    if table.name in _ABLATIONS and len({row[0] for row in rows}) < 2:
        return None  # the base alone, which is no comparison
    bold = frozenset((kept.index(i), j) for i, j in table.bold if i in kept)
    return dataclasses.replace(table, rows=tuple(rows), bold=bold)


def _captioned_once(shown: Sequence[Table]) -> Iterator[Table]:
    """Tables one after the other; a caption that several share stands under the last of them."""
    for table, following in zip_longest(shown, shown[1:]):
        same = following is not None and following.caption == table.caption
        yield dataclasses.replace(table, caption="") if same else table


# --- what is missing


def _missing(group: Group, found: Sequence[Run]) -> Markup:
    """One line that names what `--plan paper` would add, and the command."""
    wanted = list(dict.fromkeys(experiment for experiment, _ in PLANS["paper"].rows(group.base)))
    lacking = []
    for part, prefix in _PARTS.items():
        names = [name for name in wanted if name.startswith(f"{prefix}/")]
        there = sum(bool(runs_of(found, name)) for name in names)
        if there < len(names):
            lacking.append(f"{part} ({there} of {len(names)} settings)" if there > 1 else part)
    said = [
        paragraph(f"Of the paper not run to an end here: {', '.join(lacking)}."),
        command(_command(group)),
    ]
    ran_rivals = any(study.plan.experiments in RIVAL_PLANS for study in group.studies)
    if group.preset == PAPERS and not ran_rivals:
        said.append(paragraph("For the margins over BUC and OIM: the same with --plan rivals."))
    return Markup().join(said) if lacking else Markup()


def _command(group: Group) -> str:
    """To go on with the study that runs the plan, or to run it and take over what is there."""
    for study in group.studies:
        if study.plan.experiments == "paper":
            return next_command(study.plan, complete=False).removeprefix("to go on: ")
    plan = group.studies[0].plan
    made = reproduce.command(group.base, plan.root, max(3, plan.seeds), "paper")
    reused = [word for study in group.studies for word in ("--reuse", str(study.folder))]
    return f"{made} {shlex.join(reused)}"
