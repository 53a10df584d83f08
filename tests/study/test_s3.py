"""Checkpoints in S3: a real server of this test's own, reached through a URI with options."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from kills import differences, results
from s3_server import S3Server, Way, missing

from study.errors import StorageError
from study.plan import below
from study.record.folder import read_plan
from study.record.storage import Storage
from study.worker.checkpoints import Checkpoints, SupersededError, checkpoint_steps

SCRIPT = Path(__file__).resolve().parents[2] / "study" / "run.py"
TINY = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
    *("--first-epochs", "1", "--later-epochs", "3", "--height", "32", "--width", "16"),
    *("--samples", "2", "--pruner", "none", "--concurrency", "1", "--cache", "cache", "--name", "study"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    why = missing()
    if why is not None:
        pytest.skip(why)
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # which it sets
        patch.setenv(name, "")
    running = S3Server()
    try:
        yield running
    finally:
        running.close()
        patch.undo()


@pytest.fixture
def options(server: S3Server) -> str:
    return server.options()


@pytest.fixture
def uri(options: str, request: pytest.FixtureRequest) -> str:
    """A place for one test."""
    return f"s3://bucket/{request.node.name.replace('[', '-').strip(']')}?{options}"


def test_what_is_written_is_read(uri: str):
    storage = Storage(uri)
    storage.check()
    storage.write("a/b.pt", b"one")
    storage.write("a/b.pt", b"two")
    storage.write("c", b"")
    assert storage.read("a/b.pt") == b"two" and storage.read("c") == b"" and storage.read("d") is None
    assert storage.names() == ["c"] and Storage(below(uri, "a")).names() == ["b.pt"]
    assert Storage(below(uri, "a/missing")).names() == []
    storage.delete("c")
    storage.delete("c")
    storage.clean()
    assert storage.names() == []


def test_checkpoints_are_kept_pruned_and_checked(uri: str):
    storage = Storage(below(uri, "0001"))
    checkpoints = Checkpoints(storage, {"study": "ours"})
    assert checkpoints.begin(dict) is None
    for step in range(1, 6):
        checkpoints.save(step, {"step": step, "weights": torch.full((3,), float(step))}, {2})
    assert checkpoint_steps(storage) == [2, 4, 5]
    cut = (storage.read("step-005.pt") or b"")[:-9]
    storage.write("step-005.pt", cut)
    found = Checkpoints(storage, {"study": "ours"}).begin(dict)
    assert found is not None and found["step"] == 4 and checkpoint_steps(storage) == [2, 4]
    assert storage.read("step-005.pt.set-aside") == cut
    with pytest.raises(SupersededError):
        checkpoints.save(5, {"step": 50}, {2})
    assert Checkpoints(storage, {"study": "theirs"}).begin(dict) is None and checkpoint_steps(storage) == []


def test_an_upload_that_is_not_finished_leaves_the_old_content(uri: str):
    storage = Storage(uri)
    storage.write("a", b"old")
    stream = storage._fs.open_output_stream(f"{storage._base}/a")
    stream.write(b"x" * (11 << 20))  # more than a part
    assert Storage(uri).read("a") == b"old"
    stream.close()
    assert len(Storage(uri).read("a") or b"") == 11 << 20


def test_a_way_that_is_cut_refuses_and_opens_again(server: S3Server):
    way = Way(server.port)
    uri = f"s3://bucket/way?{server.options(way.port)}"
    Storage(uri).write("a", b"one")
    with way.closed(), pytest.raises(OSError, match="connect"):
        Storage(uri).read("a")
    assert Storage(uri).read("a") == b"one"
    way.close()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://missing/x?{}", "cannot be written .*NO_SUCH_BUCKET"),
        ("s3://bucket/x?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1", "Could not connect"),
        ("s3://bucket/x?nonsense=1&region=us-east-1", "nonsense"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named(options: str, place: str, said: str):
    with pytest.raises(StorageError, match=f"--storage s3://.*{said}"):
        Storage(place.format(options)).check()


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPT), *TINY, *arguments]


def has_a_checkpoint(study: Path) -> bool:
    """Whether trial 1 has one, in the place that the study has of its own."""
    if not (study / "study.json").is_file():
        return False
    plan = read_plan(str(study), str(study.parent))
    return any(name.startswith("step-") for name in Storage(plan.trial_storage(1)).names())


@pytest.mark.slow
def test_a_killed_study_goes_on_from_s3(uri: str, tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    done = subprocess.run(command(), cwd=whole, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    driver = subprocess.Popen(command("--storage", uri), cwd=cut, stdout=subprocess.DEVNULL)
    try:
        while driver.poll() is None and not has_a_checkpoint(cut / "studies" / "study"):
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
        driver.wait(60)
    finally:
        driver.kill()
    assert not (cut / "studies" / "study" / "trials").exists()
    resumed = subprocess.run(
        command("--storage", uri), cwd=cut, capture_output=True, text=True, timeout=600, env=os.environ
    )
    assert resumed.returncode == 0 and "1 done, 1 resumed, 0 new" in resumed.stdout, resumed.stdout
    assert differences(results(whole), results(cut)) == []
