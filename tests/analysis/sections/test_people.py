"""The people of a study on its page, of real trials in small, in text and in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import WIDTHS, opened, overflowing
from trained_study import without_labels

from analysis.data.folder import ResultsError
from analysis.data.results import Study, load
from analysis.page.frame import Pictures, page
from analysis.people import network
from analysis.people.history import history_of
from analysis.sections import people as section
from analysis.sections.people import people

EVIL = "<img src=x onerror=document.title=1>"


def study_of(folder: Path) -> Study:
    return load([folder]).studies[0]


def text_of(study: Study, *, shown: bool = True, **given: object) -> str:
    """The section on a page of its own."""
    pictures = Pictures(shown=shown)
    made = people(study, pictures, **given)
    assert made is not None and made.key == "people"
    return page("Study", [made], pictures=pictures)


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    (folder / "page.html").write_text(text_of(study_of(trained), folder=folder))
    return folder / "page.html"


def test_the_page_says_what_the_trial_has_measured(trained: Path, made: Path):
    text, trial = made.read_text(), study_of(trained).trials[0]
    assert "Trial 0 after merge step 3, the step with the highest score without labels." in text
    row = trial.steps[3]
    right = round(row["rank1"] * row["queries"])
    assert f"is the right person for {right} of {row['queries']} queries" in text
    for heading in (
        "What goes wrong most",
        "Rank lists",
        "Accuracy by pair of cameras",
        "What the merges joined",
    ):
        assert f"<h3>{heading}</h3>" in text
    history = history_of(study_of(trained), trial)
    wrong = int((history.joins.right == 0).sum())
    assert f"{wrong} of {len(history.joins)} joins" in text
    step = history.joins[history.joins.step == 2]
    assert f"{(step.right == 1).sum()} right, {(step.right == 0).sum()} wrong" in text
    assert text.count("data:image/webp") > 20


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser_the_slider_moves_the_toggle_shows_and_the_filter_leaves(made: Path, width: int):
    with opened(made, width) as (browser, wrong):
        assert browser.inner_text(".steps output") == "3 of 3"
        browser.fill(".steps input[type=range]", "0")
        assert browser.inner_text(".steps output") == "1 of 3"
        assert browser.is_visible("text=Merge step 1.") and not browser.is_visible("text=Merge step 3.")
        ignored = browser.query_selector_all(".person.ignored")
        assert ignored and not any(one.is_visible() for one in ignored)
        browser.check("input[data-toggle]")
        assert all(one.is_visible() for one in ignored)
        camera = browser.eval_on_selector("select[data-key=camera] option:nth-child(2)", "one => one.value")
        browser.select_option("select[data-key=camera]", camera)
        shown = [one for one in browser.query_selector_all(".filtering [data-item]") if one.is_visible()]
        assert shown and {one.get_attribute("data-camera") for one in shown} == {camera}
        assert wrong == [] and overflowing(browser) <= 0


def test_findings_are_kept_and_not_computed_again(trained: Path, made: Path, monkeypatch):
    monkeypatch.setattr(section, "rebuild", lambda *given: pytest.fail("computed again"))
    assert text_of(study_of(trained), folder=made.parent) == made.read_text()


def test_without_pictures_names_are_in_their_place(trained: Path, made: Path):
    text = text_of(study_of(trained), shown=False, folder=made.parent)
    assert "data:image/" not in text.replace('href="data:,"', "") and "<use " not in text
    assert re.search(r'<span class="name">person \d+, camera', text)


def test_without_computing_a_line_and_the_command_stand_there(trained: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(section, "rebuild", lambda *given: pytest.fail("computed"))
    text = text_of(study_of(trained), compute=False, folder=tmp_path)
    assert "Not shown: rank lists: " in text and f"python analysis/report.py {trained}" in text
    assert "<h3>Rank lists</h3>" not in text and "What the merges joined" in text
    assert not list(tmp_path.iterdir())


def test_where_the_data_are_not_at_hand_joins_are_told_all_the_same(trained: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    path = moved / "study.json"
    path.write_text(path.read_text().replace(study_of(trained).data["fingerprint"], "0" * 16))
    text = text_of(study_of(moved), folder=tmp_path)
    assert "Not shown: pictures: " in text and "not the data of moved" in text
    assert "data:image/webp" not in text and "tracklet 3" in text and "wrong" in text
    with pytest.raises(ResultsError, match="--data-root"):
        text_of(study_of(moved), data_root=tmp_path)


def test_of_a_data_set_that_lies_elsewhere_the_command_is_named(trained: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    path = moved / "study.json"
    content = json.loads(path.read_text())
    content["plan"]["root"] = str(tmp_path / "gone")
    path.write_text(json.dumps(content).replace(content["dataset"]["fingerprint"], "0" * 16))
    text = text_of(study_of(moved), folder=tmp_path)
    assert f"python analysis/report.py {moved}" in text and "DIR</pre>" in text


def test_without_a_checkpoint_the_rest_is_shown(trained: Path, tmp_path: Path):
    copied = tmp_path / "copied"
    shutil.copytree(trained, copied)
    for path in copied.glob("trials/0000/*.pt"):
        path.unlink()
    text = text_of(study_of(copied))
    assert "Not shown: rank lists: --step 3: trial 0 has kept no checkpoint" in text
    assert "What the merges joined" in text


def test_steps_and_trials_that_are_not_there_are_refused(trained: Path, tmp_path: Path):
    with pytest.raises(ResultsError, match=r"--step 9: trial 0 has made merge steps 1 to 3"):
        people(study_of(trained), Pictures(), step=9, folder=tmp_path)
    with pytest.raises(ResultsError, match=r"--trial 4"):
        people(study_of(trained), Pictures(), trial=4, folder=tmp_path)
    assert "after merge step 2." in text_of(study_of(trained), step=2, folder=tmp_path)


def test_a_study_without_a_finished_trial_has_no_people(make):
    running = make("duke")
    running.trial(running.base, state="running")
    assert people(load([running.folder], finished=False).studies[0], Pictures()) is None


def test_without_labels_classes_and_neighbours_are_shown(trained_anew: Path, tmp_path: Path, monkeypatch):
    loaded = network.load_dataset
    monkeypatch.setattr(network, "load_dataset", lambda *given: without_labels(loaded(*given)))
    text = text_of(study_of(trained_anew), folder=tmp_path)
    assert "What the classes look like" in text and "Nearest tracklets of other cameras" in text
    assert "Classes are made anew" in text and "were seen by the same camera" in text
    lists = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.S)
    assert "person right" not in lists and "person wrong" not in lists and "goes wrong" not in lists


def test_names_from_users_are_only_shown(trained: Path, tmp_path: Path, monkeypatch):
    loaded = network.load_dataset

    def named(*given):
        data = loaded(*given)
        for split in (data.train, data.test):
            split.names[:] = [f"{EVIL} {name}" for name in split.names]
        return data

    monkeypatch.setattr(network, "load_dataset", named)
    text = text_of(study_of(trained), folder=tmp_path)
    assert "<img" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S) and "&lt;img src=x" in text
