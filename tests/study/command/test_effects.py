"""Options without an effect are refused by name, and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from dcreid.data.cameras import switched_off
from dcreid.data.tracklets import TrackletDataset
from study.command.effects import check_effects, off_on_these_data
from study.command.resolve import options_in
from study.errors import OptionError
from study.plan import StudyPlan

HEAD = ("--dropout", "0.2")
GIVEN = ("--synthetic-train-identities", "4")  # by the plans of these tests


def check(plan: StudyPlan, *argv: str) -> None:
    check_effects(options_in(argv), plan)


@pytest.mark.parametrize(
    "argv",
    [
        ("--plan", "table1", "--samples", "5"),
        ("--plan", "table1", "--sampler=tpe"),
        ("--plan", "table1", "--pruner", "asha"),
        ("--plan", "table1", "--grace", "2"),
        ("--plan", "table1", "--asha-eta", "3"),
        ("--asha-eta", "3", "--pruner", "none"),
        ("--asha-rungs=2", "--pruner", "median"),
        ("--k1", "9", "--space", "lambdas"),
        ("--plan", "table1", "--space", "lambdas"),
        ("--plan", "table1", "--no-tables"),
        ("--tables",),
        ("--tables", "--samples", "30", "--space", "lambdas"),
        ("--grace", "2", "--pruner", "none"),
        ("--synthetic-train-identities", "9", "--synthetic-shape", "mars"),
        HEAD,
        (*HEAD, "--plan", "table1"),
        (*HEAD, "--plan", "rivals"),  # BUC's head has its own dropout
        ("--k1", "9", "--plan", "rivals"),
        ("--k1", "9", "--plan", "choices"),
        ("--embedding-dim=9",),
        ("--plan", "bound", "--lr", "0.02", "--weights", "imagenet"),
        ("--plan", "bound", "--first-epochs", "4"),
        ("--plan", "bound", "--later-lr", "decayed"),
        ("--plan", "bound", "--merge-method", "exact"),
        ("--plan", "bound", "--lambda1", "0.1"),
        ("--plan", "bound", "--lambda2", "0.1"),
        ("--plan", "bound", "--intra", "pairs"),
        ("--plan", "bound", "--linkage", "nearest"),
        ("--plan", "bound", "--camera-normalise"),
        ("--plan", "bound", "--distance", "jaccard"),
        ("--plan", "bound", "--k1", "9"),
        ("--plan", "bound", "--k2", "3"),
        ("--plan", "bound", "--classes", "4"),
        ("--max-steps", "4", "--classes", "4"),
        ("--preset", "oim", "--classes", "4"),
    ],
    ids=" ".join,
)
def test_what_does_nothing_is_refused(plan_of: Callable[..., StudyPlan], argv: tuple[str, ...]):
    with pytest.raises(OptionError, match="has no effect: ") as error:
        check(plan_of(*argv), *argv)
    assert str(error.value).split()[0] in options_in(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("--samples", "30", "--tables", "--sampler", "tpe", "--grace", "2"),
        ("--asha-eta", "3", "--asha-rungs", "2"),
        ("--grace", "2", "--pruner", "median"),
        ("--k1", "25", "--space", "full"),
        (*HEAD, "--space", "full"),
        ("--plan", "table1", "--seeds", "2"),
        (*HEAD, "--head", "embedding"),
        (*HEAD, "--space", "training"),
        (*HEAD, "--plan", "choices"),
        (*HEAD, "--preset", "buc"),
        (*HEAD, "--plan", "rivals", "--head", "embedding"),
        ("--k1", "9", "--distance", "jaccard", "--plan", "rivals"),
        ("--plan", "bound", "--lr", "0.02"),
        ("--plan", "bound", "--lr", "0.002", "--weights", "imagenet"),
        ("--plan", "bound", "--first-epochs", "0", "--later-epochs", "3"),
        ("--plan", "bound", "--preset", "buc", "--max-steps", "4", "--later-lr", "restart"),
        ("--plan", "bound", "--merge-rate", "0.1", "--alpha", "0.2", "--camera-proxies"),
        ("--synthetic-cameras", "3"),
        ("--preset", "recommended", "--classes", "4"),
        ("--plan", "rivals", "--classes", "4"),
        ("--space", "full", "--classes", "4"),
        ("--synthetic-tracklets", "3", "--synthetic-shape", "mars"),
    ],
    ids=" ".join,
)
def test_what_does_something_is_taken(plan_of: Callable[..., StudyPlan], argv: tuple[str, ...]):
    check(plan_of(*argv), *argv)


def test_a_study_does_not_take_over_from_itself(plan_of: Callable[..., StudyPlan]):
    plan = plan_of()
    with pytest.raises(OptionError, match="is this study"):
        check(dataclasses.replace(plan, reuse=[str(plan.folder)]), "--reuse", "study")


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        ((), []),
        (("--camera-normalise",), ["merge.camera_normalise"]),
        (("--eval-camera-normalise", "--camera-proxies"), ["train.camera_proxies"]),
        (("--plan", "table1", "--camera-normalise"), ["merge.camera_normalise"]),
    ],
    ids=str,
)
def test_what_the_data_have_no_cameras_for_is_told_and_not_refused(
    plan_of: Callable[..., StudyPlan], data: TrackletDataset, argv: tuple[str, ...], asked: list[str]
):
    plan = plan_of(*argv)
    check(plan, *argv)
    assert off_on_these_data(plan, data) == ()
    unknown = dataclasses.replace(data, train=dataclasses.replace(data.train, unknown_cameras=1))
    assert off_on_these_data(plan, unknown) == switched_off(asked, unknown)


def test_what_a_search_tries_is_told_too(
    plan_of: Callable[..., StudyPlan], data: TrackletDataset, tmp_path: Path
):
    space = tmp_path / "space.toml"
    space.write_text("[train.camera_proxies]\nchoices = [false, true]\n")
    plan = plan_of("--space", str(space))
    unknown = dataclasses.replace(data, train=dataclasses.replace(data.train, unknown_cameras=1))
    assert off_on_these_data(plan, unknown) == switched_off(["train.camera_proxies"], unknown) != ()
