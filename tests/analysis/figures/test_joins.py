"""The joins as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from made_joins import JOINS, NAN, joins_of_step

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.figures.joins import final_joins_figure, joins_figure
from analysis.stats.joins import CAUSES, with_causes
from dcreid.config import Config
from dcreid.evaluation.joins import UNKNOWN
from dcreid.presets import settings_of
from study.record.trial_tables import joins_table as table_of


def test_bars_are_means_over_runs(recorded: Any) -> None:
    one, other = (with_causes(table_of([joins_of_step()] * steps), Config().merge) for steps in (2, 1))
    figure = joins_figure([one, other])
    assert not isinstance(figure, str)
    identity, camera, cause = figure.axes
    heights = [[bar.get_height() for bar in stack] for stack in identity.containers]
    assert heights == [[1.0, 0.5], [4.0, 2.0]]
    assert sum(bar.get_height() for stack in camera.containers for bar in stack) == 7.5
    assert [text.get_text() for text in cause.get_legend().get_texts()] == [
        name for _, name in CAUSES.values()
    ]
    assert not isinstance(final_joins_figure(runs(recorded)), str)


def test_what_is_missing_is_said(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig4")
    assert final_joins_figure([]) == "the final setting was not run to its end (any plan has it)"
    made.trial(made.base, labels=("fig3/final",))
    assert final_joins_figure(runs(load([made.folder]).groups[0])) == "not recorded"


def test_classes_made_anew_have_no_joins_to_draw(make: Callable[..., Any]) -> None:
    base = settings_of("duke").replace(**{"merge.method": "anew"})
    made = make("duke", base=base, experiments="fig4")
    made.trial(made.base, labels=("fig3/final",))
    told = "no joins: classes are made anew at every step"
    assert final_joins_figure(runs(load([made.folder]).groups[0])) == told
    nothing = with_causes(table_of([joins_of_step()]), Config().merge)[:0]
    assert joins_figure([nothing]) == told


def test_without_identities_there_is_no_picture() -> None:
    blind = [(*row[:3], UNKNOWN, row[4], NAN, NAN, NAN) for row in JOINS]
    table = with_causes(table_of([joins_of_step(blind)]), Config().merge)
    assert joins_figure([table]) == "the training tracklets have no identities"
