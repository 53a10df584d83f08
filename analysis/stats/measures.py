"""What an experiment measured, as cells and numbers of a table, and what the caption says of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data.people import RESAMPLES, contrast_over_people, have_queries, interval, over_people
from analysis.data.published import Published
from analysis.data.results import Group
from analysis.data.runs import NORMALISED, Run, by_seed, of_experiment, runs_of, steps_told, why_missing
from analysis.stats.comparisons import best_set
from study.plan import PAPERS
from study.record.intervals import FEWEST_SEEDS, MISSING, Estimate, estimate, interval_text
from study.show.wording import NORMALISED as NORMALISED_HEADINGS
from study.show.wording import NORMALISED_MEANS

MEASURES = ("rank1", "mAP_trapezoid", "mAP")
# Columns of intervals over people, and of which measure they are.
PEOPLE = {"rank1_people": "rank1", "mAP_people": "mAP"}
SEEDS_MEAN = "Mean ± 95 % t interval over seeds: another training of the same"
PEOPLE_MEAN = (
    f"{SEEDS_MEAN}. [low, high] over people: other test persons (95 % interval of {RESAMPLES:,} resamples of "
    "the test identities, the same for all runs)"
)
SELECTED_MEANS = "selected: the step with the highest score without labels"
HEADINGS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP_trapezoid": "mAP trapezoid",
    "mAP": "mAP",
    "rank1_people": "rank-1 [over people]",
    "mAP_people": "mAP [over people]",
    **NORMALISED_HEADINGS,
}


@dataclass(frozen=True)
class OverPeople:
    """A 95 % interval over test persons, in percent or points; NaN where queries were not kept."""

    low: float
    high: float

    def text(self, *, signed: bool = False) -> str:
        """`[33.2, 41.0]`; – without an interval."""
        if self.low != self.low:
            return MISSING
        return f"[{interval_text(self.low, signed=signed)}, {interval_text(self.high, signed=signed)}]"

    def columns(self, name: str) -> dict[str, float]:
        """Both ends, as columns of a table."""
        return {f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Point:
    """A metric of runs of one configuration, in percent: the mean, every seed's, and the ends over people."""

    mean: float
    seeds: pd.Series[float]
    low: float
    high: float


def point(found: Sequence[Run], metric: str, at: str) -> Point:
    """Of runs of one configuration; at: best, last, selected or untrained. NaN for what there is not."""
    seeds = by_seed(found, metric, at)
    return Point(float(seeds.mean()), seeds, *interval(over_people(found, metric, at)))


def people_of(found: Sequence[Run]) -> tuple[str, ...]:
    """The columns over people that a table has: none where no run has kept its queries."""
    return tuple(PEOPLE) if have_queries(found) else ()


def people(found: Sequence[Run], experiment: str, at: str) -> dict[str, OverPeople]:
    """Each of these columns' interval for an experiment."""
    of = runs_of(found, experiment)
    return {name: OverPeople(*interval(over_people(of, PEOPLE[name], at))) for name in people_of(found)}


def gain_over_people(
    found: Sequence[Run], experiment: str, base: str, metric: str, at: str
) -> dict[str, OverPeople]:
    """What an experiment has over another in other samples of people, over the seeds that both ran."""
    if not people_of(found):
        return {}
    contrast = contrast_over_people({experiment: 1.0, base: -1.0}, found, metric, at)
    return {"gain_people": OverPeople(*interval(contrast))}


def best_cells(
    found: Sequence[Run], experiments: Sequence[str], measures: Sequence[str], column: int
) -> tuple[frozenset[tuple[int, int]], str]:
    """(row, column) of what is not significantly below the best of its measure and step, and a word on it.

    Rows: every step told of for each experiment in turn; `column` is the first measure's.
    """
    steps, bold = steps_told(found), set()
    for (j, at), (k, name) in itertools.product(enumerate(steps), enumerate(measures)):
        best = best_set({each: of_experiment(found, each, name, at) for each in experiments})
        bold |= {(len(steps) * experiments.index(each) + j, column + k) for each in best}
    if bold:
        return frozenset(bold), " Bold: not significantly below the best of its column and step (5 %)."
    return frozenset(), f" None is bold as best: that takes {FEWEST_SEEDS} common seeds or more."


def measures_of(found: Sequence[Run], measures: Sequence[str] = MEASURES) -> tuple[str, ...]:
    """These measures, and those on test features normalised per camera that some run has."""
    return (*measures, *(name for name in NORMALISED if any(run.curve(name) for run in found)))


def means(
    found: Sequence[Run], experiment: str, at: str, measures: Sequence[str] = MEASURES
) -> dict[str, Estimate]:
    """Measure to its mean over seeds, in percent, at the best, the last or the selected step."""
    return {name: estimate(of_experiment(found, experiment, name, at)) for name in measures}


def cells(
    measured: Mapping[str, Estimate], over: Mapping[str, OverPeople], group: Group, experiment: str
) -> list[str]:
    """Means with intervals, then those over people; or why there are none."""
    if not any(value.n for value in measured.values()):
        return [why_missing(group, experiment), *[MISSING] * (len(measured) + len(over) - 1)]
    return [value.text() for value in measured.values()] + [value.text() for value in over.values()]


def numbers(
    experiment: str,
    at: str,
    measured: Mapping[str, Estimate],
    over: Mapping[str, OverPeople],
    printed: Published | None = None,
) -> dict[str, Any]:
    """The same as a row of numbers, with what the paper printed at the best step."""
    row: dict[str, Any] = {"experiment": experiment, "at": at, "runs": measured["rank1"].n}
    for name, value in measured.items():
        row |= value.columns(name)
    for name, ends in over.items():
        row |= ends.columns(name)
    if printed is not None and at == "best":
        row |= {"paper_rank1": printed.rank1, "paper_mAP": printed.mAP}
    return row


def caption(
    group: Group, found: Sequence[Run], published: bool, comparable: bool, plan: str = "tables"
) -> str:
    """What the cells are; published: beside the paper's, comparable: on its data and of its method.

    plan: what to run on more seeds.
    """
    text = (
        f"Percent. {PEOPLE_MEAN if people_of(found) else SEEDS_MEAN}. Gallery: {group.protocol}. "
        "best: the merge step with the highest mAP, chosen with test labels as the paper does; last: the "
        "last step, chosen without."
    )
    if "selected" in steps_told(found):
        text += f" {SELECTED_MEANS}."
    if len(measures_of(found)) > len(MEASURES):
        text += f" {NORMALISED_MEANS}."
    if any(run.diverged for run in found):
        text += " A run whose training diverged counts as 0 from there on."
    if published and found and max(Counter(run.setting for run in found).values()) == 1:
        text += f" One run of each setting: no interval and no verdict (more seeds: --plan {plan} --seeds 5)."
    if published:
        text += " The paper's mAP is of the trapezoid kind and of the best step."
    if published and group.preset != PAPERS:
        text += f" The paper's numbers are of its own method, these runs vary the preset {group.preset}."
    if published and group.base.data.split != "official":
        text += (
            " The paper's numbers are of the test split and only for orientation: these runs are trained on "
            "one half of the training identities and measured on the other "
            f"(--split {group.base.data.split})."
        )
    elif published and group.preset == PAPERS and not comparable:
        text += (
            " The paper's numbers are of other data and only for orientation: MARS has 8,298 training "
            f"tracklets, DukeMTMC-VideoReID 2,196, this {group.train_tracklets:,}."
        )
    return text
