"""The bound in tables and on the page: beside the base, never in its place, and called what it is."""

from __future__ import annotations

import html
import shlex
from typing import Any

import pytest

from analysis.data.results import Group, load
from analysis.data.runs import runs, runs_of
from analysis.page.reproduce import recipes
from analysis.report import main as report
from analysis.tables import heading, tables
from dcreid.config import Config
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import BOUND, BOUND_LABEL, BOUND_NOTE, FINAL
from study.command.effects import check_effects
from study.command.parser import parser
from study.command.resolve import options_in, resolve


def score(config: Config, step: int) -> float:
    """20 points above the method's, whose seeds differ by 1."""
    return 0.3 + (0.2 + 0.001 * config.seed) * config.trains_with_identities + 0.01 * config.seed


@pytest.fixture
def studies(make: Any) -> list[Any]:
    """The bound on three seeds, and the base of it in a study of its own."""
    bound, final = make("duke", name="bound", experiments="bound"), make("duke", experiments="fig3")
    bound.run_plan(3, score)
    final.run_plan(3, score)
    return [bound, final]


def group_of(*studies: Any) -> Group:
    (group,) = load([study.folder for study in studies]).groups
    return group


def test_its_table_sets_it_beside_the_base(studies: list[Any]) -> None:
    named = {table.name: table for table in tables(group_of(*studies))}
    assert "bound" in named
    table = named["bound"]
    rows = {row[:2]: row for row in table.rows}
    base, bound = rows["the base, without identities", "last"], rows[BOUND_LABEL, "last"]
    column = table.columns.index("mAP")
    assert base[column].startswith("31.0") and bound[column].startswith("51.1")
    assert base[-2:] == ("–", "–") and bound[-2] == "+20.1 ± 0.2"
    assert len(rows) == 4 and BOUND_NOTE in table.caption


def test_alone_it_has_nothing_to_stand_beside(studies: list[Any]) -> None:
    named = {table.name: table for table in tables(group_of(studies[0]))}
    assert "bound" in named
    table = named["bound"]
    assert [row[3] for row in table.rows[:2]] == ["not run", "not run"] and table.rows[2][2] == "3"


def test_no_other_experiment_takes_its_runs(studies: list[Any]) -> None:
    group = group_of(*studies)
    found = runs(group)
    bound, final = runs_of(found, BOUND), runs_of(found, FINAL)
    assert len(bound) == len(final) == 3 and all(run.experiments == (BOUND,) for run in bound)
    for table in tables(group):
        if table.name != "bound":
            assert not any(value > 45 for value in table.numbers.get("mAP", ())), table.name
    group = group_of(studies[1])
    assert not group.has_bound and "bound" not in {table.name for table in tables(group)}


def test_heading_and_page_say_that_it_is_no_result(studies: list[Any]) -> None:
    assert heading(group_of(studies[0])).endswith(f"\n{BOUND_NOTE}")
    assert BOUND_NOTE not in heading(group_of(studies[1]))
    folders = [str(study.folder) for study in studies]
    assert report(folders[:1]) == 0
    page = html.unescape((studies[0].folder / "analysis" / "report.html").read_text())
    assert f"<dd>plan bound, {BOUND_LABEL}; " in page
    said = page[page.index('class="said"') :]
    assert said.startswith(f'class="said">{BOUND_LABEL.capitalize()} comes from an mAP of ')
    assert BOUND_NOTE in said.split("</p>")[0]
    assert report(folders[1:]) == 0
    page = html.unescape((studies[1].folder / "analysis" / "report.html").read_text())
    assert BOUND_LABEL not in page and BOUND_NOTE not in page


@pytest.mark.parametrize("preset", ["paper", "buc"])
def test_the_command_runs_the_plan_over_its_base(make: Any, preset: str) -> None:
    base = laid_over(settings_of("synthetic"), preset, {"train.later_epochs": 4, "merge.max_steps": 3})
    made = make("synthetic", base=base, preset=preset, experiments="bound")
    made.run_plan(2, score)
    group = group_of(made)
    (recipe,) = recipes(runs(group), group)
    assert "--plan bound" in recipe.command and "identities" not in recipe.command
    words = shlex.split(recipe.command)[2:]
    plan = resolve(parser().parse_args(words))
    check_effects(options_in(words), plan)
    assert [item.config for _, item in plan.fixed_items()] == [run.config for run in runs(group)]
