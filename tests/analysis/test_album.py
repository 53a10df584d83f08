"""The album of classes: what it says against the classes themselves, and in a real browser."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import WIDTHS, opened, overflowing
from trained_study import without_labels

from analysis.album import album, main
from analysis.data.results import load
from analysis.page.frame import Pictures
from analysis.people import network
from analysis.people.history import History, history_of
from analysis.people.network import data_of

EVIL = "<img src=x onerror=document.title=1>"


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    assert main([str(trained), "--out", str(folder)]) == 0
    (path,) = folder.iterdir()
    return path


def test_every_class_is_there_with_its_size_and_purity(trained: Path, made: Path):
    study = load([trained]).studies[0]
    history, data = history_of(study, study.trials[0]), data_of(study, study.trials[0], None)
    text = made.read_text()
    assert made.name == "album-0000-step-003.html"
    classes = history.members(3)
    assert f"18 tracklets are in {len(classes)} classes after merge step 3 of trial 0" in text
    sizes = [int(size) for size in re.findall(r'data-size="(\d+)"', text)]
    assert sizes == [len(one) for one in classes if len(one) > 1]
    purities = [float(value) for value in re.findall(r'data-purity="([^"]+)"', text)]
    expected = [np.bincount(data.train.identities[one]).max() / len(one) for one in classes if len(one) > 1]
    assert purities == pytest.approx(expected)
    row = study.trials[0].steps[3]
    assert f"purity {100 * row['purity']:.1f} %" in text
    for name in data.train.names:
        assert name in text
    assert text.count("data:image/webp") == sum(sizes) + (len(classes) - len(sizes))


@pytest.fixture(scope="module")
def planted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes of six, three and two tracklets, which are called t00 to t17; the others alone."""
    study = load([trained]).studies[0]
    data = data_of(study, study.trials[0], None)
    identities = np.array([1] * 3 + [2] * 3 + [4] * 2 + [5] + [6] * 9)
    named = dataclasses.replace(data.train, names=[f"t{i:02d}" for i in range(18)], identities=identities)
    rows = np.stack([np.arange(18), [0] * 6 + [6] * 3 + [9] * 2 + [*range(11, 18)]])
    sure = np.full(rows.shape, np.nan)
    sure[1] = np.linspace(1, 0, 18)
    data = dataclasses.replace(data, train=named)
    path = tmp_path_factory.mktemp("planted") / "album.html"
    path.write_text(album(study, study.trials[0], 1, History(rows, sure, None), data, Pictures()))
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_classes_are_ordered_searched_and_opened(planted: Path, width: int):
    with opened(planted, width) as (browser, wrong):

        def sizes() -> list[int]:
            """In the order on the page, those that are shown."""
            found = browser.query_selector_all(".row-of-people[data-item]")
            return [int(one.get_attribute("data-size")) for one in found if one.is_visible()]

        assert sizes() == [6, 3, 2]
        for chosen, expected in (("size up", [2, 3, 6]), ("purity up", [6, 3, 2]), ("sure up", [2, 3, 6])):
            browser.select_option("select[data-order]", chosen)
            assert sizes() == expected
        browser.fill("input[type=search] >> nth=0", "t07")
        assert sizes() == [3] and browser.inner_text(".count >> nth=0") == "1"
        browser.fill("input[type=search] >> nth=0", "")
        browser.select_option("select[data-key=kind]", "pure")
        assert sizes() == [2]
        browser.click(".row-of-people:not(.filtered-out) summary")
        assert browser.is_visible("svg.tree")
        assert browser.is_visible("svg.tree text:has-text('t09')")
        assert wrong == [] and overflowing(browser) <= 0


