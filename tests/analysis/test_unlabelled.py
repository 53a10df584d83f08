"""Commands on a study that nobody has labelled: what stands where mAP cannot, and nothing that needs it."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.curves import figures
from analysis.data.results import load
from analysis.figures.unlabelled import cameras_figure
from analysis.report import main as report
from analysis.tables import main as tables

_NEEDS_LABELS = re.compile(
    r"mAP|rank-1|not run|not measured|published|the paper prints|purity|quer(y|ies)|gallery|right|wrong|MARS"
)


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def test_tables_are_of_scores_and_classes(nobody_labelled, capsys):
    assert tables([str(nobody_labelled.folder)]) == 0
    text = capsys.readouterr().out
    headings = [line for line in text.splitlines() if line.startswith("### ")]
    assert headings == [
        "### Scores without labels, folder", "### The classes of trial 2 by merge step, folder"
    ]  # fmt: skip
    assert not _NEEDS_LABELS.search(text)


def test_pictures_are_of_scores_and_classes_with_the_choice_marked(nobody_labelled):
    made = {name: figure for name, _, figure in figures(load([nobody_labelled.folder]).groups[0])}
    assert {"scores", "classes", "search-history"} <= set(made) and "fig3" not in made
    scores, classes = made["scores"], made["classes"]
    assert isinstance(scores, Figure) and isinstance(classes, Figure)
    assert [ax.get_ylabel() for ax in scores.axes] == ["score (%)", "self-retrieval (%)", "camera excess (%)"]
    lines = {line.get_label(): line for line in scores.axes[0].lines}
    chosen = lines["trial 2, chosen"]
    assert list(chosen.get_xdata()) == [0, 1, 2, 3] and list(chosen.get_ydata()) == pytest.approx(
        [40, 50, 60, 50]
    )
    assert [*lines["selected step"].get_xdata(), *lines["selected step"].get_ydata()] == [
        2,
        pytest.approx(60),
    ]
    assert [line.get_label() for line in classes.axes[0].lines][-2:] == ["trial 2, chosen", "selected step"]
    assert classes.axes[1].lines[-1].get_ydata()[0] == 10.0
    texts = [text.get_text() for figure in (scores, classes) for ax in figure.axes for text in ax.texts]
    assert texts == []


def test_the_page_says_what_was_chosen_and_nothing_of_labels(nobody_labelled):
    assert report([str(nobody_labelled.folder)]) == 0
    page = (nobody_labelled.folder / "analysis" / "report.html").read_text()
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>|</?span[^>]*>", "", page, flags=re.S)
    assert "chooses trial 2 at merge step 2 of 3: 60.0 %, untrained 40.0 %" in text
    assert "Its 60 classes hold 96 tracklets, the largest 10 (λ1 0.26)" in text
    assert not re.search(r"mAP|rank-1|not run|published|\bquer(y|ies)|gallery", text)


def test_a_page_before_any_trial_is_complete(make):
    study = make("folder", objective="unlabelled")
    study.trial(study.base, None, state="running", steps=1, scores=lambda config, step: {"unlabelled": 0.5})
    assert report([str(study.folder)]) == 0
    assert (
        "No trial is complete yet; nothing is chosen."
        in (study.folder / "analysis" / "report.html").read_text()
    )


def test_a_partition_without_any_pair_is_no_point():
    cameras = np.array([1, 1, 2])
    figure = cameras_figure([np.arange(3), np.zeros(3, dtype=int)], cameras, 2)
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([np.nan, 100 / 3], nan_ok=True)
