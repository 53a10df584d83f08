"""What tables show in the place of mAP where nobody has labels: scores, and the merge step chosen by them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from study.plan import OBJECTIVES, StudyPlan
from study.record.ledger import TrialRecord
from study.show.wording import percent

# Columns of a row that say what a network is worth without labels, and their headings.
SCORES = {
    "unlabelled": "score",
    "self_retrieval": "self-\nretrieval",
    "stability": "stability",
    "camera_excess": "camera\nexcess",
}
# The same of the selected step, the score aside, which stands with the step (`selected_text`).
OF_SELECTED = {
    "classes_after": "classes",
    "class_size_max": "largest\nclass",
    "self_retrieval": SCORES["self_retrieval"],
    "same_camera": "same\ncamera",
}
SELECTED_MEANS = "selected: at the merge step with the highest score without labels"


def by_score(trials: Iterable[TrialRecord], plan: StudyPlan) -> bool:
    """Whether scores stand in the place of mAP, which has not been measured."""
    trials = list(trials)
    if any(trial.measured for trial in trials):
        return False
    return OBJECTIVES[plan.objective] != "mAP" or any(trial.selected for trial in trials)


def main_metric(trials: Iterable[TrialRecord], plan: StudyPlan) -> str:
    """The column of rows that tables and curves show: mAP, or the score where there is none."""
    return "unlabelled" if by_score(trials, plan) else "mAP"


def measured_at_selected(trials: Iterable[TrialRecord]) -> dict[str, str]:
    """Name in a row to heading, of OF_SELECTED what some trial has."""
    rows = [trial.selected for trial in trials]
    return {
        name: text for name, text in OF_SELECTED.items() if any(row.get(name) is not None for row in rows)
    }


def cell(row: dict[str, Any], name: str) -> str:
    """A value of OF_SELECTED: a number of classes or tracklets, or a score in percent."""
    value = row.get(name)
    return str(value) if isinstance(value, int) else percent(value)


def scores_in_words(row: dict[str, Any]) -> str:
    """`score 41.3, self-retrieval 91.3, …, camera excess 12.0`, of those that the row has."""
    found = ((heading, row.get(name)) for name, heading in SCORES.items())
    texts = (f"{heading}\n{percent(value)}" for heading, value in found if value is not None)
    return ", ".join(text.replace("-\n", "-").replace("\n", " ") for text in texts)
