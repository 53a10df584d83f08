"""The paper's section: what was run is on it, what was not is named once; in a real browser too."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import WIDTHS, draw_all, opened, overflowing
from made_joins import joins_of_step
from specs import drawn, records

from analysis.data.results import Group, load
from analysis.page import frame
from analysis.page.typeset import Table
from analysis.sections.paper import of_runs, paper
from dcreid.config import Config
from search_spaces.paper import BOUND_LABEL
from study.record.storage import Storage
from study.record.trial_tables import save_joins


def group_of(*studies: Any) -> Group:
    return load([study.folder for study in studies]).groups[0]


def body_of(*groups: Group) -> str:
    section = paper(groups)
    assert section is not None
    return str(section.body)


def specs_of(body: str) -> list[dict[str, Any]]:
    return [
        json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', body, re.S)
    ]


def words_of(body: str) -> str:
    """What is read on it, without charts."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|svg).*?</\1>", "", body, flags=re.S))
    return " ".join(html.unescape(text).split())


def headings_of(body: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r"<h3>(.*?)</h3>", body)]


def peaked(config: Config, step: int) -> float:
    """λ1 and λ2 help, and help each other; noise by seed."""
    merge = config.merge
    helped = 0.02 * (merge.lambda1 > 0) + 0.04 * (merge.lambda2 > 0)
    noise = 0.002 * np.sin(config.seed * 7 + merge.lambda1 * 300 + merge.lambda2 * 2000)
    noise += 0.002 * np.sin(config.seed * 3 + config.train.temperature * 70)
    noise += 0.002 * np.sin(config.seed * 5 * len(config.train.alpha_schedule))
    return 0.2 + 0.02 * step + helped + noise


def test_a_whole_plan_has_every_part_and_nothing_is_missing(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="paper")
    made.run_plan(3, peaked)
    body = body_of(group_of(made))
    found = "\n".join(headings_of(body))
    for part in ("What the paper claims", "Table 1:", "Table 2:", "Table 3:", "Table 5:", "Fig 3:", "Fig 4:",
                 "Fig 5:", "Table 3 as a curve", "End value of", "how the classes grew"):  # fmt: skip
        assert part in found
    assert "not run" not in words_of(body)
    assert body.count("<h3>The largest") == 0 and words_of(body).count("The largest class, by criterion") == 1


def test_planted_differences_come_out_in_the_forest(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="table1")
    made.run_plan(3, peaked)
    forest = specs_of(body_of(group_of(made)))[0]
    values = records(forest)
    means = {one["heading"]: one for one in values if "label" in one and one["label"] == "last"}
    assert means["λ1 helps"]["value"] == pytest.approx(2, abs=0.5)
    assert means["λ2 helps on top of λ1"]["value"] == pytest.approx(4, abs=0.5)
    assert means["λ2 helps on top of λ1"]["kind"] == "supported"
    papers = {one["heading"]: one["value"] for one in values if one.get("kind") == "paper"}
    assert papers["λ1 helps"] == pytest.approx(0.4) and papers["λ2 helps on top of λ1"] == pytest.approx(3.4)
    assert not {one.get("label") for one in values} & {"best"}


def test_what_was_not_run_is_named_once_with_the_command(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="table1")
    made.run_plan(2, peaked)
    body = body_of(group_of(made))
    found = "\n".join(headings_of(body))
    assert "Table 1:" in found and "Table 5:" in found and "Fig 4" not in found and "curve" not in found
    words = words_of(body)
    assert words.count("not run") == 1
    assert (
        "not run to an end here: Table 2, Table 3, Fig 4, Fig 5 (2 of 8 settings), end values of α." in words
    )
    assert f"--plan paper --seeds 3 --dataset duke --reuse {made.folder}" in words
    assert "--plan rivals" in words


def test_an_unfinished_plan_goes_on(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="paper")
    made.trial(made.base, labels=("fig3/final",))
    words = words_of(body_of(group_of(made)))
    assert f"python study/run.py --resume {made.folder}" in words


