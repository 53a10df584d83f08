"""The page of a search's hits: what it says of files made by the search and by hand, and in a browser."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import WIDTHS, draw_all, opened, overflowing
from PIL import Image
from small_model import small_model
from tiny_runs import tiny

from analysis.hits import main, read_hits
from dcreid.data.given import read_tracklets
from dcreid.hits import COLUMNS, find
from dcreid.model import Card, Model
from dcreid.network.tracklets import build_network

EVIL = "<img src=x onerror=document.title=1>"


def write(path: Path, rows: list[tuple[object, ...]]) -> Path:
    content = io.StringIO()
    csv.writer(content).writerows([COLUMNS, *rows])
    path.write_text(content.getvalue())
    return path


def rows(query: str, camera: int, matches: list[str], start: float = 0.5) -> list[tuple[object, ...]]:
    return [
        (query, camera, "", rank, f"{query} hit {rank}", rank % 3, "", f"{start + rank / 100:.4f}", match)
        for rank, match in enumerate(matches, start=1)
    ]


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Right behind an ignored one; wrong first, right at 14; only ignored ones; ten that count of 15."""
    return write(
        tmp_path / "hits.csv",
        [
            *rows("a", 1, ["ignored", "right", "wrong"]),
            *rows("b", 2, ["wrong"] * 13 + ["right", "wrong"], start=0.9),
            *rows("c", 2, ["ignored", "ignored"]),
            *rows("d", 3, ["ignored", "wrong", "ignored"] + ["wrong"] * 12),
        ],
    )


def test_the_answer_is_of_the_first_hits_that_count(judged: Path):
    assert main([str(judged)]) == 0
    text = judged.with_suffix(".html").read_text()
    assert "The nearest that counts is the right person for 1 of 3 queries (33 %)." in text
    assert "1 query has only hits that the evaluation ignores" in text
    assert "2 of 4 queries (50 %) have no right hit in the file" in text
    assert "a, camera 1: the right person is number 1 of the hits that count" in text
    assert "b, camera 2: the right person is number 14 of the hits that count" in text


def test_ten_that_count_and_the_first_right_one_are_shown(judged: Path):
    assert main([str(judged)]) == 0
    text = judged.with_suffix(".html").read_text()
    shown = [int(rank) for rank in re.findall(r'title="b hit (\d+)"', text)]
    assert shown == [*range(1, 11), 14]
    assert re.findall(r'title="a hit (\d+)"', text) == ["1", "2", "3"]
    assert re.findall(r'title="d hit (\d+)"', text) == [str(rank) for rank in range(1, 13)]


def test_the_file_of_a_search_is_read_as_it_was_found(tmp_path: Path):
    model = small_model()
    queries, gallery = (
        read_tracklets(f"synthetic:{part}", model.config.data.synthetic) for part in ("query", "gallery")
    )
    hits = find(model, queries, gallery, 4)
    hits.write(tmp_path / "hits.csv")
    read = read_hits(tmp_path / "hits.csv")
    assert [query.name for query in read] == [queries.names[i] for i in range(len(queries))]
    for i, query in enumerate(read):
        assert [hit.name for hit in query.hits] == [gallery.names[g] for g in hits.rows[i]]
        assert [hit.distance for hit in query.hits] == pytest.approx(hits.distances[i].tolist(), abs=1e-4)
        assert [hit.match for hit in query.hits] == [hits.match(i, int(g)) for g in hits.rows[i]]


def test_drawn_people_are_shown_with_the_model_that_searched(tmp_path: Path, capsys):
    config = tiny()
    weights = build_network(config, torch.device("cpu")).state_dict()["backbone"]
    model = Model.of(weights, Card(config, "", "", "", ""))
    model.save(tmp_path / "model.safetensors")
    queries, gallery = (
        read_tracklets(f"synthetic:{part}", model.config.data.synthetic) for part in ("query", "gallery")
    )
    hits = tmp_path / "hits.csv"
    find(model, queries, gallery, 3).write(hits)
    assert main([str(hits), "--most", "3"]) == 0
    assert "--model FILE" in capsys.readouterr().out
    assert "data:image/webp" not in hits.with_suffix(".html").read_text()
    assert main([str(hits), "--most", "3", "--model", str(tmp_path / "model.safetensors")]) == 0
    assert hits.with_suffix(".html").read_text().count("data:image/webp") >= 6


