"""Verdicts on studies whose truth is known, because it was made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.stats.claims import CLAIMS, claims_table, judge, published
from dcreid.config import Config

BY_TEXT = {claim.text: claim for claim in CLAIMS}


def noise(config: Config, step: int) -> float:
    """Small, different for every configuration and seed, the same in every process."""
    return int(config.digest()[:4], 16) / 65536 * 1e-4


def papers_world(config: Config, step: int) -> float:
    """Everything as the paper says."""
    merge, train = config.merge, config.train
    value = 0.3 + 0.02 * (merge.lambda1 > 0) + 0.05 * (merge.lambda2 > 0) + noise(config, step)
    value -= 0.1 * abs(merge.lambda1 - 0.06) + abs(merge.lambda2 - 0.003)
    value -= {0.05: 0.03, 0.08: 0.01, 0.3: 0.3}.get(train.temperature, 0.0)
    return value - 0.03 * (train.alpha_schedule == "fixed")


def verdicts(study) -> dict[str, str]:
    group = load([study.folder]).groups[0]
    found = runs(group)
    return {claim.text: judge(claim, found, group, "best").verdict for claim in CLAIMS}


def test_the_papers_world_supports_every_claim(make):
    study = make("duke", experiments="paper")
    study.run_plan(3, papers_world)
    assert set(verdicts(study).values()) == {"supported"}


def test_the_opposite_world_contradicts(make):
    study = make("duke", experiments="paper")
    study.run_plan(3, lambda config, step: 0.9 - papers_world(config, step))
    assert set(verdicts(study).values()) == {"contradicted"}


def test_noise_decides_nothing(make):
    study = make("duke", experiments="table1")
    study.run_plan(4, lambda config, step: 0.3 + noise(config, step))
    assert verdicts(study)["λ1 helps"] == "not decided"


def test_few_seeds_and_missing_runs_are_said(make):
    study = make("duke", experiments="table1")
    study.run_plan(2, papers_world)
    found = verdicts(study)
    assert found["λ1 helps"] == "not enough seeds (2 of at least 3)"
    assert found["growing α beats fixed"] == "not run: table2/fixed"
    assert found["τ = 0.1 is best"] == "not run: table3/0.05 and 2 more"


def test_only_seeds_that_both_ran_are_paired(make):
    study = make("duke", experiments="table2")
    study.run_plan(3, papers_world)
    study.trial(study.base.replace(seed=9), papers_world)
    group = load([study.folder]).groups[0]
    found = judge(BY_TEXT["growing α beats fixed"], runs(group), group, "last")
    assert found.mAP is not None and found.mAP.difference.n == 3
    assert found.mAP.difference.mean == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("λ1 helps", "MARS +0.9, Duke +0.4"),
        ("λ2 adds more than λ1 did", "MARS +0.3, Duke +3.0"),
        ("τ = 0.1 is best", "Duke +0.6"),
        ("λ1 = 0.06 is best", "curve only"),
    ],
)
def test_what_the_paper_printed(text: str, printed: str):
    assert published(BY_TEXT[text]) == printed


def test_no_cell_of_the_table_is_empty(make):
    study = make("duke", experiments="table1")
    study.run_plan(1, papers_world)
    group = load([study.folder]).groups[0]
    table = claims_table(runs(group), group)
    assert len(table.rows) == 2 * len(CLAIMS)
    assert all(cell for row in table.rows for cell in row)


# --- single numbers


def stand_ins(**experiments: dict[str, list[float]]) -> list[Any]:
    """Runs of experiments by name (`table3_0.1` is table3/0.1) with what they measured on seeds 0, 1, …"""
    return [
        SimpleNamespace(
            experiments=(name.replace("_", "/", 1),),
            trial=SimpleNamespace(seed=seed),
            diverged=False,
            value=lambda metric, at, seed=seed, measured=measured: measured[metric][seed],
        )
        for name, measured in experiments.items()
        for seed in range(len(measured["mAP_trapezoid"]))
    ]


def measured(*trapezoid: float, mAP: tuple[float, ...] = ()) -> dict[str, list[float]]:
    values = list(trapezoid)
    return {"mAP_trapezoid": values, "mAP": list(mAP) or values, "rank1": [v + 20.0 for v in values]}


def judged(text: str, runs: list[Any]) -> Any:
    return judge(BY_TEXT[text], runs, SimpleNamespace(studies=()), "best")


@pytest.mark.parametrize(
    ("hot", "verdict"), [((25.0, 26.0, 24.5), "supported"), ((40.0, 41.0, 39.5), "contradicted")]
)
def test_a_collapse_is_more_than_half(hot: tuple[float, ...], verdict: str):
    runs = stand_ins(**{"table3_0.1": measured(60.0, 61.5, 60.5), "table3_0.3": measured(*hot)})
    assert judged("τ = 0.3 collapses: below half of τ = 0.1", runs).verdict == verdict


def test_the_best_must_beat_every_other_and_the_closest_is_shown():
    own = measured(60.0, 61.5, 60.5)
    near, far = measured(60.1, 61.0, 60.6), measured(40.0, 41.0, 39.5)
    runs = stand_ins(**{"table3_0.1": own, "table3_0.05": far, "table3_0.08": near, "table3_0.3": far})
    found = judged("τ = 0.1 is best", runs)
    assert (found.verdict, found.against) == ("not decided", "over τ = 0.08")
    assert found.mAP.difference.mean == pytest.approx((-0.1 + 0.5 - 0.1) / 3)


def test_one_of_several_contradicts_only_if_it_is_more_than_bad_luck():
    # p = 0.034 for one value among three, 0.0034 for the other: 0.05 / 3 lies between.
    for above, verdict in (
        ((0.3, 2.0, 2.8, 0.5, 2.2), "not decided"),
        ((1.0, 2.0, 2.8, 1.5, 2.2), "contradicted"),
    ):
        own = [60.0 + 0.5 * seed for seed in range(len(above))]
        better = measured(*(value + d for value, d in zip(own, above, strict=True)))
        worse = measured(*(value - d for value, d in zip(own, above, strict=True)))
        runs = stand_ins(
            **{"table3_0.1": measured(*own), "table3_0.08": better, "table3_0.05": worse, "table3_0.3": worse}
        )
        assert judged("τ = 0.1 is best", runs).verdict == verdict


def test_the_papers_measure_decides():
    runs = stand_ins(
        table1_baseline=measured(40.0, 41.0, 42.0, mAP=(44.0, 45.0, 46.0)),
        table1_lambda1=measured(41.0, 42.1, 42.9, mAP=(43.0, 44.1, 44.9)),
    )
    found = judged("λ1 helps", runs)
    assert found.verdict == "supported" and found.mAP.difference.mean == pytest.approx(1.0)
    assert found.rank1.difference.mean == pytest.approx(1.0)