def test_rows_without_runs_are_left_out_and_tables_without_any() -> None:
    def table(columns: tuple[str, ...], *rows: tuple[str, ...], name: str = "t") -> Table:
        return Table(name, "t", columns, rows, "", pd.DataFrame())

    mixed = of_runs(table(("method", "runs"), ("quoted", "–"), ("ours", "3, 1 diverged"), ("other", "0")))
    assert mixed is not None and mixed.rows == (("quoted", "–"), ("ours", "3, 1 diverged"))
    assert of_runs(table(("method", "runs"), ("quoted", "–"), ("ours", "0"))) is None
    first_lost = dataclasses.replace(
        table(("method", "runs"), ("other", "0"), ("ours", "3"), ("third", "3")),
        bold=frozenset({(0, 1), (2, 1)}),
    )
    shown = of_runs(first_lost)
    assert shown is not None and shown.bold == {(1, 1)} and shown.rows[1][0] == "third"
    lone = (("α", "runs"), ("linear", "3"), ("linear", "3"), ("fixed", "0"))
    assert of_runs(table(*lone)) is not None and of_runs(table(*lone, name="table2")) is None
    claims = of_runs(table(("claim", "seeds"), ("a", "–"), ("b", "3")))
    assert claims is not None and claims.rows == (("b", "3"),)


def test_without_a_finished_run_or_without_labels_there_is_no_section(
    make: Callable[..., Any], nobody_labelled: Any
) -> None:
    made = make("duke", name="begun", experiments="table1")
    made.trial(made.base, state="running", steps=1)
    begun = load([made.folder], finished=False).groups[0]
    assert paper([begun]) is None and paper([group_of(nobody_labelled)]) is None


def test_a_caption_that_tables_share_stands_once(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="tables")
    made.run_plan(1)
    captions = re.findall(r"<p class=caption>(.*?)</p>", body_of(group_of(made)))
    assert len(captions) == len(set(captions))


def test_the_papers_numbers_are_drawn_on_its_own_data_alone(make: Callable[..., Any]) -> None:
    def papers(made: Any) -> set[float]:
        specs = specs_of(body_of(group_of(made)))[1:]  # behind the claims
        held = [one for spec in specs for one in records(spec)]
        return {
            one["value"]
            for one in held
            if one.get("series") == "paper" or one.get("text", "").startswith("paper")
        }

    own, part = make("duke", "own", experiments="tables"), make("duke", "part", experiments="tables")
    part.write_description(
        name="a part", fingerprint="f" * 16, protocol="gallery of 12 rows", train_tracklets=100,
        test_tracklets=40, queries=12, labelled=True, problems=[],
    )  # fmt: skip
    for made in (own, part):
        made.run_plan(1)
    tau = {72.6, 74.4, 75.4, 33.9, 63.6, 66.8, 67.4, 25.5}
    criteria = {70.8, 71.4, 75.4, 63.6, 64.0, 67.4}
    assert papers(own) == tau | criteria and papers(part) == set()


def test_variants_rivals_and_the_bound_have_charts_and_names(make: Callable[..., Any]) -> None:
    choices, bound, rivals = (
        make("duke", name, experiments=name) for name in ("choices", "bound", "rivals")
    )  # fmt: skip
    for made in (choices, bound, rivals):
        made.run_plan(3, peaked)
    bound.trial(bound.base, peaked, labels=("fig3/final",))
    body = body_of(group_of(choices, bound, rivals))
    found = "\n".join(headings_of(body))
    for part in ("what the paper leaves open", "training with identities", "rivals with the same frames"):
        assert part in found
    specs = json.dumps(specs_of(body), ensure_ascii=False)
    assert BOUND_LABEL in specs and "BUC" in specs and "this method beats BUC in mAP" in specs
    gains = [
        one for spec in specs_of(body) for one in records(spec)
        if one.get("heading") == "intra pairs for samples" and "label" in one
    ]  # fmt: skip
    assert [one["value"] for one in gains] == [0] and gains[0]["dots"].count("seed") == 3


