"""Verdicts on studies whose truth is known, because it was made up."""

from __future__ import annotations

import pytest

from analysis.claims import CLAIMS, claims_table, judge, published
from analysis.results import load
from analysis.runs import runs
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
