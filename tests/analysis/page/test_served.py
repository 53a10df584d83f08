"""The page on the local host: made anew when a file has changed, and for this machine alone."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.page.frame import VERSION
from analysis.page.served import Renewed, server


class Study:
    """A file, and how often a page was made of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.made = path, 0

    def page(self) -> str:
        self.made += 1
        text = self.path.read_text()
        if "damaged" in text:
            raise ValueError("a damaged line")
        return f"<p>{text}</p>"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "ledger.jsonl")


@pytest.fixture
def address(study: Study) -> Iterator[tuple[str, Renewed]]:
    renewed = Renewed(study.page, [study.path], "waiting")
    made = server(renewed, 0)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", renewed
    made.shutdown()
    made.server_close()


def get(address: str, **headers: str) -> tuple[int, str, str]:
    request = urllib.request.Request(address, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        return error.code, "", error.headers.get("ETag", "")


def test_it_waits_and_is_made_anew_only_when_a_file_has_changed(study, address):
    at, renewed = address
    assert get(at)[:2] == (200, "waiting")
    study.path.write_text("one")
    renewed.look()
    renewed.look()
    assert study.made == 1
    status, text, tag = get(at)
    assert (status, text) == (200, "<p>one</p>")
    assert get(at, If_None_Match=tag)[0] == 304
    study.path.write_text("one, two")
    renewed.look()
    assert study.made == 2 and get(at, If_None_Match=tag)[:2] == (200, "<p>one, two</p>")


def test_what_cannot_be_read_leaves_the_page_and_is_told_once(study, address, caplog):
    at, renewed = address
    study.path.write_text("one")
    renewed.look()
    for text in ("one, damaged", "one, damaged more"):
        study.path.write_text(text)
        renewed.look()
    assert get(at)[1] == "<p>one</p>"
    assert [record.getMessage() for record in caplog.records] == ["the page is not renewed: a damaged line"]


def test_another_sites_name_reads_nothing(address):
    at, _ = address
    assert get(at, Host="elsewhere.example:80")[:2] == (403, "")
    assert get(f"{at}/ledger.jsonl")[:2] == (404, "")


def test_it_listens_on_this_machine_alone(study):
    made = server(Renewed(study.page, [study.path], ""), 0)
    assert made.server_address[0] == "127.0.0.1"
    made.server_close()


def test_a_page_holds_the_version_that_the_server_calls_it(study, address):
    at, renewed = address
    study.path.write_text(VERSION)
    renewed.look()
    _, text, tag = get(at)
    assert text == f"<p>{tag.strip(chr(34))}</p>" and len(tag) == 18
