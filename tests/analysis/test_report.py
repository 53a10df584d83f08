"""The page: all in one file, everything said, and shown by a real browser without complaint."""

from __future__ import annotations

import argparse
import html
import html.parser
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import WIDTHS, draw_all, opened, overflowing

from analysis import report
from analysis.data.results import load
from analysis.report import main

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<img src=x onerror=document.title='broken'>"


class Outline(html.parser.HTMLParser):
    """Sources and ids of a page, and whether every element is closed."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href") if values.get(name)]
        self.ids += [values["id"]] if tag == "section" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def without_scripts(text: str) -> str:
    """A page's own text: no scripts, no marks that keep words unbroken."""
    return re.sub(r"<script[^>]*>.*?</script>|</?span[^>]*>", "", text, flags=re.S)


@pytest.fixture
def page(make) -> Path:
    study = make("duke", experiments="paper")
    study.run_plan(1)
    study.trial(
        study.base.replace(seed=8), state="failed", steps=1, reason="loss is nan & <the> training diverged"
    )
    study.trial(study.base.replace(seed=9), state="running", steps=2)
    assert main([str(study.folder)]) == 0
    return study.folder / "analysis" / "report.html"


def test_the_page_stands_alone(page: Path):
    text = page.read_text()
    outline = Outline(without_scripts(text))
    assert outline.open == []
    inner = [source for source in outline.sources if re.fullmatch("#[a-z-]+", source)]
    assert [source[1:] for source in inner] == outline.ids
    assert all(source.startswith(("#", "data:")) for source in outline.sources)
    assert len(text) < 6 * 2**20


def test_the_page_says_what_was_run_what_failed_and_how_to_repeat_it(page: Path):
    text = without_scripts(page.read_text())
    for expected in (
        "28 complete, 1 failed, 1 running",
        "gallery of 12 rows",
        "trial-seconds",
        "loss is nan &amp; &lt;the&gt; training diverged",
        "2 of 3",
        "--resume",
        "python study/run.py --plan fig3 --seeds 1 --dataset duke --lambda1 0.0 --lambda2 0.0",
        "python analysis/tables.py",
        "Table 5",
    ):
        assert expected in text, expected


def test_the_page_opens_with_the_answer(page: Path):
    text = without_scripts(page.read_text())
    said, missing = text.index('class="said"'), text.index('class="missing"')
    assert said < missing < text.index("<section")
    assert "1 run of study not finished" in text


def test_the_page_tells_of_the_selected_step_where_there_is_one(page: Path, make):
    study = make("duke", name="scored", experiments="fig3")
    study.run_plan(1, scores=lambda config, step: {"unlabelled": 0.9 - 0.1 * step})
    assert main([str(study.folder)]) == 0
    text = without_scripts((study.folder / "analysis" / "report.html").read_text())
    assert "31.0 % at the step selected without labels" in text
    assert "selected without labels" not in without_scripts(page.read_text())


def test_a_run_that_diverged_stands_on_the_page_with_its_reason(make):
    study = make("duke", experiments="fig3")
    study.trial(study.base, state="diverged", steps=1, reason="the loss is nan", labels=("fig3/final",))
    assert main([str(study.folder)]) == 0
    text = without_scripts((study.folder / "analysis" / "report.html").read_text())
    assert "1 diverged" in text and "the loss is nan" in text and "none has failed" not in text


def test_a_study_in_which_everything_failed_still_gets_its_page(make):
    study = make("duke")
    study.trial(study.base, state="failed", steps=0, reason="no memory")
    assert main([str(study.folder)]) == 0
    text = without_scripts((study.folder / "analysis" / "report.html").read_text())
    assert "no memory" in text and "--retry-failed" in text


def test_equal_studies_give_equal_pages(page: Path):
    before = page.read_text()
    assert main([str(page.parent.parent)]) == 0
    assert page.read_text() == before


