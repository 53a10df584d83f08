"""What a page opens with: the right configuration, the right numbers, and the command for what is missing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from analysis.data.results import Group, load
from analysis.sections.answer import answer, points, standings
from analysis.stats.findings import findings
from search_spaces.paper import FINAL


def group_of(*folders) -> Group:
    return load(folders, finished=False).groups[0]


def specs(text: str) -> list[dict[str, Any]]:
    """The charts of a part of a page."""
    return [
        json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', text, re.S)
    ]


def rows_of(chart: dict[str, Any], layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of a layer, or of the whole chart."""
    data = layer.get("data", chart.get("data"))
    found: list[dict[str, Any]] = data["values"] if "values" in data else chart["datasets"][data["name"]]
    return found


def plain(text: str) -> str:
    """Without the marks that keep options unbroken."""
    return re.sub(r"</?span[^>]*>", "", text)


def said(text: str) -> str:
    found = re.search(r'<p class="said">(.*?)</p>', text, re.S)
    assert found is not None
    return found[1].replace("&#39;", "'")


def planned(config, step: int) -> float:
    """From 10 % untrained by 5 points a step, a point more for every seed."""
    return 0.10 + 0.05 * step + 0.01 * config.seed


def test_a_plan_of_three_seeds_is_told_by_its_means(make):
    study = make("duke", experiments="fig3")
    study.run_plan(3, planned)
    text = plain(answer(group_of(study.folder)))
    assert said(text) == (
        "The paper's configuration comes from an mAP of 11.0 ± 2.5 % untrained to 26.0 ± 2.5 % at its last "
        "merge step (3 seeds, 95 % interval)."
    )
    assert 'class="missing"' not in text


def test_every_seed_is_a_dot_at_every_step(make):
    study = make("duke", experiments="fig3")
    study.run_plan(2, planned, scores=lambda config, step: {"unlabelled": 0.5 - 0.1 * abs(step - 2)})
    rows = [row for row in points(standings(group_of(study.folder))) if row["measure"] == "mAP"]
    found = {(row["step"], row["seed"]): pytest.approx(row["value"]) for row in rows}
    expected = {"untrained": 10, "last": 25, "selected": 20, "best": 25}
    assert found == {(at, seed): value + seed for at, value in expected.items() for seed in (0, 1)}


def test_the_papers_number_stands_at_the_best_step_on_its_own_data_only(make):
    whole = make("duke", name="whole", experiments="fig3")
    whole.run_plan(1, planned)
    small = make("duke", name="small", experiments="fig3")
    small.run_plan(1, planned)
    described = small.folder / "study.json"
    described.write_text(described.read_text().replace("2196", "600"))
    (chart,) = specs(answer(group_of(whole.folder)))
    diamonds = [layer for layer in chart["layer"] if layer["mark"].get("shape") == "diamond"]
    values = rows_of(chart, diamonds[0])
    assert {(row["step"], row["measure"], row["value"]) for row in values} == {
        ("best", "mAP trapezoid", 67.4), ("best", "rank-1", 75.4)
    }  # fmt: skip
    assert chart["params"][0]["value"] == "mAP trapezoid"
    (chart,) = specs(answer(group_of(small.folder)))
    assert all(layer["mark"].get("shape") != "diamond" for layer in chart["layer"])
    assert chart["params"][0]["value"] == "mAP"


def test_the_best_of_a_search_is_called_lucky_until_it_is_confirmed(make, lambdas_space):
    study = make("duke", space=lambdas_space, samples=3)
    base = study.base
    study.trial(base, planned, origin="paper")
    for lambda1, value in ((0.2, 0.3), (0.3, 0.4)):
        config = base.replace(**{"merge.lambda1": lambda1})
        study.trial(config, lambda _, step, value=value: value if step else 0.1, origin="search")
    text = plain(answer(group_of(study.folder)))
    assert "The search's best, trial 2, has 40.0 %: the best of 2 runs is too good by its luck." in said(text)
    assert "λ1 0.3" in text and "--confirm 3 --seeds 5" in text
    for seed in (7, 8):
        study.trial(
            base.replace(**{"merge.lambda1": 0.2, "seed": seed}), lambda _, step: 0.35, origin="confirm"
        )
        study.trial(
            base.replace(**{"merge.lambda1": 0.3, "seed": seed}), lambda _, step: 0.22, origin="confirm"
        )
    text = plain(answer(group_of(study.folder)))
    assert "The search's choice, trial 1, on fresh seeds: 35.0, 35.0 %." in said(text)
    assert "--confirm" not in text and "luck" not in text


