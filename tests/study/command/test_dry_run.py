"""`--dry-run`: counts that can be checked by hand, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dcreid.data import load_dataset
from dcreid.network.backbone import backbone_of
from study import run
from study.command.dry_run import Cost, estimate
from study.command.parser import parser
from study.command.resolve import resolve

TINY = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")


def test_frames_are_counted(plan_of, data):
    config = plan_of(
        "--first-epochs", "3", "--later-epochs", "2", "--frames", "5", "--eval-frames", "2"
    ).config
    cost = estimate(config, data)
    n, steps = len(data.train), config.merge.merge_steps(len(data.train))
    assert cost.steps == steps
    assert cost.train_frames == (3 + 2 * (steps - 1)) * n * 5
    measured_on_all = 2 * int(data.test.lengths.sum())  # the untrained network, and the last step
    assert cost.feature_frames == (steps + 1) * 2 * n + (steps - 1) * 2 * len(data.test) + measured_on_all
    assert cost.seconds > 0 and cost.checkpoint_bytes > 100_000
    assert 0 < cost.first_stages_seconds < cost.seconds
    frames = int(data.train.lengths.sum() + data.test.lengths.sum())
    assert cost.store_bytes == frames * config.data.height * config.data.width * 3


def test_mirror_images_are_frames_to_the_network(plan_of, data):
    chosen = ("--first-epochs", "3", "--eval-frames", "2")
    plain, mirrored = (estimate(plan_of(*chosen, *more).config, data) for more in ((), ("--eval-mirror",)))
    assert mirrored.train_frames == plain.train_frames
    assert mirrored.feature_frames == 2 * plain.feature_frames


def test_batches_that_are_left_out_are_no_cost_and_must_not_be_all(
    plan_of, data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = plan_of("--first-epochs", "3", "--frames", "5", "--drop-last", "--batch-size", "5").config
    n, steps = len(data.train), config.merge.merge_steps(len(data.train))
    assert n % 5
    assert estimate(config, data).train_frames == (3 + 2 * (steps - 1)) * (n // 5 * 5) * 5
    options = [*TINY, "--studies", str(tmp_path), "--dry-run", "--drop-last", "--batch-size", "25"]
    assert run.main(options) == 2
    assert "train.drop_last: the 24 training tracklets do not fill one batch" in capsys.readouterr().err
    assert run.main([*TINY, "--studies", str(tmp_path), "--dry-run", "--classes", "24"]) == 2
    assert (
        "merge.classes = 24: must be less than the number of training tracklets, 24"
        in capsys.readouterr().err
    )


def test_a_trial_takes_its_frames_at_the_rate_of_each_kind(plan_of, data, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("study.command.dry_run._rates", lambda *_: (10.0, 100.0))
    config = plan_of("--first-epochs", "3", "--later-epochs", "2", "--eval-frames", "2").config
    cost = estimate(config, data)
    assert cost.seconds == pytest.approx(cost.train_frames / 10 + cost.feature_frames / 100)
    assert len(cost.seconds_after) == cost.steps + 1 and cost.seconds == cost.seconds_after[-1]
    one_pass, measured = 2 * (len(data.train) + len(data.test)), int(data.test.lengths.sum())
    untrained = 2 * len(data.train) + measured
    assert cost.seconds_after[0] == pytest.approx(untrained / 100)
    for step in range(1, cost.steps):
        trained = (3 + 2 * (step - 1)) * len(data.train) * config.data.frames
        assert cost.seconds_after[step] == pytest.approx(trained / 10 + (untrained + step * one_pass) / 100)


# Merge steps 1 to 5 after 10, 20, 50, 75 and 100 % of a trial's cost.
COST = Cost(5, 1, 1, (0.0, 1.0, 2.0, 5.0, 7.5, 10.0), 1.0, store_bytes=1, checkpoint_bytes=1, weight_bytes=1)
FLAT = ("--first-epochs", "2", "--later-epochs", "2")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            FLAT,
            [
                "ASHA (--asha-eta 2, --asha-rungs 3) ends trials that are drawn:",
                "  after merge step 1 (2 of 10 epochs, 10 % of a trial's cost) one in 2 goes on, 50 % of all",
                "  after merge step 2 (4 of 10 epochs, 20 % of a trial's cost) one in 2 goes on, 25 % of all",
                "  after merge step 3 (6 of 10 epochs, 50 % of a trial's cost) one in 2 goes on, 12 % of all",
            ],
        ),
        (
            (*FLAT, "--asha-eta", "3", "--grace", "4"),
            [
                "ASHA (--asha-eta 3, --asha-rungs 3) ends trials that are drawn:",
                "  after merge step 4 (8 of 10 epochs, 75 % of a trial's cost) one in 3 goes on, 33 % of all",
                "  which saves little: this schedule has few merge steps, or few epochs in later stages",
            ],
        ),
        (
            (*FLAT, "--grace", "5"),
            [
                "ASHA (--asha-eta 2, --asha-rungs 3) ends trials that are drawn:",
                "  none, as no rung comes before the last merge step",
            ],
        ),
        (("--pruner", "median"), []),
        (("--plan", "table1"), []),
        (
            ("--space", "training"),
            [
                "ASHA (--asha-eta 2, --asha-rungs 3) ends trials that are drawn:",
                "  after merge step 1 (8 of 16 epochs, 10 % of a trial's cost) one in 2 goes on, 50 % of all",
                "  those with other epochs: after their own first merge step with as many",
            ],
        ),
    ],
)
def test_cuts_are_printed_with_their_epochs_and_shares(
    options: tuple[str, ...], said: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.setattr("study.command.dry_run.estimate", lambda *_: COST)
    assert run.main([*TINY, "--studies", str(tmp_path), "--dry-run", *options]) == 0
    output = capsys.readouterr().out
    lines = output.partition("one trial:")[2].partition("the study:")[0].splitlines()[1:]
    assert lines == said and ("ASHA" in output) == bool(said)


def test_a_half_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("study.command.dry_run.estimate", lambda *_: COST)
    options = [*TINY, "--studies", str(tmp_path), "--dry-run", "--split", "second_half"]
    assert run.main(options) == 0
    output = capsys.readouterr().out
    half = load_dataset(resolve(parser().parse_args(options)).config.data, None)
    assert f"data: {half.name}, {len(half.train)} training tracklets, {half.protocol}\n" in output
    assert "second_half" in half.name and "data.split" in output and "default official" in output
    few = [*options, "--synthetic-train-identities", "3"]
    assert run.main(few) == 2
    assert "--split second_half: synthetic has 3 training identities" in capsys.readouterr().err


def test_checkpoints_hold_a_memory_as_wide_as_what_meets_it(plan_of, data):
    plain, *headed = (
        estimate(plan_of("--head", head, "--embedding-dim", "10").config, data).checkpoint_bytes
        for head in ("none", "embedding", "buc")
    )
    width = backbone_of(plan_of().config).dim
    assert headed == [plain - 4 * len(data.train) * (width - 10)] * 2


def test_a_finished_trial_keeps_weights_alone(plan_of, data, tmp_path: Path, capsys):
    cost = estimate(plan_of().config, data)
    width = backbone_of(plan_of().config).dim
    assert cost.checkpoint_bytes - cost.weight_bytes == 4 * len(data.train) * width
    assert run.main([*TINY, "--studies", str(tmp_path), "--dry-run"]) == 0
    running, finished = (k * size / 2**20 for k, size in ((4, cost.checkpoint_bytes), (3, cost.weight_bytes)))
    said = f"{running:.0f} MiB of checkpoints for a trial under way, {finished:.0f} MiB when it has finished"
    assert said in capsys.readouterr().out


def test_what_shared_stages_save_is_taken_off_the_cost_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    after = (0.0, 720.0, 1440.0, 3600.0, 5400.0, 7200.0)
    cost = Cost(
        5, 1, 1, after, first_stages_seconds=3600.0, store_bytes=1, checkpoint_bytes=1, weight_bytes=1
    )
    monkeypatch.setattr("study.command.dry_run.estimate", lambda *_: cost)
    options = [*TINY, "--studies", str(tmp_path), "--dry-run"]
    assert run.main([*options, "--plan", "table1", "--seeds", "2"]) == 0
    # Six trials of two hours; two of each seed take an hour over.
    assert "6 trials, 8.0 h of trial time without pruning, 4.0 h being saved" in capsys.readouterr().out
    assert run.main([*options, "--samples", "5", "--confirm", "1", "--seeds", "3"]) == 0
    assert f"{5 + 2 * 3} trials, 22.0 h of trial time without pruning\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "6 finished trials, sampler tpe, pruner asha"),
        (("--sampler", "grid"), "sampler grid"),
        (("--samples", "20"), "runs that are given: 7"),
        (("--samples", "20", "--seeds", "2"), "the study: 21 trials"),
        (("--plan", "table1", "--seeds", "2"), "runs that are given: 6"),
        (("--plan", "table1"), "being saved by shared stages"),
    ],
)
def test_it_prints_the_plan_and_writes_nothing(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run.main([*TINY, "--studies", str(tmp_path / "s"), "--dry-run", *options]) == 0
    output = capsys.readouterr().out
    assert said in output and "one trial:" in output and "merge.lambda1" in output
    assert not (tmp_path / "s").exists()


def test_it_says_what_unknown_cameras_switch_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for i in range(12):
        place = tmp_path / "shop" / "train" / f"tracklet{i}"
        place.mkdir(parents=True)
        Image.new("RGB", (8, 16)).save(place / "1.jpg")
    shop = ("--dataset", "folder", "--data-root", str(tmp_path / "shop"), "--cache", str(tmp_path))
    network = ("--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--height", "32", "--width", "16")
    options = [*shop, *network, "--studies", str(tmp_path / "s"), "--dry-run"]
    assert run.main([*options, "--preset", "paper", "--camera-normalise"]) == 0
    output = capsys.readouterr().out
    assert output.count("nothing is done per camera by merge.camera_normalise") == 1
    assert run.main([*options, "--preset", "paper"]) == 0
    assert "per camera" not in capsys.readouterr().out
