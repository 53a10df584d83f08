"""Outages that pass are waited out; what is refused for good is not waited for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.errors import StorageError
from study.record.patience import Patience, PatientStorage
from study.record.storage import Storage

STALE = OSError(116, "Stale file handle")


class Outage:
    """A call that fails so many times, and what is waited for meanwhile."""

    def __init__(self, failures: int, error: Exception = STALE):
        self.left, self.error = failures, error
        self.pauses: list[float] = []
        self.told: list[str | None] = []

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise self.error
        return "answer"

    def patience(self, seconds: float) -> Patience:
        return Patience(seconds, self.told.append, self.pauses.append)


def test_pauses_grow_and_the_wait_is_told_until_it_is_over():
    outage = Outage(9)
    assert outage.patience(900.0)(outage) == "answer"
    assert outage.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert outage.told == [str(STALE)] * 9 + [None]


def test_pauses_are_no_longer_than_is_asked():
    outage = Outage(4)
    assert Patience(900.0, sleep=outage.pauses.append, longest=2.5)(outage) == "answer"
    assert outage.pauses == [1.0, 2.0, 2.5, 2.5]


def test_nothing_is_told_where_nothing_fails():
    outage = Outage(0)
    assert outage.patience(900.0)(outage) == "answer" and outage.told == outage.pauses == []


def test_patience_ends_with_the_error_and_begins_anew_with_the_next_outage():
    outage = Outage(100)
    patience = outage.patience(20.0)
    with pytest.raises(OSError, match="Stale"):
        patience(outage)
    assert sum(outage.pauses) == 20.0
    outage.left, outage.pauses[:] = 3, []
    assert patience(outage) == "answer" and sum(outage.pauses) == 7.0 and outage.told[-1] is None


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file"),
        OSError("When reading: AWS Error ACCESS_DENIED during GetObject operation"),
        StorageError("--storage s3://b: AWS Error NO_SUCH_BUCKET"),
    ],
)  # fmt: skip
def test_what_is_refused_for_good_is_not_waited_for_long(error: Exception):
    outage = Outage(100, error)
    with pytest.raises(type(error)):
        outage.patience(900.0)(outage)
    assert sum(outage.pauses) == 10.0


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"), OSError(122, "Disk quota exceeded"), TimeoutError("late"),
        OSError("When uploading: AWS Error NETWORK_CONNECTION during PutObject: curlCode: 7"),
    ],
)  # fmt: skip
def test_what_may_pass_is_waited_for(error: Exception):
    outage = Outage(100, error)
    with pytest.raises(type(error)):
        outage.patience(100.0)(outage)
    assert sum(outage.pauses) == 100.0


def test_other_errors_are_not_waited_for():
    outage = Outage(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        outage.patience(900.0)(outage)
    assert outage.pauses == []


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.write("a", b"new"), lambda storage: storage.read("a"),
        lambda storage: storage.names(), lambda storage: storage.delete("a"), lambda storage: storage.clean(),
    ],
    ids=["write", "read", "names", "delete", "clean"],
)  # fmt: skip
def test_every_operation_of_a_storage_is_waited_for(
    call: Callable[[Storage], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = Storage(str(tmp_path / "other"))
    storage, outage = Storage(str(tmp_path / "trial")), Outage(2)
    for each in (expected, storage):
        each.write("a", b"old")
    patient = PatientStorage(storage.root, outage.patience(900.0))
    names = ("write", "read", "names", "delete", "clean")
    for name, method in {name: getattr(Storage, name) for name in names}.items():
        monkeypatch.setattr(
            Storage, name, lambda self, *arguments, method=method: (outage(), method(self, *arguments))[1]
        )
    found = call(patient)
    assert outage.pauses == [1.0, 2.0]
    monkeypatch.undo()
    assert found == call(expected)
    assert storage.read("a") == expected.read("a")