def test_gains_are_corrected_for_their_number(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="choices")

    def score(config: Config, step: int) -> float:
        gain = 0.003 * (-1) ** config.seed  # of what is worth nothing
        if config.merge.distance == "squared":
            gain = 0.01 + 0.002 * config.seed  # p 0.009, of the one alone
        return 0.3 + 0.002 * step + (0.0 if config == made.base.replace(seed=config.seed) else gain)

    made.run_plan(3, score)
    (forest,) = [one for one in specs_of(body_of(group_of(made))) if "gain in" in json.dumps(one)]
    means = [one for one in drawn(forest, "point") if "label" in one]
    squared = next(one for one in means if one["heading"].startswith("distance"))
    assert squared["value"] == pytest.approx(1.2) and squared["more"] == "p 0.1"
    assert squared["kind"] == "not decided" and len(means) == 11


def test_runs_that_diverged_are_counted(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig3")
    made.trial(made.base, peaked, labels=("fig3/final",))
    made.trial(made.base.replace(seed=1), peaked, state="diverged", steps=1, labels=("fig3/final",))
    assert "2 seeds, 1 run diverged" in words_of(body_of(group_of(made)))


@pytest.fixture(scope="module")
def made_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paper") / "page.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_every_chart_is_drawn(make: Callable[..., Any], made_page: Path, width: int) -> None:
    if not made_page.exists():
        made = make("duke", experiments="tables")
        made.run_plan(3, peaked)
        for number in made.ledger.trials:
            save_joins(Storage(str(made.folder / "trials" / f"{number:04d}")), [joins_of_step()], {})
        section = paper([group_of(made)])
        assert section is not None
        made_page.write_text(frame.page("Study", [section]), encoding="utf-8")
    with opened(made_page, width) as (page, wrong):
        assert draw_all(page) == [] and wrong == [] and overflowing(page) <= 0
        shown = "[...document.querySelectorAll('.chart .alive')].map(one => one.textContent).join(' ')"
        text = page.evaluate(shown)
        assert "supported" in text and "not decided, p" in text and "right, one camera" in text


def test_a_click_in_the_legend_shows_the_best_step(
    make: Callable[..., Any], made_page: Path, tmp_path: Path
) -> None:
    made = make("duke", experiments="table3")
    made.run_plan(1, lambda config, step: 0.3 + config.train.temperature - 0.01 * step)
    section = paper([group_of(made)])
    assert section is not None
    path = tmp_path / "page.html"
    path.write_text(frame.page("Study", [section]), encoding="utf-8")
    with opened(path) as (page, wrong):
        draw_all(page)
        chart = page.locator(".chart", has_text="mAP trapezoid by τ").locator(".alive")
        marks = chart.locator("path[aria-roledescription='point']")
        before = marks.count()
        chart.get_by_text("best step").click()
        page.wait_for_timeout(300)
        assert marks.count() > before and wrong == []


def test_a_confirmed_search_shows_its_gains_on_fresh_seeds(
    make: Callable[..., Any], lambdas_space: Any
) -> None:
    made = make("duke", space=lambdas_space, objective="last")
    better = made.base.replace(**{"merge.lambda1": 0.2})
    made.trial(made.base, origin="paper")
    made.trial(better, lambda config, step: 0.9, origin="search")
    assert "fresh seeds" not in body_of(group_of(made))  # nothing is confirmed yet
    for seed in (100, 101, 102):
        noise = 0.01 * np.sin(seed)
        made.trial(made.base.replace(seed=seed), lambda config, step: 0.3, origin="confirm")
        made.trial(better.replace(seed=seed), lambda config, step, n=noise: 0.5 + n, origin="confirm")
    body = body_of(group_of(made))
    specs = [one for one in specs_of(body) if "gain in mAP over" in json.dumps(one, ensure_ascii=False)]
    means = [one for one in drawn(specs[0], "point", heading="λ1 0.2") if "label" in one]
    assert [(one["label"], one["kind"]) for one in means] == [("last", "better")]
    assert means[0]["value"] == pytest.approx(20 + np.mean(np.sin([100, 101, 102])), abs=1e-6)
    assert "90.0 when chosen" in means[0]["more"]
