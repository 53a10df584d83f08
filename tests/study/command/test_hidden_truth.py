"""A labelled set without its identities, from the command to classes.csv; the truth only judges."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import encode_jpeg

from dcreid.config import SyntheticConfig
from dcreid.data.synthetic.dataset import load_synthetic
from dcreid.evaluation.partitions import clustering_quality, partition_name
from study.command.driver import run
from study.command.parser import parser
from study.record.ledger import Ledger
from study.worker.rows import trial_rows

_PEOPLE = SyntheticConfig(
    train_identities=8, tracklets=4, cameras=3, frames=3, difficulty=0.2, lookalikes=0.0
)
_OPTIONS = (
    *("--dataset", "folder", "--weights", "none", "--backbone", "shufflenet_v2_x0_5"),
    *("--height", "32", "--width", "16", "--frames", "2", "--batch-size", "8", "--merge-rate", "0.2"),
    *("--first-epochs", "1", "--later-epochs", "1", "--lr", "0.01", "--merge-method", "anew"),
    *("--objective", "unlabelled", "--samples", "2", "--name", "study"),
)


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """Tracklets in folders whose names and order say nothing of their people, and who is in each."""
    root, split = tmp_path_factory.mktemp("cameras"), load_synthetic(_PEOPLE).train
    people = {}
    for place, i in enumerate(np.random.default_rng(0).permutation(len(split))):
        name = f"camera{split.cameras[i]}/{place:03d}"
        people[name] = int(split.identities[i])
        frames, _ = split.frames.read(np.arange(*split.offsets[i : i + 2]), 32, 16)
        (root / "train" / name).mkdir(parents=True)
        for number, frame in enumerate(frames, start=100 * place):
            jpeg = encode_jpeg(torch.from_numpy(frame).permute(2, 0, 1), quality=95)
            (root / "train" / name / f"f{number:05d}.jpg").write_bytes(bytes(jpeg.numpy()))
    return root, people


def test_classes_of_people_that_nobody_named(
    hidden: tuple[Path, dict[str, int]],
    tmp_path: Path,
    fake_tune: type,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Trials(fake_tune):
        """Real trials, in this process."""

        def rows(self, job):
            return trial_rows(job)

    root, people = hidden
    monkeypatch.setattr("study.on_ray.loop.run_session", lambda session, display, **_: Trials(session).run())
    argv = [
        *_OPTIONS,
        "--data-root",
        str(root),
        "--studies",
        str(tmp_path),
        "--cache",
        str(tmp_path / "cache"),
    ]
    assert run(parser().parse_args(argv), argv) == 0
    path = tmp_path / "study" / "classes.csv"
    out, folder = capsys.readouterr().out, tmp_path / "study"
    assert str(path) in out
    for command in (f"python analysis/album.py {folder}", f"python analysis/classes.py {folder}"):
        assert command in "".join(out.splitlines())

    ledger = Ledger(tmp_path / "study" / "ledger.jsonl", read_only=True)
    scored = [trial for trial in ledger.trials.values() if trial.state == "complete"]
    assert len(scored) == 2 and all(
        row.get("mAP") is None for trial in scored for row in trial.steps.values()
    )
    chosen = max(scored, key=lambda trial: (trial.curve("unlabelled")[trial.selected_step], -trial.number))
    row = chosen.steps[chosen.selected_step]

    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert sorted(line["tracklet"] for line in table) == sorted(people)  # every one, once
    classes = np.array([int(line["class"]) for line in table])
    assert [line[f"step_{chosen.selected_step:03d}"] for line in table] == [line["class"] for line in table]
    assert partition_name(classes) == row["labels_after"]  # those of the step
    assert len(set(classes)) == row["classes_after"] and np.bincount(classes).max() == row["class_size_max"]

    truth = np.array([people[line["tracklet"]] for line in table])
    found = clustering_quality(classes, truth)
    rng = np.random.default_rng(1)
    by_chance = [clustering_quality(classes, rng.permutation(truth)) for _ in range(100)]
    assert found.ari > max(one.ari for one in by_chance)
    assert found.purity > max(one.purity for one in by_chance)
    confidence = np.array([float(line["confidence"]) for line in table])
    assert set(np.round(confidence * 5, 6)) <= set(range(6))