def test_two_studies_side_by_side(page: Path, make, tmp_path: Path):
    other = make("duke", name="other", experiments="fig3")
    other.run_plan(1)
    out = tmp_path / "out"
    assert main([str(page.parent.parent), "--compare", str(other.folder), "--out", str(out)]) == 0
    text = without_scripts((out / "report.html").read_text())
    assert "<h1>Studies study and other</h1>" in text and "A: study. B: other" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "80"], "--port goes with --watch"),
        (["--compare", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(page: Path, options, words, capsys):
    assert main([str(page.parent.parent), *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) <= 3


def test_watching_what_is_no_study_is_refused(tmp_path: Path, capsys):
    assert main([str(tmp_path), "--watch"]) == 2
    assert "not the folder of a study" in capsys.readouterr().err


def test_what_is_left_out_is_told_on_the_console_and_on_the_page_where_text_is_text(make, capsys):
    study = make("duke", experiments="table1")
    study.run_plan(1)
    study.trial(study.base.replace(seed=5), state="failed", steps=1, reason="<script>$x \ud800")
    for number in (0, 1, 3):
        study.ledger.append(
            "note", trial=number, text="train: 2 of 9 frames cannot be read, left out: \x1b.jpg"
        )
    study.ledger.close()
    lines = study.ledger.path.read_text().splitlines(keepends=True)
    study.ledger.path.write_text("".join([*lines[:2], "{\x1b]0;t\x07\n", *lines[2:]]))
    joins = study.folder / "trials" / "0000" / "joins.parquet"
    joins.parent.mkdir(parents=True)
    joins.write_bytes(b"PAR1")
    described = study.folder / "study.json"
    described.write_text(described.read_text().replace('"DukeMTMC-VideoReID"', r'"a_$2024_$ \\x <b>"'))
    assert main([str(study.folder)]) == 0
    ledger, table = capsys.readouterr().err.splitlines()
    assert "ledger.jsonl: passed over line 3" in ledger
    assert "joins.parquet cannot be read" in table and "left out" in table
    text = without_scripts((study.folder / "analysis" / "report.html").read_text())
    for line in (ledger, table):
        assert f"<li>{line}</li>" in html.unescape(text)
    noted = r"study, trials 0, 1, 3: train: 2 of 9 frames cannot be read, left out: \x1b.jpg"
    assert f"<li>{noted}</li>" in text and "\x1b" not in text
    assert "a_$2024_$ \\x &lt;b&gt;" in text and "&lt;script&gt;$x \\ud800" in text


@pytest.mark.parametrize("renewed", [True, False])
def test_only_a_page_that_is_written_computes_what_people_need(make, monkeypatch, renewed):
    study = make("duke", experiments="fig3")
    study.run_plan(1)
    asked = []
    monkeypatch.setattr(report, "people", lambda *_, compute, **__: asked.append(compute))
    given = argparse.Namespace(without_pictures=True, data_root=None, cache=None, out=None)
    report._page(given, load([study.folder]), None, renewed=renewed)
    assert asked == [not renewed]


# --- in a real browser


@pytest.fixture
def searched(make, lambdas_space) -> Path:
    """A page of a search under a name that is HTML: complete, pruned, failed and diverged trials."""
    study = make("duke", name=EVIL, space=lambdas_space, samples=8)
    study.trial(study.base, origin="paper")
    states = ("complete", "complete", "pruned", "failed", "diverged", "complete", "complete")
    for number, state in enumerate(states):
        config = study.base.replace(**{"merge.lambda1": 0.01 * (number + 1), "merge.lambda2": 0.001 * number})
        study.trial(config, lambda config, step: 0.2 + config.merge.lambda1 * step, state=state,
                    steps=3 if state == "complete" else 1, origin="search", reason=EVIL)  # fmt: skip
    assert main([str(study.folder)]) == 0
    return study.folder / "analysis" / "report.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_a_search(searched: Path, width: int):
    """No console message, every chart drawn, nothing wider than the window, text as text."""
    with opened(searched, width) as (shown, wrong):
        assert draw_all(shown) == []
        assert shown.title() == f"Study {EVIL}" and shown.query_selector("main img") is None
        assert wrong == [] and overflowing(shown) <= 0


def test_its_trials_sort_filter_and_isolate(searched: Path):
    with opened(searched) as (shown, _):
        draw_all(shown)
        table = "#trials table.sortable"
        shown.select_option("#trials select[data-key=state]", "pruned")
        visible = shown.eval_on_selector_all(
            f"{table} tbody tr", "rows => rows.filter(one => one.offsetParent !== null).length"
        )
        assert visible == 1
        shown.select_option("#trials select[data-key=state]", "")
        shown.click(f"{table} tbody tr:first-child .sparkline")
        assert shown.eval_on_selector_all("tr.isolated", "rows => rows.length") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_the_papers_plan(page: Path, width: int):
    with opened(page, width) as (shown, wrong):
        assert draw_all(shown) == []
        assert wrong == [] and overflowing(shown) <= 0


def test_a_browser_shows_data_without_labels(nobody_labelled):
    assert main([str(nobody_labelled.folder)]) == 0
    with opened(nobody_labelled.folder / "analysis" / "report.html") as (shown, wrong):
        assert draw_all(shown) == [] and wrong == []
        assert "mAP" not in shown.inner_text("main")


def test_on_paper_everything_is_there(page: Path, tmp_path: Path):
    with opened(page) as (shown, _):
        shown.emulate_media(media="print")
        assert not shown.is_visible("nav") and not shown.is_visible(".copy")
        assert shown.is_visible(".chart svg")
        printed = tmp_path / "page.pdf"
        shown.pdf(path=printed)
        assert printed.read_bytes().startswith(b"%PDF")


# --- watched


@pytest.fixture
def watched(make) -> Iterator[tuple[object, str, subprocess.Popen[str]]]:
    study = make("duke", experiments="fig3")
    program = subprocess.Popen(
        [sys.executable, "analysis/report.py", str(study.folder), "--watch"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert program.stdout is not None
    address = program.stdout.readline().split()[0]
    yield study, address, program
    program.kill()
    program.wait()


@pytest.mark.slow
def test_the_page_is_renewed_while_the_study_runs(watched):
    study, address, program = watched
    with opened(address) as (shown, wrong):
        assert "Waiting for the first trial" in shown.inner_text("main")
        study.trial(study.base, labels=("fig3/final",))
        shown.wait_for_selector(".said:has-text('33.0 %')", timeout=60_000)
        shown.evaluate("window.same = true")
        study.trial(study.base.replace(seed=1), lambda config, step: 0.5, labels=("fig3/final",))
        shown.wait_for_selector(".said:has-text('two seeds')", timeout=60_000)
        assert shown.evaluate("window.same") is True  # the reader's page, not another
        assert draw_all(shown) == [] and wrong == []
    program.send_signal(signal.SIGINT)
    assert program.wait(10) == 0 and program.stderr.read() == ""
