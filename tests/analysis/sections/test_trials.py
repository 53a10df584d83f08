"""The table of all trials and their curves, compared with the ledger; and both in a real browser."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from browser import WIDTHS, draw_all, opened, overflowing
from page_parts import records, specs, table

from analysis.data.results import Group, load
from analysis.page import frame
from analysis.sections.trials import entries, trial_table, trials
from dcreid.config import Config
from study.record.ledger import TrialRecord

EVIL = "<img src=x onerror=\"document.title='broken in'\">"


def score(config: Config, step: int) -> float:
    """mAP that tells trials and steps apart, highest at step 2."""
    return 0.2 + config.merge.lambda1 / 10 + 0.01 * (2 * step - step * step / 2)


@pytest.fixture
def study(make, lambdas_space):
    """A search with a trial in every state."""
    made = make("duke", space=lambdas_space)
    for lambda1, state, steps, origin, reason in (
        (0.06, "complete", 3, "paper", None),
        (0.5, "pruned", 1, "search", "by asha after merge step 1"),
        (0.2, "complete", 3, "search", None),
        (0.1, "failed", 2, "search", f"out of memory {EVIL}"),
        (0.3, "diverged", 1, "search", "loss was NaN in stage 2"),
        (0.4, "running", 2, "given", None),
    ):
        config = made.base.replace(**{"merge.lambda1": lambda1})
        scores = lambda config, step: {"unlabelled": 0.1 * step}  # noqa: E731
        made.trial(config, score, state=state, steps=steps, origin=origin, reason=reason, scores=scores)
    return made


def group_of(made) -> Group:
    return load([made.folder]).groups[0]


def table_of(group: Group) -> str:
    return str(trial_table(entries(group), group, "isolated"))


def by_trial(body: str) -> dict[str, dict[str, str]]:
    return {row["trial"]: row for row in table(body)[0]}


def test_every_trial_is_a_row_the_best_first_what_did_not_end_last(study):
    rows, attributes = table(table_of(group_of(study)))
    assert [row["trial"] for row in rows] == ["2", "0", "4", "1", "5", "3"]
    assert [row["data-value"] for row in attributes] == ["2", "0", "4", "1", "5", "3"]
    assert [row["data-state"] for row in attributes] == [
        *("complete", "complete", "diverged", "pruned", "running", "failed"),
    ]
    assert attributes[1]["data-origin"] == "paper"


def test_cells_are_the_ledgers_values(study):
    rows = by_trial(table_of(group_of(study)))
    record = study.ledger.trials[2]
    assert rows["2"]["mAP last"] == f"{100 * record.steps[3]['mAP']:.1f}"
    assert rows["2"]["mAP best"] == f"{100 * record.steps[2]['mAP']:.1f}" != rows["2"]["mAP last"]
    assert rows["2"]["mAP selected"] == f"{100 * record.steps[3]['mAP']:.1f}"  # the score rises to the end
    assert rows["2"]["rank-1"] == f"{100 * record.steps[3]['rank1']:.1f}"
    assert (rows["2"]["classes"], rows["2"]["steps"]) == (str(record.steps[3]["classes_after"]), "3 of 3")
    assert (rows["2"]["seed"], rows["2"]["origin"], rows["2"]["time"]) == ("0", "search", "0:09")
    assert rows["2"]["configuration"] == "λ1 0.2, seed 0" and rows["2"]["λ1"] == "0.2"


def test_what_has_not_come_to_its_end_is_in_brackets_and_divergence_counts_as_zero(study):
    rows = by_trial(table_of(group_of(study)))
    assert rows["1"]["mAP last"] == f"({100 * study.ledger.trials[1].steps[1]['mAP']:.1f})"
    assert rows["5"]["mAP last"].startswith("(")
    assert rows["4"]["mAP last"] == rows["4"]["rank-1"] == rows["4"]["mAP selected"] == "0.0"
    assert rows["4"]["mAP best"] == f"{100 * study.ledger.trials[4].steps[1]['mAP']:.1f}"


def test_states_say_their_reasons_as_text(study):
    body = table_of(group_of(study))
    rows = by_trial(body)
    assert rows["3"]["state"] == f"failedout of memory {EVIL}"
    assert "<img" not in body and rows["4"]["state"] == "divergedloss was NaN in stage 2"
    assert rows["1"]["state"] == "pruned" and 'title="by asha after merge step 1"' in body
    assert rows["5"]["state"] == "not finished"


def test_only_what_varies_has_a_column_and_what_does_not_count_is_no_value(make):
    from search_spaces.spaces import load_space

    made = make("duke", space=load_space("full").to_dict())
    made.trial(made.base, origin="paper")
    other = made.base.replace(**{"merge.distance": "jaccard", "merge.lambda1": 0.4, "merge.k1": 10})
    made.trial(other, origin="search")
    rows = by_trial(table_of(group_of(made)))
    assert (rows["0"]["distance"], rows["1"]["distance"]) == ("euclidean", "jaccard")
    assert (rows["0"]["k1"], rows["1"]["k1"]) == ("–", "10")
    assert "λ1" in rows["0"] and "τ" not in rows["0"]


def test_curves_are_the_ledgers_and_end_as_their_trials_did(study):
    curve_of, *others = specs(trials(group_of(study)).body)
    held = {one["key"]: one for one in records(curve_of, "configuration")}
    assert len(held) == 6 and held["2"]["step"] == [0, 1, 2, 3]
    assert held["2"]["value"] == [round(100 * study.ledger.trials[2].steps[s]["mAP"], 3) for s in range(4)]
    assert held["4"]["step"] == [0, 1, 2] and held["4"]["value"][-1] == 0
    marks = {(one["key"], one["step"], one["mark"]) for one in records(curve_of, "mark")}
    assert ("1", 1, "where it was pruned") in marks and ("4", 2, "where it diverged") in marks
    assert ("2", 3, "selected step") in marks and len(marks) == 4
    rank1, unlabelled, classes, largest, loss = (
        {one["key"]: one for one in records(spec, "kind")} for spec in others
    )
    assert rank1["4"]["value"][-1] == unlabelled["4"]["value"][-1] == 0
    assert classes["4"]["value"] == [100, 80] and loss["2"]["step"] == [1, 2, 3]
    assert unlabelled["2"]["value"] == [0, 10, 20, 30] and largest["2"]["value"] == [5, 10, 15]


def test_in_a_plan_trials_stay_in_order(make):
    made = make("duke", experiments="table1")
    made.run_plan(2, lambda config, step: 0.3 + config.seed / 10)
    numbers = [row["trial"] for row in table(table_of(group_of(made)))[0]]
    assert numbers == [str(number) for number in range(6)]


def test_without_labels_scores_stand_where_map_would(nobody_labelled):
    body = trials(group_of(nobody_labelled)).body
    rows = by_trial(body)
    assert (rows["2"]["selected"], rows["2"]["score"], rows["2"]["self-retrieval"]) == ("2", "60.0", "65.0")
    assert rows["2"]["camera excess"] == "24.0" and "mAP last" not in rows["2"]
    assert rows["1"]["score"] == "(90.0)" and rows["3"]["score"] == "0.0" and rows["3"]["selected"] == "–"
    first, *others = specs(body)
    held = {one["key"]: one for one in records(first, "configuration")}
    assert held["2"]["value"] == pytest.approx([40, 50, 60, 50]) and held["3"]["value"][-1] == 0
    assert len(others) >= 4  # self-retrieval, camera excess, same camera, classes


def test_of_several_studies_each_is_named(make, lambdas_space):
    one, other = (make("duke", name=name, space=lambdas_space) for name in ("one", EVIL))
    for made in (one, other):
        made.trial(made.base, origin="paper")
    group = load([one.folder, other.folder]).groups[0]
    rows, attributes = table(table_of(group))
    assert [row["study"] for row in rows] == ["one", EVIL]
    assert [row["data-value"] for row in attributes] == ["0/0", "1/0"]
    assert [entry.name for entry in entries(group)] == ["one, trial 0", f"{EVIL}, trial 0"]


def test_groups_on_one_page_are_isolated_apart(study):
    made = trials(group_of(study), suffix="2", heading="Trials: other")
    assert (made.key, made.heading) == ("trials2", "Trials: other")
    assert 'data-isolates="isolated2"' in made.body and 'data-isolates="isolated"' not in made.body
    assert all(any(one["name"] == "isolated2" for one in spec["params"]) for spec in specs(made.body))


def test_a_trial_that_has_reported_nothing_is_a_row(make, lambdas_space):
    made = make("duke", space=lambdas_space)
    made.trial(made.base, origin="paper", steps=-1, state="running")
    body = trials(load([made.folder], finished=False).groups[0]).body
    assert by_trial(body)["0"]["mAP last"] == by_trial(body)["0"]["time"] == "–" and specs(body) == []


def many(group: Group, count: int) -> Group:
    """The group with its complete trials again and again, under numbers of their own."""
    (study,) = group.studies
    complete = [trial for trial in study.trials if trial.state == "complete"]
    copies = [dataclasses.replace(complete[i % len(complete)], number=i) for i in range(count)]
    assert isinstance(copies[0], TrialRecord)
    return Group(group.name, (dataclasses.replace(study, trials=tuple(copies)),))


def test_a_page_of_many_trials_stays_small(study):
    body = table_of(many(group_of(study), 200))
    assert len(table(body)[0]) == 200 and len(body) < 200 * 1_500


@pytest.fixture
def page_file(study, tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    text = frame.page(f"Study {EVIL}", [trials(group_of(study))])
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_all_is_drawn_and_nothing_is_wrong(page_file: Path, width: int):
    with opened(page_file, width) as (page, wrong):
        assert draw_all(page) == []
        assert wrong == [] and overflowing(page) <= 0
        assert page.title() == f"Study {EVIL}" and page.query_selector("main img") is None


def test_in_a_browser_the_table_sorts_filters_and_isolates(page_file: Path):
    with opened(page_file) as (page, _):
        draw_all(page)
        numbers = "[...document.querySelectorAll('tbody tr')].map(one => one.dataset.value).join()"
        page.click("th:has-text('mAP best')")
        assert page.evaluate(numbers) == "1,5,4,2,3,0"  # by λ1, as the score is
        page.click("th:has-text('λ1')")
        page.click("th:has-text('λ1')")
        assert page.evaluate(numbers) == "0,3,2,4,5,1"
        page.select_option("select[data-key=state]", "diverged")
        assert page.inner_text(".count") == "1" and page.is_visible("tr[data-value='4']")
        assert not page.is_visible("tr[data-value='2']")
        page.click("tr[data-value='4']")
        dimmed = "one.querySelector('.alive path[opacity=\"0.07\"]')"
        faint = f"() => [...document.querySelectorAll('.chart')].every(one => {dimmed})"
        page.wait_for_function(faint, timeout=5000)


def test_in_a_browser_the_nearest_point_answers(page_file: Path):
    with opened(page_file) as (page, _):
        draw_all(page)
        page.hover(".chart .alive svg")
        page.wait_for_selector("#vg-tooltip-element.visible", timeout=5000)
        said = page.inner_text("#vg-tooltip-element")
        assert "configuration" in said and "merge step" in said and "mAP (%)" in said


def test_without_scripts_the_whole_table_and_all_pictures_are_there(page_file: Path):
    with opened(page_file, scripts=False) as (page, _):
        assert len(page.query_selector_all(".chart .drawn > svg")) == 6
        assert page.is_visible("tr[data-value='3']") and page.is_visible("text=out of memory")
