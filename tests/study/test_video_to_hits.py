"""The whole way, through the real commands: videos and a tracker's boxes to a network that finds people."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from walking import walking

from dcreid.model import Model

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = (
    *("--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--height", "32", "--width", "16"),
    *(
        "--frames",
        "2",
        "--eval-frames",
        "8",
        "--batch-size",
        "8",
        "--first-epochs",
        "4",
        "--later-epochs",
        "1",
    ),
    *("--merge-rate", "0.2", "--preset", "paper", "--cpus-per-trial", "1", "--no-tables", "--samples", "1"),
)


def command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_videos_to_hits(tmp_path: Path):
    people = 8
    seen = walking(tmp_path, cameras=3, people=people, visits=2, frames=200, height=120, width=200)
    videos, tracks = ([str(getattr(one, name)) for one in seen] for name in ("video", "tracks"))
    smallest = ("--min-height", "24", "--min-width", "12")
    command(
        tmp_path, "-m", "dcreid", "tracklets", *videos, "--tracks", *tracks, "--out", "cameras", *smallest
    )
    study = ("--dataset", "folder", "--data-root", "cameras", "--studies", ".", "--name", "mine")
    said = command(tmp_path, str(REPOSITORY / "study" / "run.py"), *study, *SMALL)
    assert "python -m dcreid search" in said
    model = tmp_path / "mine" / "models" / "selected.safetensors"
    card = Model.load(model).card
    assert "the highest score without labels" in card.chosen and "mAP" not in card.scores
    everyone = "cameras/train"
    command(
        tmp_path, "-m", "dcreid", "search", str(model), everyone, everyone, "--other-cameras", "--top", "3"
    )
    with (tmp_path / "hits.csv").open(newline="") as file:
        hits = list(csv.DictReader(file))
    person = {f"c{one.number}/{track:04d}": who for one in seen for track, who in one.person.items()}
    queries = {hit["query"] for hit in hits}
    assert queries == set(person) and len(hits) == 3 * len(queries)
    assert all(hit["query_camera"] != hit["hit_camera"] and hit["match"] == "" for hit in hits)
    first = [person[hit["query"]] == person[hit["hit"]] for hit in hits if hit["rank"] == "1"]
    assert sum(first) / len(first) > 2 / people  # by chance 1 / people
