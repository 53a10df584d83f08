"""Data without labels: what a study of them runs and maximises where nobody says otherwise."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from screens import screen, text

from dcreid.presets import laid_over, settings_of
from search_spaces.spaces import SPACES
from study import run
from study.command.driver import Prepared, _print_start, prepare
from study.command.dry_run import Cost
from study.command.parser import parser
from study.command.resolve import resolve, settings_left_out
from study.errors import OptionError
from study.plan import StudyPlan
from study.record.folder import describe, write_description

SMALL = ("--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--height", "32", "--width", "16")


@pytest.fixture
def cameras(tmp_path: Path) -> Path:
    """Twelve tracklets of two frames from two cameras, and nothing else."""
    root = tmp_path / "cameras"
    for i in range(12):
        place = root / "train" / f"C{1 + i % 2}_{i}"
        place.mkdir(parents=True)
        for frame in (1, 2):
            Image.new("RGB", (8, 16)).save(place / f"{frame}.jpg")
    return root


@pytest.fixture
def plan_with(cameras: Path) -> Callable[..., StudyPlan]:
    def make(*options: str) -> StudyPlan:
        return resolve(parser().parse_args(["--dataset", "folder", "--data-root", str(cameras), *options]))

    return make


def test_trial_0_is_recommended_trial_1_the_papers_and_the_full_space_is_searched_by_the_score(plan_with):
    plan = plan_with("--temperature", "0.2", "--weights", "none")
    assert (plan.objective, plan.preset, plan.space["name"]) == ("unlabelled", "recommended", "full")
    chosen = {"train.temperature": 0.2, "model.weights": "none"}
    (first, base), (second, beside), *rest = plan.fixed_items()
    assert (first, base.label, second, beside.label) == ("recommended", "recommended", "given", "paper")
    assert base.config == laid_over(settings_of("folder"), "recommended", chosen) and not rest
    assert beside.config == settings_of("folder").replace(**chosen) == plan.papers_config
    assert set(plan.search_space.fields) == set(SPACES["full"].fields) - {"train.temperature"}
    assert StudyPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("part", ["query", "gallery"])
def test_with_labels_nothing_is_decided_otherwise(plan_with, cameras: Path, part: str):
    (cameras / part).mkdir()
    plan = plan_with()
    assert (plan.objective, plan.preset, plan.space["name"]) == ("last", "paper", "default")
    assert len(plan.given) == 6  # the tables'
    assert plan == plan_with("--objective", "last", "--preset", "paper", "--space", "default")
    assert plan_with("--objective", "best").objective == "best"


@pytest.mark.parametrize("dataset", ["synthetic", "mars", "duke"])
def test_data_sets_with_labels_keep_the_names_of_their_studies(dataset: str):
    options = () if dataset == "synthetic" else ("--dataset", dataset, "--data-root", ".")
    usual = resolve(parser().parse_args(options))
    said = ("--objective", "last", "--preset", "paper", "--space", "default")
    assert usual == resolve(parser().parse_args([*options, *said]))
    assert usual.identity()["objective"] == "last" and "preset" not in usual.identity()
    other = resolve(parser().parse_args([*options, "--objective", "unlabelled"]))
    assert dataclasses.replace(other, objective="last", name=usual.name) == usual and other.name != usual.name


@pytest.mark.parametrize(
    ("options", "preset", "space"),
    [
        (("--preset", "recommended"), "recommended", "default"),
        (("--preset", "oim"), "oim", "default"),
        (("--space", "lambdas"), "paper", "lambdas"),
        (("--preset", "buc", "--space", "full"), "buc", "full"),
        (("--plan", "table1"), "paper", None),
    ],
    ids=str,
)
def test_what_is_given_wins(plan_with, options: tuple[str, ...], preset: str, space: str | None):
    plan = plan_with(*options)
    assert (plan.preset, plan.objective) == (preset, "unlabelled")
    assert (None if plan.space is None else plan.space["name"]) == space


@pytest.mark.parametrize("objective", ["last", "best"])
def test_an_objective_that_needs_labels_is_refused_before_anything_runs(
    cameras: Path, tmp_path: Path, objective: str, capsys: pytest.CaptureFixture[str]
):
    options = ("--dataset", "folder", "--data-root", str(cameras), "--studies", str(tmp_path / "s"), *SMALL)
    assert run.main([*options, "--objective", objective, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert f"--objective {objective}: needs mAP, and the data have no labelled test split" in error
    assert len(error.splitlines()) == 1 and not (tmp_path / "s").exists()


def test_options_that_recommended_cannot_have_are_refused_with_what_to_do(plan_with):
    with pytest.raises(OptionError, match=r"train.memory_init = 'carry'.*give --preset paper"):
        plan_with("--memory-init", "carry")
    assert plan_with("--memory-init", "carry", "--preset", "paper").preset == "paper"


def test_nothing_is_said_to_be_left_out(plan_with, cameras: Path):
    options = ["--dataset", "folder", "--data-root", str(cameras), "--temperature", "0.2"]
    assert settings_left_out(parser().parse_args(options)) == []


def test_the_help_says_what_the_data_decide():
    words = " ".join(parser().format_help().split())
    assert "any step [last; without labels: unlabelled]" in words
    assert "[paper; without labels, and without --space and --plan: recommended]" in words
    assert "[default; without labels, and without --preset and --plan: full]" in words
    assert "trial 0 is --preset recommended, trial 1 the paper's configuration" in words


# --- a session


def prepared(tmp_path: Path, *options: str) -> Prepared:
    argv = ["--studies", str(tmp_path / "s"), "--cache", str(tmp_path / "c"), *options]
    return prepare(parser().parse_args(argv), argv)


def test_a_study_that_maximised_map_without_labels_goes_on_and_says_what_that_means(
    plan_with, tmp_path: Path, open_session, cameras: Path
):
    plan = plan_with("--preset", "paper", "--studies", str(tmp_path / "s"), "--name", "old", *SMALL)
    old = dataclasses.replace(plan, objective="last")
    data = prepared(tmp_path, "--dataset", "folder", "--data-root", str(cameras), *SMALL).data
    old.folder.mkdir(parents=True)
    write_description(old.folder, describe(old, data, "python study/run.py"))
    resumed = prepared(tmp_path, "--resume", "old")
    assert resumed.plan == dataclasses.replace(old, cache=resumed.plan.cache)
    with pytest.raises(OptionError, match="--objective cannot change"):
        prepared(tmp_path, "--resume", "old", "--objective", "unlabelled")
    console, session = screen(300), open_session(resumed.plan)
    _print_start(session, [], resumed, console)
    assert "the study maximises the mAP of the last merge step, which needs labels" in text(console)
    session.plan = plan
    again = screen(300)
    _print_start(session, [], resumed, again)
    assert "maximises" not in text(again) and "at random" not in text(again)


COST = Cost(
    5, 1, 1, (0.0, 1.0, 2.0, 5.0, 7.5, 10.0), 1.0, store_bytes=1, checkpoint_bytes=2**20, weight_bytes=2**19
)


def test_the_dry_run_says_so_and_rounds_no_cut_to_eval_every(
    cameras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("study.command.dry_run.estimate", lambda *_: COST)
    options = (
        *("--dataset", "folder", "--data-root", str(cameras), *SMALL, "--preset", "paper", "--dry-run"),
        *("--first-epochs", "0", "--later-epochs", "2", "--merge-rate", "0.2", "--eval-every", "4"),
    )
    assert run.main([*options, "--studies", str(tmp_path / "s")]) == 0
    output = capsys.readouterr().out
    cuts = [line.split(" (")[0] for line in output.splitlines() if line.startswith("  after merge step")]
    assert cuts == ["  after merge step 2", "  after merge step 3"]
    assert "what the search maximises: the highest score without labels of any merge step" in output
    assert (
        "3 MiB of checkpoints for a trial under way, 1 MiB when" in output
        and "mAP" not in output.partition("search space")[2]
    )


def test_with_labels_the_dry_run_counts_the_best_checkpoint_too(
    plan_of, data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setattr("study.command.dry_run.estimate", lambda *_: COST)
    assert run.main(["--studies", str(tmp_path / "s"), "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "4 MiB of checkpoints for a trial under way, 2 MiB when" in output
    assert "what the search maximises: the mAP of the last merge step" in output
