"""How well scores without labels choose among the runs and merge steps of labelled studies.

python analysis/selection.py STUDY [STUDY…] [--drawn] [--out DIR]

For each score in the results, and for the combination that --objective unlabelled maximises: its rank
correlation with mAP, and its regret, which is how far below the best mAP its choice lies, beside random
choice and the last step. The combination is computed anew from the other scores by the formula of this
version (dcreid/evaluation/unlabelled.py), so that studies made with an earlier one are judged by today's.
Intervals come from resamples of the test identities, where the trials' queries.parquet are there. Studies
of the two development halves (--split) given together have a table each, one of their mean, and one of
which score the runs of each half would have settled on, judged by the runs of the other.

Counted are complete, pruned and diverged runs, each once; a training that diverged has mAP 0, a combination
of 0 and the worst of every score. Runs with identities as classes do not count.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

import numpy as np

from analysis import command
from analysis.data.candidates import Candidates, candidates
from analysis.data.results import Group, load, setting
from analysis.figures.selection import scatter_figure, steps_figure
from analysis.figures.style import save, styled
from analysis.page.typeset import Table, csv, markdown
from analysis.stats.selection import judge, mean_of, selection_table, settled_table
from analysis.tables import file_name
from dcreid.commandline import READABLE, say, show
from dcreid.config import Config
from dcreid.paths import write_whole

RESAMPLES = 1000


def selection(groups: Sequence[Group], *, drawn_only: bool = False) -> tuple[list[Table], list[Candidates]]:
    """A table for each group, two of development halves together; and the groups' candidates."""
    kind, among = ("selection-drawn", " among drawn configurations") if drawn_only else ("selection", "")
    title = f"Choosing without labels{among}, "
    rng = np.random.default_rng(0)
    found = [candidates(group, rng, RESAMPLES, drawn_only=drawn_only) for group in groups]
    judged = [judge(each) for each in found]
    tables = [
        selection_table(file_name(group, groups, kind), title + group.name, each, _source(group, of))
        for group, each, of in zip(groups, judged, found, strict=True)
    ]  # fmt: skip
    if halves(groups):
        title += f"mean over the halves of {groups[0].studies[0].data['name']}"
        tables.append(selection_table(f"{kind}-mean", title, mean_of(judged), _differing(found)))
        named = [group.base.data.split for group in groups]
        tables.append(
            settled_table(f"{kind}-settled", list(zip(named, found, strict=True)), _differing(found))
        )
    return tables, found


def halves(groups: Sequence[Group]) -> bool:
    """Whether the groups are the two development halves of one data set, on one base configuration."""
    splits = sorted(group.base.data.split for group in groups)
    return splits == ["first_half", "second_half"] and len({_of_whole(group.base) for group in groups}) == 1


def _of_whole(config: Config) -> str:
    """Names a configuration without its seed, whichever half it was run on."""
    return setting(config.replace(**{"data.split": "official"}).to_dict())


def _source(group: Group, found: Candidates) -> str:
    states = [run.trial.state for run in found.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    drawn = found.mAP.shape[1] - 1
    kept = (
        f"Brackets: 95 % intervals over {drawn:,} resamples of the test identities, choices held."
        if drawn
        else "No intervals: not every trial's queries.parquet is there."
    )
    return f"{counts}; {len(found.run)} networks. Gallery: {group.protocol}. {kept}"


def _differing(found: Sequence[Candidates]) -> str:
    """How many runs the halves have in common."""
    one, other = ({(_of_whole(run.config), run.trial.seed) for run in each.runs} for each in found)
    return f"{len(one & other)} runs are of both halves, {len(one ^ other)} of one alone."


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study that cannot be read or has nothing to judge scores by."""
    made = command.parser("analysis/selection.py", __doc__)
    made.add_argument(
        "--drawn",
        action="store_true",
        help="only runs that a search drew: neither presets nor the paper's settings",
    )
    return command.run("analysis/selection.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    groups = load(given.studies, across_versions=given.across_versions).groups
    tables, found = selection(groups, drawn_only=given.drawn)
    folder = command.out_folder(given)
    for table in tables:
        show(markdown(table))
        for suffix, text in ((".md", markdown(table)), (".csv", csv(table))):
            write_whole(folder / f"{table.name}{suffix}", text.encode(errors=READABLE))
    for group, of in zip(groups, found, strict=True):
        with styled():
            for kind, draw in (("scatter", scatter_figure), ("steps", steps_figure)):
                name = file_name(group, groups, f"selection{'-drawn' * given.drawn}-{kind}")
                figure = draw(of, group.name)
                if isinstance(figure, str):
                    say(f"{name}: {figure}")
                else:
                    say(f"{save(figure, folder, name)[0]} and .png")


if __name__ == "__main__":
    sys.exit(main())
