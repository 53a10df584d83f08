"""The page's frame, in text and in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import altair as alt
import pandas as pd
import pytest
from browser import WIDTHS, draw_all, opened, overflowing
from markupsafe import Markup

from analysis.page import frame

EVIL = "<img src=x onerror=\"document.title='broken in'\">"
PNG = b"\x89PNG\r\n\x1a\n"


def line_chart(name: str = "") -> alt.Chart:
    """Two trials' curves; `isolated` is a trial's number as text."""
    data = pd.DataFrame(
        {"step": [0, 1, 2] * 2, "mAP": [1, 2, 3, 3, 2, 1], "trial": [name + "0"] * 3 + ["1"] * 3}
    )
    isolated = alt.param(name="isolated", value="")
    shown = alt.condition("isolated == '' || datum.trial == isolated", alt.value(1), alt.value(0.1))
    return (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(x="step:Q", y="mAP:Q", color="trial:N", opacity=shown, tooltip=["trial", "mAP"])
        .properties(width="container", height=200)
        .add_params(isolated)
    )


def whole_page(pictures: frame.Pictures | None = None) -> str:
    """A page with one of everything."""
    table = Markup(
        '<div class="filtering"><div class="controls"><input type="search"><select data-key="state">'
        '<option value="">all</option><option>pruned</option></select><span class="count"></span></div>'
        '<table class="sortable" data-isolates="isolated"><thead><tr><th>trial</th><th>mAP</th></tr></thead>'
        "<tbody>"
        '<tr data-item data-value="0" data-state="complete"><td>0</td><td>9.5</td></tr>'
        '<tr data-item data-value="1" data-state="pruned"><td>1</td><td>10.5</td></tr>'
        '<tr data-item data-value="2" data-state="failed"><td>2</td><td>–</td></tr>'
        "</tbody></table></div>"
    )
    steps = Markup(
        '<div class="steps"><div class="controls"><input type="range" min="0" max="1" value="1">'
        '<output></output></div><div class="step" data-name="step 1">first</div>'
        '<div class="step" data-name="step 2">second</div></div>'
    )
    toggled = Markup(
        '<div class="toggling"><div class="controls">'
        '<input type="checkbox" data-toggle="hides-ignored"></div>'
        '<span class="person ignored">junk</span></div>'
    )
    chart = frame.chart(line_chart(EVIL), f"Curves of {EVIL}", isolates="isolated")
    return frame.page(
        f"Study {EVIL}",
        [
            frame.Section("curves", "Curves", chart),
            frame.Section("trials", "Trials", table + steps + toggled),
            frame.Section("made", "How", frame.command(f"python study/run.py --name '{EVIL}'")),
        ],
        lead=frame.paragraph(EVIL),
        pictures=pictures,
    )


def test_text_is_escaped_everywhere() -> None:
    text = whole_page()
    assert "<img" not in re.sub(
        r"<script>.*?</script>", "", text, flags=re.S
    )  # but in the library's own code
    assert "&lt;img src=x onerror=" in text


def test_codes_that_a_terminal_acts_on_are_shown() -> None:
    assert "\x1b" not in frame.page("a\x1b[31m", [], lead=frame.paragraph("b\x1b]0;c"))


def test_the_policy_allows_the_pages_own_scripts_alone() -> None:
    text = whole_page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    allowed = Markup(policy[1]).unescape()
    assert "default-src 'none'" in allowed and allowed.count("'sha256-") == 2
    assert "unsafe-inline' " not in allowed.split("script-src")[1] and "unsafe-eval" not in allowed


def test_a_page_without_charts_brings_no_library() -> None:
    text = frame.page("a", [frame.Section("b", "b", frame.paragraph("c"))])
    assert len(text) < 50_000 and "vegaEmbed=" not in text


def test_charts_have_the_pages_look() -> None:
    drawn = frame.chart(line_chart(), "Curves")
    spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>', drawn, re.S)[1])
    assert spec["config"]["view"]["stroke"] is None and spec["config"]["axis"]["labelFontSize"] == 12


def test_a_picture_shown_twice_is_written_once() -> None:
    pictures = frame.Pictures()
    shown = [pictures.show("one", (8, 16), lambda: PNG, "a person") for _ in range(2)]
    text = frame.page("a", [frame.Section("b", "b", Markup().join(shown))], pictures=pictures)
    assert text.count("data:image/png") == 1 and text.count("<use ") == 2


def test_without_pictures_none_is_read() -> None:
    pictures = frame.Pictures(shown=False)
    shown = pictures.show("one", (8, 16), lambda: pytest.fail("read"), "a person")
    text = frame.page("a", [frame.Section("b", "b", shown)], pictures=pictures)
    assert "data:image/" not in text and "<use" not in text and "a person" in text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(whole_page(), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_nothing_is_wrong_and_every_chart_is_drawn(made: Path, width: int) -> None:
    with opened(made, width) as (page, wrong):
        assert draw_all(page) == []
        assert page.title() == f"Study {EVIL}" and page.query_selector("main img") is None
        assert wrong == [] and overflowing(page) <= 0


def test_the_table_sorts_filters_and_isolates(made: Path) -> None:
    with opened(made) as (page, _):
        draw_all(page)
        first = "table.sortable tbody tr:first-child td:first-child"
        page.click("th:has-text('mAP')")
        assert page.inner_text(first) == "1"  # 10.5 above 9.5, and the missing one last
        page.click("th:has-text('mAP')")
        assert page.inner_text(first) == "0"
        assert page.inner_text("table.sortable tbody tr:last-child td:first-child") == "2"
        page.select_option("select[data-key=state]", "pruned")
        assert page.inner_text(".count") == "1" and not page.is_visible("tr[data-value='0']")
        page.click("tr[data-value='1']")
        paths = "[...document.querySelectorAll('.chart .alive path')]"
        faint = f"() => {paths}.some(one => one.getAttribute('opacity') === '0.1')"
        page.wait_for_function(faint, timeout=5000)
        page.click("tr[data-value='1']")
        page.wait_for_function(f"() => !({faint})()", timeout=5000)


def test_the_slider_moves_and_the_toggle_shows(made: Path) -> None:
    with opened(made) as (page, _):
        assert page.inner_text("output") == "step 2" and not page.is_visible("text=first")
        page.fill("input[type=range]", "0")
        assert page.inner_text("output") == "step 1" and page.is_visible("text=first")
        assert not page.is_visible("text=junk")
        page.check("input[data-toggle]")
        assert page.is_visible("text=junk")


def test_where_scripts_are_off_all_is_there(made: Path) -> None:
    with opened(made, scripts=False) as (page, _):
        assert page.is_visible(".chart .drawn > svg") and not page.is_visible(".controls")
        assert (
            page.is_visible("text=first") and page.is_visible("text=second") and page.is_visible("text=junk")
        )
