"""The paper's tables from one or several studies, beside the published numbers.

python analysis/tables.py STUDY                           # Markdown on the screen
python analysis/tables.py STUDY [STUDY…] --format latex --out tables

Tables 1 to 3, Table 4 or 5 with our row, what the paper claims and whether these runs support it (corrected
for all claims of all studies given), the table of α, the audit of leaks, the bound and the rivals where they
were run, and the best of a search.
Of data without labels: the scores of all runs, and the classes of the chosen one.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from analysis import command
from analysis.data.changes import changed_in_settings
from analysis.data.results import Group, load
from analysis.data.runs import by_score, runs, unlabelled
from analysis.page.typeset import FORMATS, Table
from analysis.stats.ablations import ABLATIONS, ablation_table, others_table
from analysis.stats.claims_table import claims_table
from analysis.stats.confirmed import search_table
from analysis.stats.findings import Finding, findings
from analysis.stats.joins import joins_table
from analysis.stats.rivals import rivals_table
from analysis.stats.unlabelled import classes_table, scores_table
from analysis.stats.variants import CHOICE_PLANS, bound_table, choices_table, leak_table
from dcreid.commandline import READABLE, show, visible
from dcreid.paths import write_whole
from search_spaces.paper import BOUND_NOTE
from search_spaces.rivals import RIVAL_PLANS


def tables(group: Group, judged: Sequence[Finding] | None = None) -> Iterator[Table]:
    """All tables of a group. Those that go beyond the paper come only where their plan was run.

    judged: the findings of all groups that are shown together; else those of this one alone.
    Where several versions of the code computed what is averaged, every caption says so.
    """
    mixed = f" Of note: {group.versions_in_words}." if group.versions_in_words else ""
    for table in _without_labels(group) if unlabelled(group) else _labelled(group, judged):
        yield dataclasses.replace(table, caption=f"{table.caption}{mixed}")


def _labelled(group: Group, judged: Sequence[Finding] | None) -> Iterator[Table]:
    found = runs(group)
    asked = {study.plan.experiments for study in group.studies}
    for spec in ABLATIONS:
        if spec.published or asked & {"alpha", "paper"}:
            yield ablation_table(spec, found, group)
    others = others_table(found, group)
    if others is not None:
        yield others
    yield claims_table(findings([group]) if judged is None else judged, group)
    yield joins_table(found, group)
    yield from (choices_table(plan, found, group) for plan in CHOICE_PLANS if plan in asked)
    if "leak_audit" in asked:
        yield leak_table(found, group)
    if group.has_bound:
        yield bound_table(found, group)
    for plan in RIVAL_PLANS:
        if plan in asked:
            yield rivals_table(plan, found, group)
    if any(study.plan.space is not None for study in group.studies):
        yield search_table(found, group)


def _without_labels(group: Group) -> Iterator[Table]:
    """Scores of all runs, and the classes of the chosen one."""
    found = by_score(group)
    if found:
        yield scores_table(found, group)
        yield classes_table(found[0], group)


def heading(group: Group) -> str:
    """What the tables of a group are made of, in two lines; further ones of the bound and of versions."""
    named = ", ".join(visible(study.name) for study in group.studies)
    finished = sum(sum(trial.state == "complete" for trial in study.trials) for study in group.studies)
    total = sum(len(study.trials) for study in group.studies)
    text = (
        f"{visible(group.name)}: {group.train_tracklets:,} training tracklets; studies {named}; "
        f"{finished} of {total} trials complete\n"
        f"changed from the settings for {group.dataset}: {changed_in_settings(group)}"
    )
    notes = [BOUND_NOTE] * group.has_bound + [group.versions_in_words] * bool(group.versions_in_words)
    return "\n".join([text, *notes])


def file_name(group: Group, groups: Sequence[Group], name: str) -> str:
    """`table1`, with the group in front where there are several."""
    if len(groups) == 1:
        return name
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', group.name).strip('-')}-{name}"


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study that cannot be read."""
    made = command.parser("analysis/tables.py", __doc__)
    made.add_argument("--format", choices=FORMATS, default="markdown", help="of the tables [markdown]")
    return command.run("analysis/tables.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    groups = load(given.studies, across_versions=given.across_versions).groups
    judged = findings(groups)
    render, suffix = FORMATS[given.format]
    for group in groups:
        comment = "%" if given.format == "latex" else "#"
        if given.format == "markdown":
            show(f"## {heading(group)}\n")
        elif given.out is None:
            show(f"{comment} {heading(group)}".replace("\n", f"\n{comment} "))
        for table in tables(group, judged):
            show(f"# {table.title}\n{render(table)}" if given.format == "csv" else render(table))
            if given.out is not None:
                path = command.out_folder(given) / f"{file_name(group, groups, table.name)}{suffix}"
                write_whole(path, render(table).encode(errors=READABLE))


if __name__ == "__main__":
    sys.exit(main())
