"""`--plan bound`: what it runs, what it says before it begins, and data that it cannot be run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from screens import screen, text

from dcreid.data.tracklets import DataError
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import BOUND_NOTE
from study.command.driver import Prepared, dry_run, prepare
from study.command.parser import parser


def prepared(tmp_path: Path, *options: str) -> Prepared:
    argv = ["--studies", str(tmp_path / "studies"), "--cache", str(tmp_path / "c"), *options]
    return prepare(parser().parse_args(argv), argv)


def test_it_runs_the_identities_on_every_seed_over_what_is_given(tmp_path: Path) -> None:
    options = ("--preset", "buc", "--later-epochs", "4", "--seed", "3", "--seeds", "2")
    made = prepared(tmp_path, "--plan", "bound", *options)
    runs = [item.config for _, item in made.plan.fixed_items()]
    assert [run.seed for run in runs] == [3, 4] and all(run.trains_with_identities for run in runs)
    base = laid_over(settings_of("synthetic"), "buc", {"train.later_epochs": 4})
    assert made.plan.config.replace(seed=0) == base and not base.trains_with_identities
    assert (runs[0].model, runs[0].data) == (base.model, base.data) and runs[0].train.later_epochs == 4


def test_it_says_what_it_is_before_it_begins(tmp_path: Path) -> None:
    assert BOUND_NOTE in prepared(tmp_path, "--plan", "bound").notes
    assert "with the identities" in BOUND_NOTE and "no result of the method" in BOUND_NOTE
    assert BOUND_NOTE not in prepared(tmp_path, "--plan", "fig3").notes


def test_the_dry_run_counts_what_the_bound_trains(tmp_path: Path) -> None:
    """32 people × 6 tracklets × 4 frames, nine stages of 2 epochs; none before the first merge."""
    console = screen(160)
    dry_run(prepared(tmp_path, "--plan", "bound"), console)
    shown = text(console)
    assert (
        f"one trial: 10 merge steps, {9 * 2 * 192 * 4:,} frames trained on" in shown and BOUND_NOTE in shown
    )


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """Four training tracklets of nobody knows whom, and two people to measure on."""
    root = tmp_path / "cameras"
    named = [f"train/t{i}" for i in range(4)]
    named += [f"{side}/{who}/C{c}T" for c, side in ((1, "query"), (2, "gallery")) for who in (1, 2)]
    for tracklet in named:
        (root / tracklet).mkdir(parents=True)
        Image.new("RGB", (16, 32), "green").save(root / tracklet / "0001.jpg")
    return root


def test_data_without_training_identities_are_refused_before_anything_runs(
    tmp_path: Path, unlabelled: Path
) -> None:
    data = ("--dataset", "folder", "--data-root", str(unlabelled))
    options = (*data, "--weights", "none", "--backbone", "resnet18", "--merge-rate", "0.3")
    with pytest.raises(DataError, match=r"training tracklets have no identities.*--plan bound"):
        prepared(tmp_path, *options, "--plan", "bound")
    assert not (tmp_path / "studies").exists()
    assert prepared(tmp_path, *options, "--plan", "fig3").data.train.identities is None