def test_pictures_are_read_here_or_beside_the_file_and_missing_ones_are_names(tmp_path: Path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    for name in ("near.png", "far.png"):
        Image.fromarray(np.full((20, 10, 3), 90, dtype=np.uint8)).save(place / name)
    hits = write(
        place / "hits.csv",
        [
            ("q", "", "near.png", 1, "h", "", str(place / "far.png"), "0.5", ""),
            ("q", "", "near.png", 2, "gone", "", "gone.png", "0.6", ""),
        ],
    )
    monkeypatch.chdir(tmp_path)
    assert main([str(hits), "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/webp") == 2 and '<span class="name">gone</span>' in text
    assert main([str(hits), "--without-pictures"]) == 0
    assert "data:image/" not in hits.with_suffix(".html").read_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_the_limit_hides_the_toggle_shows_and_the_filter_leaves(judged: Path, width: int):
    assert main([str(judged)]) == 0
    with opened(judged.with_suffix(".html"), width) as (browser, wrong):
        assert draw_all(browser) == []
        assert not browser.is_visible(".person.ignored")
        browser.check("input[data-toggle]")
        assert browser.is_visible(".person.ignored")
        assert browser.is_visible("[title='b hit 1']")
        browser.fill("input[data-limit]", "0.7")
        assert not browser.is_visible("[title='b hit 1']") and browser.is_visible("[title='a hit 2']")
        browser.fill("input[data-limit]", "1.05")
        browser.select_option("select[data-key=group]", "first-hit-wrong")
        assert browser.inner_text(".count") == "2" and browser.is_visible("[title='b hit 14']")
        browser.select_option("select[data-key=group]", "")
        browser.select_option("select[data-key=camera]", "1")
        assert browser.inner_text(".count") == "1" and not browser.is_visible("[title='b hit 1']")
        assert wrong == [] and overflowing(browser) <= 0


def test_without_labels_distances_answer(tmp_path: Path):
    hits = write(tmp_path / "hits.csv", [row for i in range(9) for row in rows(f"q{i}", 1, [""] * 2, i / 10)])
    assert main([str(hits), "--most", "4"]) == 0
    text = hits.with_suffix(".html").read_text()
    assert "9 queries; the nearest hit is at a distance of 0.41 in the median" in text
    assert "half of them between 0.21 and 0.61" in text
    assert "Shown are 4 queries, evenly over the file; --most N shows more." in text
    assert text.count('<div class="row-of-people"') == 4 and "right person" not in text


def test_names_from_users_are_only_shown(tmp_path: Path):
    hits = write(tmp_path / f"{EVIL}.csv", rows(EVIL, 1, ["wrong", "right"]))
    assert main([str(hits), "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "<img" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S) and "&lt;img src=x" in text


HEAD = ",".join(COLUMNS)
GOOD = "q,1,f,1,h,2,g,0.5,right"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no column query"),
        ("a,b\n1,2\n", "no column query"),
        (f"{HEAD}\n", "no hits in it"),
        (f"{HEAD}\n{GOOD}\nq,1,f,two,h,2,g,0.5,right\n", "line 3: rank 'two'"),
        (f"{HEAD}\nq,1,f,0,h,2,g,0.5,right\n", "line 2: rank 0"),
        (f"{HEAD}\nq,1,f,1,h,2,g,nan,right\n", "line 2: rank 1, distance nan"),
        (f"{HEAD}\nq,1,f,1,h,2,g,7,right\n", "distance 7"),
        (f"{HEAD}\nq,1,f,1,h,2,g,0.5,perhaps\n", "'perhaps'"),
        (f"{HEAD}\nq,1,f,1,h\n", "line 2: has not as many values"),
        (f"{HEAD}\n{GOOD},more\n", "line 2: has not as many values"),
        (f'{HEAD}\n"q,1\n', "not a table of hits"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_line(tmp_path: Path, capsys, content: str, said: str):
    path = tmp_path / "hits.csv"
    path.write_text(content)
    assert main([str(path)]) == 2
    text = capsys.readouterr().err
    assert said in text and text.count("\n") == 1 and str(path) in text


def test_a_picture_or_nothing_is_no_table(tmp_path: Path, capsys):
    path = tmp_path / "hits.csv"
    path.write_bytes(bytes(range(256)) * 20)
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "none.csv")]) == 2
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 3