def test_any_step_can_be_shown_and_no_other(trained: Path, tmp_path: Path, capsys):
    assert main([str(trained), "--step", "1", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "album-0000-step-001.html").is_file()
    assert main([str(trained), "--step", "7", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "--step 7: trial 0 has classes of merge steps 0 (each tracklet alone) to 3" in said
    assert main([str(trained), "--step", "0", "--out", str(tmp_path)]) == 0
    assert "Every tracklet is a class of its own." in (tmp_path / "album-0000-step-000.html").read_text()


def test_without_pictures_names_are_in_their_place(trained: Path, tmp_path: Path):
    assert main([str(trained), "--out", str(tmp_path), "--without-pictures"]) == 0
    text = (tmp_path / "album-0000-step-003.html").read_text()
    assert "data:image/" not in text and '<span class="name">person' in text


def test_a_study_that_has_kept_no_classes_is_refused(make, capsys):
    study = make("duke")
    study.trial(study.base)
    assert main([str(study.folder)]) == 2
    assert "no classes of trial 0: it has kept none that can be read" in capsys.readouterr().err


def test_where_the_data_are_not_at_hand_classes_are_told_by_number(trained: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    path = moved / "study.json"
    path.write_text(path.read_text().replace(load([trained]).studies[0].data["fingerprint"], "0" * 16))
    assert main([str(moved)]) == 0
    text = (moved / "analysis" / "album-0000-step-003.html").read_text()
    assert "Not shown: pictures, names and cameras" in text
    assert "tracklet 3" in text and re.search(r"purity \d", text) is None


def test_without_labels_nothing_is_right_or_wrong(trained_anew: Path, tmp_path: Path, monkeypatch):
    loaded = network.load_dataset
    monkeypatch.setattr(network, "load_dataset", lambda *given: without_labels(loaded(*given)))
    assert main([str(trained_anew), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "album-0000-step-003.html").read_text()
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.S)
    assert "person right" not in body and "✓" not in body and "with several persons" not in body


def test_how_a_class_came_about_whose_tracklets_were_apart_in_between(trained: Path):
    study = load([trained]).studies[0]
    trial, apart = study.trials[0], np.arange(18)
    apart[[4, 5]] = 0  # with 0 at first, then not, then again
    rows = np.stack([np.arange(18), apart, np.where(np.arange(18) == 5, 5, apart), apart])
    history = History(rows, np.full(rows.shape, np.nan), None)
    text = album(study, trial, 3, history, data_of(study, trial, None), Pictures())
    assert 'class="sparkline"' in text and "all together since merge step 3" in text


def test_names_from_users_are_only_shown(trained: Path):
    study = load([trained]).studies[0]
    trial = study.trials[0]
    data = data_of(study, trial, None)
    names = [f"{EVIL} {name}" for name in data.train.names]
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, names=names))
    named = dataclasses.replace(study, folder=study.folder.with_name(EVIL))
    text = album(named, trial, 3, history_of(study, trial), data, Pictures())
    assert "<img" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S) and "&lt;img src=x" in text


def test_of_many_tracklets_the_surest_and_the_least_sure_are_shown(trained: Path, monkeypatch):
    monkeypatch.setattr("analysis.album._OF_A_CLASS", (3, 3))
    study = load([trained]).studies[0]
    rows = np.stack([np.arange(18), np.zeros(18, dtype=int)])
    sure = np.full(rows.shape, np.nan)
    sure[1] = np.linspace(0, 1, 18)[np.random.default_rng(0).permutation(18)]
    data = data_of(study, study.trials[0], None)
    text = album(study, study.trials[0], 1, History(rows, sure, None), data, Pictures())
    shown = re.findall(r'class="person \w+" title="([^"]+)"', text)
    order = [data.train.names[i] for i in np.argsort(-sure[1])]
    assert shown == [order[0], order[8], order[17]]
    assert ", ".join(sorted(set(order) - set(shown), key=data.train.names.index)) in text


def test_pictures_of_very_many_classes_stay_within_bounds(trained: Path, monkeypatch):
    monkeypatch.setattr("analysis.album._PICTURES", 4)
    study = load([trained]).studies[0]
    data = data_of(study, study.trials[0], None)
    text = album(study, study.trials[0], 3, history_of(study, study.trials[0]), data, Pictures())
    several = [one for one in history_of(study, study.trials[0]).members(3) if len(one) > 1]
    alone = 18 - sum(map(len, several))
    assert text.count("data:image/webp") <= 4 + 2 + alone and "Others in the class" in text