@pytest.mark.parametrize(("gain", "verdict"), [(0.15, "better, p "), (0.0, "not decided, p ")])
def test_a_confirmed_choice_is_set_against_the_papers(make, lambdas_space, gain, verdict):
    study = make("duke", space=lambdas_space, samples=2)
    study.trial(study.base, planned, origin="paper")
    chosen = study.base.replace(**{"merge.lambda1": 0.2})
    study.trial(chosen, lambda _, step: 0.4, origin="search")
    for seed, noise in ((7, 0.001), (8, -0.002), (9, 0.001)):
        for config, value in ((study.base, 0.2 + noise), (chosen, 0.2 + gain - noise)):
            study.trial(config.replace(seed=seed), lambda _, step, v=value: v, origin="confirm")
    sentence = answer_text(study)
    mean = 100 * (0.2 + gain)
    assert f"The search's choice, trial 1, on fresh seeds: {mean:.1f} ± " in sentence
    assert f"points against the paper's ({verdict}" in sentence and "corrected" not in sentence


def answer_text(study) -> str:
    return said(answer(group_of(study.folder)))


def test_a_run_that_diverged_counts_as_0_and_is_named(make):
    study = make("duke", experiments="fig3")
    study.run_plan(1, planned)
    study.trial(study.base.replace(seed=1), planned, state="diverged", steps=1, reason="nan", labels=(FINAL,))
    assert "to 25.0, 0.0 % at its last merge step (two seeds, 1 diverged)" in said(
        answer(group_of(study.folder))
    )


@pytest.mark.parametrize(
    ("state", "missing", "command"),
    [
        ("running", "1 run of study not finished", "study/run.py --resume"),
        ("failed", "1 trial of study failed", "--retry-failed"),
    ],
)
def test_what_is_missing_is_named_with_its_command(make, state, missing, command):
    study = make("duke", experiments="fig3")
    study.run_plan(3, planned)
    study.trial(study.base.replace(seed=9), state=state, steps=1, reason="no memory")
    text = plain(answer(group_of(study.folder)))
    assert missing in text and command in text


def test_one_seed_asks_for_more(make):
    study = make("duke", experiments="fig3")
    study.run_plan(1, planned)
    text = plain(answer(group_of(study.folder)))
    assert "1 seed: an interval and a verdict take 3" in text and "--seeds 3" in text


def test_without_labels_the_score_is_told_and_nothing_of_map(nobody_labelled):
    text = plain(answer(group_of(nobody_labelled.folder)))
    assert said(text).startswith(
        "Of 6 trials the score without labels chooses trial 2 at merge step 2 of 3: 60.0 %, untrained "
        "40.0 %. Its 60 classes hold 96 tracklets, the largest 10"
    )
    assert "mAP" not in text
    (chart,) = specs(text)
    values = {(row["score"], row["at"]): row["value"] for row in rows_of(chart, chart["layer"][0])}
    assert values["score", "untrained"] == pytest.approx(40)
    assert values["score", "selected"] == pytest.approx(60)


def test_nothing_has_ended_yet(make):
    study = make("duke")
    study.trial(study.base, state="running", steps=1)
    assert said(answer(group_of(study.folder))) == "No run has ended yet; 1 trial has been measured."


def test_the_papers_claims_are_counted_at_the_last_step(make):
    study = make("duke", experiments="table3")

    def collapsing(config, step):
        lost = 0.3 if config.train.temperature == 0.3 else 0.0
        return 0.4 + 0.05 * step - lost + 0.001 * (config.seed + 1) * (1 + 10 * config.train.temperature)

    study.run_plan(4, collapsing, scores=lambda config, step: {"unlabelled": 0.5 - 0.1 * abs(step - 2)})
    group = group_of(study.folder)
    assert said(answer(group, findings([group]))).endswith(
        "Of 2 claims of the paper that could be tested at the last step: 1 in the best set, 1 supported."
    )


def test_runs_of_a_plan_that_have_not_begun_are_missing_too(make):
    study = make("duke", experiments="table1", seeds=2)
    study.trial(study.base, planned, labels=(FINAL,))
    assert "5 of 6 runs of study not finished" in answer(group_of(study.folder))
