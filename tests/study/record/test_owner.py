"""A place for trials belongs to one study, wherever its folder is moved, and to one of its copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from study import run
from study.errors import StudyError
from study.on_ray import loop
from study.record.ledger import Ledger
from study.record.owner import claim
from study.record.storage import Storage


class Sessions:
    """The sessions of one study folder, which all use one place."""

    def __init__(self, folder: Path, place: Path):
        folder.mkdir(exist_ok=True)
        self.folder, self.place = folder, place

    def session(self) -> str:
        """One session; returns the study's id."""
        ledger = Ledger(self.folder / "ledger.jsonl")
        ledger.append("session", command="c", pid=1)
        try:
            claim(Storage(str(self.place)), ledger)
        finally:
            ledger.close()
        return ledger.study_id

    def goes_on(self) -> bool:
        """Whether a session is let in."""
        try:
            self.session()
        except StudyError:
            return False
        return True


@pytest.fixture
def study(tmp_path: Path) -> Sessions:
    study = Sessions(tmp_path / "study", tmp_path / "place")
    study.session()
    return study


def test_a_study_goes_on_in_its_place_also_when_it_was_moved(study: Sessions, tmp_path: Path):
    first = study.session()
    moved = Sessions(study.folder.rename(tmp_path / "moved"), study.place)
    assert moved.goes_on() and moved.session() == moved.session() == first


def test_another_study_is_refused_by_name(study: Sessions, tmp_path: Path):
    other = Sessions(tmp_path / "other", study.place)
    with pytest.raises(StudyError, match=f"place belongs to another study, {study.folder} on .*--name"):
        other.session()
    study.session()


def test_of_a_study_and_its_copy_one_goes_on(study: Sessions, tmp_path: Path):
    copy = Sessions(Path(shutil.copytree(study.folder, tmp_path / "copy")), study.place)
    study.session()
    with pytest.raises(StudyError, match=f"as it went on in {study.folder} on .*copy is a copy"):
        copy.session()
    study.session()
    (study.place / "owner.json").unlink()  # as the message says
    copy.session()
    with pytest.raises(StudyError, match=f"as it went on in {copy.folder}"):
        study.session()


def test_a_place_that_says_nothing_or_nonsense_is_taken(study: Sessions, caplog: pytest.LogCaptureFixture):
    for content in (b"", b"[1]", b"{}", b"[" * 100_000):
        (study.place / "owner.json").write_bytes(content)
        study.session()
        assert (study.place / "owner.json.set-aside").read_bytes() == content
        assert f"{study.place}/owner.json is damaged" in caplog.text
        caplog.clear()


def test_the_id_outlives_the_first_line_and_is_that_of_older_code(study: Sessions, tmp_path: Path):
    first = study.session()
    path = study.folder / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"{}\n" + b"".join(lines[1:]))
    assert study.goes_on() and study.session() == first
    old = Sessions(tmp_path / "old", tmp_path / "elsewhere")
    (old.folder / "ledger.jsonl").write_bytes(b'{"event": "session", "time": 12.5, "pid": 7}\n')
    assert old.session() == old.session() == "12.500000-7"


def test_a_driver_is_let_in_before_it_runs_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Two studies of one name in two folders, whose --storage is the same."""
    ran = []
    monkeypatch.setattr(loop, "run_session", lambda session, *_, **__: ran.append(session.plan.studies))
    monkeypatch.chdir(tmp_path)
    options = (
        "--synthetic-train-identities",
        "4",
        "--merge-rate",
        "0.2",
        "--storage",
        "place",
        "--name",
        "one",
    )
    for studies in ("a", "b"):
        status = run.main([*options, "--studies", studies])
    assert status == 2 and ran == [str(tmp_path / "a")]
    assert f"place/one belongs to another study, {tmp_path}/a/one on " in capsys.readouterr().err
