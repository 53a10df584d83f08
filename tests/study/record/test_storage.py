"""Atomic named byte strings, on a disk and behind a URI."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import ArrowException, ArrowInvalid

from dcreid.data.tracklets import TrackletDataset
from study.errors import StorageError
from study.plan import StudyPlan, below
from study.record.folder import as_created, describe, write_description
from study.record.storage import Storage


@pytest.fixture(params=["", "file://"], ids=["path", "uri"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    (tmp_path / "s").mkdir()
    return Storage(f"{request.param}{tmp_path / 's'}")


def test_what_is_written_is_read(storage: Storage):
    storage.write("a/b.pt", b"one")
    storage.write("a/b.pt", b"two")
    storage.write("c", b"")
    assert storage.read("a/b.pt") == b"two" and storage.read("c") == b""
    assert storage.names() == ["c"] and Storage(below(storage.root, "a")).names() == ["b.pt"]


def test_what_is_not_there(storage: Storage):
    assert storage.read("missing") is None
    assert Storage(below(storage.root, "missing")).names() == []
    storage.delete("missing")


def test_deleted_is_gone(storage: Storage):
    storage.write("a", b"1")
    storage.delete("a")
    assert storage.read("a") is None


def test_a_write_that_fails_leaves_the_old_content(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    storage.write("a", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write("a", b"new")
    assert storage.read("a") == b"old" and list(Path(storage._base).iterdir()) == [Path(storage._base) / "a"]


def test_leftovers_of_killed_writers_are_hidden_and_cleaned(tmp_path: Path):
    storage = Storage(str(tmp_path))
    (tmp_path / ".step-001.pt.77.partial").write_bytes(b"half")
    storage.write("step-000.pt", b"whole")
    assert storage.names() == ["step-000.pt"]
    storage.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000.pt"]


@pytest.mark.parametrize("root", ["nonsense://bucket/x", "s3:///"])
def test_a_uri_that_cannot_be_opened_is_refused_with_its_option(root: str):
    with pytest.raises(StorageError, match=f"--storage {root}"):
        Storage(root)


@pytest.mark.parametrize(
    ("root", "place"),
    [
        ("s3://b/p?region=x&scheme=http", "s3://b/p/study/0001?region=x&scheme=http"),
        ("s3://b/p/?region=x", "s3://b/p/study/0001?region=x"),
        ("gs://b", "gs://b/study/0001"),
        ("/mnt/is this a study?", "/mnt/is this a study?/study/0001"),
        ("/mnt/s/", "/mnt/s/study/0001"),
    ],
)
def test_options_of_a_uri_stay_at_its_end(root: str, place: str, plan_of: Callable[..., StudyPlan]):
    assert below(root, "study/0001") == place
    plan = plan_of("--storage", root)
    assert plan.trial_storage(1) == place and plan.stage_storage == below(root, "study/stages")


def test_studies_with_one_storage_have_a_folder_each_and_older_ones_keep_theirs(
    plan_of: Callable[..., StudyPlan], data: TrackletDataset
):
    old = dataclasses.replace(plan_of("--storage", "/mnt/s", "--name", "old"), storage_folder="")
    assert old.place == "/mnt/s" and old.stage_storage == "/mnt/s/stages"
    assert plan_of("--storage", "/mnt/s", "--name", "new").place == "/mnt/s/new"
    assert plan_of("--storage", "/mnt/s", "--seed", "1", "--name", "other").place == "/mnt/s/other"
    for made in (old, plan_of("--storage", "/mnt/s", "--name", "new")):
        made.folder.mkdir(parents=True)
        write_description(made.folder, describe(made, data, "c"))
        again = plan_of("--storage", "/mnt/s", "--name", made.name)
        assert as_created(again).place == made.place and as_created(again).identity() == made.identity()


def test_a_place_is_checked_by_writing_there(storage: Storage, tmp_path: Path):
    storage.check()
    assert storage.names() == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"--storage .*/file/x: cannot be written"):
        Storage(str(tmp_path / "file" / "x")).check()


def test_a_storage_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("study.record.storage._PATIENCE", 0.05)
    storage, answered = Storage(str(tmp_path)), threading.Event()
    monkeypatch.setattr(storage, "write", lambda name, content: answered.wait(10))
    with pytest.raises(StorageError, match=r"cannot be written \(no answer within 0.05 s"):
        storage.check()
    answered.set()


@pytest.mark.parametrize("error", [ArrowException("a\nb"), ArrowInvalid("a\nb"), OSError("a\nb")])
def test_a_storage_that_refuses_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def refuse(name: str, content: bytes) -> None:
        raise error

    storage = Storage(str(tmp_path))
    monkeypatch.setattr(storage, "write", refuse)
    with pytest.raises(StorageError) as refused:
        storage.check()
    assert str(refused.value) == f"--storage {tmp_path}: cannot be written (a)"


def test_a_full_disk_is_told_with_the_file_the_need_and_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = rf"No space left on device \(2\.0 KiB needed, .* free\): '{tmp_path}/trial/step-001\.pt'"
    with pytest.raises(OSError, match=said):
        Storage(str(tmp_path)).write("trial/step-001.pt", b"x" * 2048)
    assert list((tmp_path / "trial").iterdir()) == []
