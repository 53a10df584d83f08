"""The page: all in one file, everything said, and shown by a real browser without complaint."""

from __future__ import annotations

import html
import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from analysis.report import main

_ASK = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const loaded = images.filter(image => image.complete && image.naturalWidth > 0).length;
  document.body.setAttribute("data-seen",
    `${images.length} ${loaded} ${document.documentElement.scrollWidth} ${innerWidth}`);
});</script>"""


class Outline(html.parser.HTMLParser):
    """Sources and ids of a page, and whether every element is closed."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href") if values.get(name)]
        self.ids += [values["id"]] if "id" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(make) -> Path:
    study = make("duke", experiments="paper")
    study.run_plan(1)
    study.trial(
        study.base.replace(seed=8), state="failed", steps=1, reason="loss is nan & <the> training diverged"
    )
    study.trial(study.base.replace(seed=9), state="running", steps=2)
    pictures = study.folder / "analysis" / "ranks-0000-step-003"
    pictures.mkdir(parents=True)
    Image.new("RGB", (900, 60), "green").save(pictures / "rank-lists-hardest.png")
    assert main([str(study.folder)]) == 0
    return study.folder / "analysis" / "report.html"


def test_the_page_stands_alone(page: Path):
    outline = Outline(page.read_text())
    assert outline.open == []
    inner = [source for source in outline.sources if source.startswith("#")]
    assert [source[1:] for source in inner] == outline.ids
    assert all(source.startswith(("#", "data:")) for source in outline.sources)
    text = page.read_text()
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert sum(source.startswith("data:image/svg") for source in outline.sources) == 6
    assert sum(source.startswith("data:image/png") for source in outline.sources) == 1


def test_the_page_says_what_was_run_what_failed_and_how_to_repeat_it(page: Path):
    text = re.sub(r'src="[^"]*"|</?span[^>]*>', "", page.read_text())
    for expected in (
        "28 complete, 1 failed, 1 running",
        "gallery of 12 rows",
        "trial-seconds",
        "loss is nan &amp; &lt;the&gt; training diverged",
        "2 of 3",
        "--resume",
        "python study/run.py --plan fig3 --seeds 1 --dataset duke --lambda1 0.0 --lambda2 0.0",
        "python analysis/tables.py",
        "not enough seeds (1 of at least 3)",
        "Table 5",
    ):
        assert expected in text, expected


def test_the_page_tells_of_the_selected_step_where_there_is_one(page: Path, make):
    study = make("duke", name="scored", experiments="fig3")
    study.run_plan(1, scores=lambda config, step: {"unlabelled": 0.9 - 0.1 * step})
    assert main([str(study.folder)]) == 0
    text = (study.folder / "analysis" / "report.html").read_text()
    assert "<dt>final setting, selected step</dt><dd>rank-1 51.0" in text
    assert "A third, the selected one, is chosen without labels too" in text
    assert "selected" not in page.read_text()


def test_a_run_that_diverged_stands_on_the_page_with_its_reason(make):
    study = make("duke", experiments="fig3")
    study.trial(study.base, state="diverged", steps=1, reason="the loss is nan", labels=("fig3/final",))
    assert main([str(study.folder)]) == 0
    text = (study.folder / "analysis" / "report.html").read_text()
    assert "1 diverged" in text and "the loss is nan" in text and "none has failed" not in text


def test_a_study_in_which_everything_failed_still_gets_its_page(make):
    study = make("duke")
    study.trial(study.base, state="failed", steps=0, reason="no memory")
    assert main([str(study.folder)]) == 0
    text = (study.folder / "analysis" / "report.html").read_text()
    assert "no memory" in text and "not run" in text and "python analysis/ranks.py" in text


def test_equal_studies_give_equal_pages(page: Path):
    before = page.read_text()
    assert main([str(page.parent.parent)]) == 0
    assert page.read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it(page: Path, tmp_path: Path, width: int):
    """No console message, every image loaded, nothing wider than the window."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or google-chrome on the path")
    asking = tmp_path / "asking.html"
    asking.write_text(page.read_text().replace("</body>", f"{_ASK}</body>"))
    shown = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000",
            "--enable-logging=stderr", "--dump-dom", asking.as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in shown.stderr
    seen = re.search(r'data-seen="(\d+) (\d+) (\d+) (\d+)"', shown.stdout)
    assert seen is not None
    images, loaded, page_width, window = map(int, seen.groups())
    assert images == loaded == 7
    assert page_width <= window


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
    stray = study.folder / "analysis" / "ranks-0000-step-001 (copy)"
    stray.mkdir(parents=True)
    described = study.folder / "study.json"
    described.write_text(described.read_text().replace('"DukeMTMC-VideoReID"', r'"a_$2024_$ \\x <b>"'))
    assert main([str(study.folder)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    ledger, table, folder = said
    assert "ledger.jsonl: passed over line 3" in ledger
    assert "joins.parquet cannot be read" in table and "left out" in table
    assert folder == f"{stray} is no folder of analysis/ranks.py and is left out"
    text = (study.folder / "analysis" / "report.html").read_text()
    for line in (ledger, table, folder):
        assert f"<li>{html.escape(line)}</li>" in text
    noted = r"study, trials 0, 1, 3: train: 2 of 9 frames cannot be read, left out: \x1b.jpg"
    assert f"<li>{noted}</li>" in text and "\x1b" not in text
    assert "a_$2024_$ \\x &lt;b&gt;" in text and "&lt;script&gt;$x \\ud800" in text and "<script>" not in text
