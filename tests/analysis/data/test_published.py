"""The published numbers, copied a second time from the paper."""

from __future__ import annotations

import pytest

from analysis.data import published as paper
from analysis.data.published import Published
from dcreid.presets import settings_of
from search_spaces.paper import PLANS

# setting: MARS rank-1, MARS mAP, Duke rank-1, Duke mAP
TABLE1 = {
    "baseline": (60.8, 39.2, 70.8, 63.6),
    "lambda1": (61.9, 40.1, 71.4, 64.0),
    "lambda1_lambda2": (63.2, 41.3, 75.4, 67.4),
}
TABLE2 = {"fixed": (61.3, 39.5, 74.4, 67.2), "linear": (63.2, 41.3, 75.4, 67.4)}
TABLE3 = {"0.05": (72.6, 63.6), "0.08": (74.4, 66.8), "0.1": (75.4, 67.4), "0.3": (33.9, 25.5)}
# method: labels, rank-1, rank-5, rank-10, mAP
TABLE4 = {
    "OIM": ("none", 33.7, 48.1, 54.8, 13.5),
    "DGM+IDE": ("one", 36.8, 54.0, None, 16.8),
    "Stepwise": ("one", 41.2, 55.5, None, 19.6),
    "RACE": ("one", 43.2, 57.1, 62.1, 24.5),
    "DAL": ("one", 49.3, 65.9, 72.2, 23.0),
    "EUG": ("one", 62.6, 74.9, None, 42.4),
    "BUC": ("none", 55.1, 68.3, 72.8, 29.4),
    "this method": ("none", 63.2, 76.0, 79.9, 41.3),
}
TABLE5 = {
    "OIM": ("none", 51.1, 70.5, 76.2, 43.8),
    "DGM+IDE": ("one", 42.3, 57.9, 69.3, 33.6),
    "Stepwise": ("one", 56.2, 70.3, 79.2, 46.7),
    "EUG": ("one", 72.7, 84.1, None, 63.2),
    "BUC": ("none", 74.8, 86.8, 89.7, 66.7),
    "this method": ("none", 75.4, 87.7, 90.3, 67.4),
}


TABLES_1_AND_2 = [("table1", paper.TABLE1, TABLE1), ("table2", paper.TABLE2, TABLE2)]


@pytest.mark.parametrize(("name", "table", "printed"), TABLES_1_AND_2)
def test_tables_1_and_2(
    name: str, table: dict[str, dict[str, Published]], printed: dict[str, tuple[float, ...]]
):
    assert table == {
        "mars": {f"{name}/{k}": Published(v[0], v[1]) for k, v in printed.items()},
        "duke": {f"{name}/{k}": Published(v[2], v[3]) for k, v in printed.items()},
    }


def test_table_3():
    assert {"duke": {f"table3/{k}": Published(*v) for k, v in TABLE3.items()}} == paper.TABLE3


@pytest.mark.parametrize(("table", "printed"), [(paper.TABLE4, TABLE4), (paper.TABLE5, TABLE5)])
def test_tables_4_and_5(
    table: dict[str, Published], printed: dict[str, tuple[str, float, float, float | None, float]]
):
    assert list(table) == list(printed)
    assert {k: (r.labels, r.rank1, r.rank5, r.rank10, r.mAP) for k, r in table.items()} == printed


@pytest.mark.parametrize("dataset", ["mars", "duke"])
def test_published_settings_are_experiments_of_the_plans(dataset: str):
    for name, table in (("table1", paper.TABLE1), ("table2", paper.TABLE2), ("table3", paper.TABLE3)):
        planned = {experiment for experiment, _ in PLANS[name].rows(settings_of(dataset))}
        assert set(table.get(dataset, {})) <= planned


def test_final_setting():
    assert paper.final_setting("duke") == Published(75.4, 67.4, 87.7, 90.3)
    assert paper.final_setting("synthetic") is None
