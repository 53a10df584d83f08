"""What the paper claims: each of its sentences, and no other; what it printed; numbers of curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.data.results import Group, load
from analysis.data.runs import runs
from analysis.stats.claims import (
    Claim,
    Contrast,
    claims,
    flattening,
    flattening_not_falling,
    rise,
)
from dcreid.presets import settings_of
from search_spaces.paper import FINAL

MARGINS = [
    f"this method beats {rival} in {measure} (same frames and epochs)"
    for rival in ("BUC", "OIM")
    for measure in ("mAP", "rank-1")
]


def group_of(study) -> Group:
    study.trial(study.base)
    return load([study.folder]).groups[0]


def by_text(group: Group) -> dict[str, Claim]:
    return {claim.text: claim for claim in claims(group)}


def test_they_are_the_papers_and_no_others(make):
    """Tables 1 to 5, Figs 3 to 5, and the end values of α; the printed margins on the paper's data only."""
    assert list(by_text(group_of(make("synthetic")))) == [
        "λ1 helps",
        "λ2 helps on top of λ1",
        "growing α beats fixed",
        "τ = 0.1 is best",
        "τ = 0.3 collapses: below half of τ = 0.1",
        "λ1 = 0.06 is best",
        "λ2 = 0.003 is best",
        "λ2 above 0.003 does worse",
        f"α growing to {settings_of('synthetic').train.alpha:g} is best",  # its own
        "rank-1 and mAP rise with the merge steps",
        "then they flatten",
        *MARGINS,
    ]  # fmt: skip
    sizes = [text for text in by_text(group_of(make("mars", "mars"))) if "by the printed" in text]
    assert len(sizes) == 4 and sizes[0] == (
        "this method beats BUC in mAP by the printed +11.9 or more (same frames and epochs)"
    )


@pytest.mark.parametrize(("dataset", "end"), [("mars", "0.5"), ("duke", "0.4")])
def test_the_best_end_of_alpha_is_the_data_sets(make, dataset: str, end: str):
    base = settings_of(dataset).replace(**{"train.alpha": 0.7})
    (claim,) = [each for each in claims(group_of(make(dataset, base=base))) if "growing to" in each.text]
    assert claim.text == f"α growing to {end} is best" and not claim.untestable
    assert len(claim.contrasts) == 8 and all(
        contrast.weights == {f"alpha/{end}": 1, name: -1}
        for contrast, name in zip(claim.contrasts.values(), list(claim.values.values())[1:], strict=True)
    )


def test_a_fixed_alpha_has_no_end_to_be_judged(make):
    base = settings_of("synthetic").replace(**{"train.alpha": 0.15, "train.alpha_schedule": "fixed"})
    assert by_text(group_of(make("synthetic", base=base)))["α growing to 0.15 is best"].untestable


def test_above_the_best_weight_every_larger_one_is_compared(make):
    larger = by_text(group_of(make("duke")))["λ2 above 0.003 does worse"]
    assert list(larger.contrasts) == ["over λ2 = 0.006", "over λ2 = 0.01", "over λ2 = 0.03"]
    assert not larger.values  # it is about no best value


@pytest.mark.parametrize("plan", ["rivals", "rivals-published"])
def test_margins_are_of_the_plans_that_were_run(make, plan: str):
    group = group_of(make("synthetic", experiments=plan))
    margins = [claim for claim in claims(group) if claim.text.startswith("this method beats")]
    assert [claim.experiments for claim in margins] == [
        [f"{plan}/paper", f"{plan}/{rival}"] for rival in ("buc", "buc", "oim", "oim")
    ]
    words = {"rivals": "same", "rivals-published": "published"}[plan]
    assert all(f"({words} frames and epochs)" in claim.text for claim in margins)


