"""Studies of another preset than the paper's: what stands beside what, and whose it is said to be."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.data.results import Group, load
from analysis.data.runs import runs
from analysis.report import main as report
from analysis.stats.confirmed import search_table, verdict
from analysis.stats.searched import optuna_study
from analysis.tables import heading, tables
from dcreid.presets import laid_over, settings_of

PAPERS = settings_of("duke")
BUC = laid_over(PAPERS, "buc")


def given() -> list[dict[str, Any]]:
    """What a search of the preset begins with: the paper's configuration."""
    held = BUC.flat()
    return [{"experiments": ["paper"], "changes": {f: v for f, v in PAPERS.flat().items() if v != held[f]}}]


@pytest.fixture
def searched(make, lambdas_space):
    """Trial 0 at 40, the paper's at 50 and one that is drawn at 45 %, each 5 points lower on fresh seeds."""
    study = make("duke", base=BUC, preset="buc", space=lambdas_space, given=given())
    drawn = BUC.replace(**{"merge.lambda1": 0.2})
    for config, value, origin, labels in (
        (BUC, 0.40, "buc", ("buc",)),
        (PAPERS, 0.50, "given", ("paper",)),
        (drawn, 0.45, "search", ()),
    ):
        study.trial(config, lambda c, s, value=value: value, origin=origin, labels=labels)
        for seed in (1, 2, 3):
            low = value - 0.05 + 0.001 * seed + 0.001 * (value - 0.4) * (seed - 2)
            study.trial(config.replace(seed=seed), lambda c, s, low=low: low, origin="confirm")
    return study


def group_of(study) -> Group:
    return load([study.folder]).groups[0]


def test_the_search_is_weighed_against_the_paper_and_its_own_preset(searched):
    group = group_of(searched)
    rows = search_table(runs(group), group).rows
    assert [row[:2] for row in rows] == [
        ("the paper's", "50.0"),
        ("preset buc's", "40.0"),
        ("λ1 0.2", "45.0"),
    ]
    assert [row[2] for row in rows] == ["45.2 ± 0.3", "35.2 ± 0.2", "40.2 ± 0.3"]
    assert [row[4] for row in rows] == ["–", "−10.0 ± 0.0", "−5.0 ± 0.0"]
    assert "λ1 0.2: mAP 40.2" in verdict(runs(group), group)


def test_the_searchs_pictures_leave_the_other_method_out(searched):
    made = optuna_study(group_of(searched).studies[0])
    assert [t.user_attrs["trial"] for t in made.trials] == [0, 8]
    assert [t.user_attrs["base"] for t in made.trials] == ["preset buc's setting", ""]


def test_its_tables_say_whose_they_are_and_show_no_difference_to_the_paper(searched):
    group = group_of(searched)
    found = {table.name: table for table in tables(group)}
    assert group.name == "DukeMTMC-VideoReID, preset buc" and not group.is_papers
    assert group.name in found["table1"].title and group.name in heading(group)
    assert not [name for name in found["table1"].columns if name.startswith("Δ")]
    assert "these runs vary the preset buc" in found["table1"].caption
    assert "training tracklets, DukeMTMC" not in found["table1"].caption
    assert found["table5"].rows[-1][0] == "preset buc here, last step"


def test_the_papers_own_studies_stay_what_they_were(make, lambdas_space):
    study = make("duke", space=lambdas_space)
    study.trial(study.base, origin="paper", labels=("paper",))
    group = group_of(study)
    assert group.is_papers and group.name == "DukeMTMC-VideoReID" and group.preset == "paper"
    assert search_table(runs(group), group).rows[0][0] == "the paper's"
    assert {t.name: t for t in tables(group)}["table5"].rows[-1][0] == "ours, last step"


def test_presets_on_the_same_data_are_told_apart(make):
    one, two = make("duke", "one"), make("duke", "two", base=BUC, preset="buc")
    one.trial(one.base, origin="paper"), two.trial(two.base, origin="buc")
    names = [group.name for group in load([one.folder, two.folder]).groups]
    assert names == ["DukeMTMC-VideoReID", "DukeMTMC-VideoReID, preset buc"]


def test_the_page_names_the_preset(searched):
    assert report([str(searched.folder)]) == 0
    page = (searched.folder / "analysis" / "report.html").read_text()
    assert "<dt>preset</dt><dd>buc: bottom-up clustering" in page and "--preset</span> buc" in page
