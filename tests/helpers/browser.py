"""A page in a real browser: Debian's chromium, driven by Playwright; tests skip with a reason without one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (1280, 390)  # pixels: a desk's screen, a phone's


@contextmanager
def opened(
    path: Path | str, width: int = WIDTHS[0], *, scripts: bool = True
) -> Iterator[tuple[Any, list[str]]]:
    """(Playwright's page, what the console says is wrong) of a file or an address."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright (pip install -e '.[dev]')")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs a browser (apt-get install chromium)")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts
        ).new_page()
        wrong: list[str] = []
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.resolve().as_uri() if isinstance(path, Path) else path)
        try:
            yield page, wrong
        finally:
            browser.close()


def draw_all(page: Any) -> list[str]:
    """Scrolls over the page until every chart is drawn; captions of those that were not."""
    for figure in page.query_selector_all(".chart"):
        figure.scroll_into_view_if_needed()
        page.wait_for_function("one => 'drawn' in one.dataset", arg=figure, timeout=10_000)
    missing: list[str] = page.eval_on_selector_all(
        ".chart",
        "all => all.filter(one => one.dataset.drawn !== 'yes' || one.querySelector('.alive svg') === null)"
        ".map(one => one.querySelector('figcaption').textContent)",
    )
    return missing


def overflowing(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