@pytest.mark.parametrize(
    ("text", "mars", "duke"),
    [
        ("λ1 helps", 0.9, 0.4),
        ("λ2 helps on top of λ1", 1.2, 3.4),
        ("growing α beats fixed", 1.8, 0.2),
        ("τ = 0.1 is best", None, 0.6),
        ("τ = 0.3 collapses: below half of τ = 0.1", None, 8.2),
        ("λ1 = 0.06 is best", None, None),
        ("rank-1 and mAP rise with the merge steps", None, None),
        (MARGINS[0], 11.9, 0.7),
        (MARGINS[1], 8.1, 0.6),
        (MARGINS[2], 27.8, 23.6),
        (MARGINS[3], 29.5, 24.3),
    ],
)
def test_what_the_paper_printed(make, text: str, mars: float | None, duke: float | None):
    claim = by_text(group_of(make("synthetic")))[text]
    for dataset, printed in (("mars", mars), ("duke", duke)):
        found = claim.printed(dataset)
        assert found is None if printed is None else found == pytest.approx(printed)


def test_a_claim_about_the_printed_size_is_above_that(make):
    for dataset, size in (("mars", 11.9), ("duke", 0.7)):
        for text, claim in by_text(group_of(make(dataset, dataset))).items():
            if "beats BUC in mAP by" in text:
                assert claim.least == pytest.approx(size)


# --- curves


def test_a_rise_is_the_last_quarter_over_the_first_step():
    curve = {0: 0.9, **{step: 0.1 * step for step in range(1, 9)}}  # the untrained network is not in it
    assert rise(curve) == pytest.approx((0.7 + 0.8) / 2 - 0.1)


def test_flattening_is_the_change_of_the_slope_in_ten_steps():
    """2 a step over the first third, 0.5 over the last: 15 less, and 25 together, in ten steps."""
    steps = np.arange(1, 10)
    curve = dict(enumerate(np.interp(steps, [1, 3, 7, 9], [0.0, 4.0, 4.0, 5.0]), start=1))
    assert flattening(curve) == pytest.approx(15) and flattening_not_falling(curve) == pytest.approx(25)
    first, last = np.polyfit([1, 2, 3], [0, 2.5, 4], 1)[0], 0.5
    curve[2] = 2.5
    assert flattening(curve) == pytest.approx(10 * (first - last))


def test_what_falls_as_fast_as_it_rose_is_not_flat():
    curve = {step: float(-abs(step - 5)) for step in range(1, 10)}
    assert flattening(curve) == pytest.approx(20) and flattening_not_falling(curve) == pytest.approx(0)


def test_steps_that_were_not_measured_are_no_part_of_a_slope():
    assert flattening({step: 2.0 * step for step in (1, 5, 10, 15, 20, 25)}) == pytest.approx(0)


@pytest.mark.parametrize("of_curve", [rise, flattening, flattening_not_falling])
def test_a_curve_of_fewer_than_six_steps_tells_nothing(of_curve):
    assert math.isnan(of_curve({step: float(step) for step in range(6)})) and math.isnan(of_curve({}))
    assert not math.isnan(of_curve({step: float(step) for step in range(7)}))


@pytest.mark.parametrize(("frames", "expected"), [(0, 12.0), (2, 5.0)])
def test_a_last_step_on_other_frames_is_not_in_the_curve(make, frames: int, expected: float):
    """With --eval-frames the last step alone is measured on all frames, and jumps."""
    base = settings_of("duke").replace(**{"data.eval_frames": frames})
    study = make("duke", base=base)
    study.trial(base, lambda config, step: 0.3 + 0.01 * step + 0.06 * (step == 7), steps=7)
    contrast = Contrast({FINAL: 1}, "mAP_trapezoid", rise)
    found = runs(load([study.folder]).groups[0])
    assert contrast.per_seed(found, "").tolist() == [pytest.approx(expected)]
    assert contrast.per_seed(found, "", "rank1").tolist() == [pytest.approx(expected)]


def test_a_contrast_of_one_configuration_is_void(make):
    study = make("duke", base=settings_of("duke").replace(**{"merge.lambda1": 0.0}), experiments="table1")
    study.run_plan(1)
    found = runs(load([study.folder]).groups[0])
    one, other = "table1/baseline", "table1/lambda1"
    assert Contrast({one: 1, other: -1}).is_void(found)
    assert not Contrast({one: 0.5, other: -1}).is_void(found)
    assert not Contrast({"table1/lambda1_lambda2": 1, other: -1}).is_void(found)
    assert not Contrast({"table3/0.05": 1}).is_void(found)
