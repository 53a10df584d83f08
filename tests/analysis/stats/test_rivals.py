"""The rivals' tables on made-up runs whose means and margins are known."""

from __future__ import annotations

import pytest

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.page.typeset import html_table, latex, markdown
from analysis.stats.findings import Finding, findings
from analysis.stats.rivals import MEASURES, rivals_table
from analysis.tables import tables
from dcreid.config import Config
from dcreid.presets import settings_of
from search_spaces.paper import plan

# What every method comes to at the last step, as a fraction; seed s adds s/1000, and OIM twice that.
MEANS = {"paper": 0.50, "recommended": 0.60, "buc": 0.40, "dbc": 0.45, "dbc_lambda1": 0.46, "oim": 0.20}


def method_of(config: Config) -> str:
    if config.merge.max_steps == 1:
        return "oim"
    if config.merge.method == "anew":
        return "recommended"
    if config.merge.linkage == "nearest":
        return "buc"
    if config.merge.method == "star":
        return "dbc_lambda1" if config.merge.lambda1 else "dbc"
    return "paper"


def score(means: dict[str, float], jitter: float = 0.0):
    """Step 2 is the best, 2 points above the last. jitter: added with turning sign, seed by seed."""

    def value(config: Config, step: int) -> float:
        method = method_of(config)
        noise = 0.001 * config.seed * (2 if method == "oim" else 1)
        turning = jitter * (-1) ** config.seed if method == "paper" else 0.0
        return means[method] + noise + turning + {2: 0.02}.get(step, 0.0)

    return value


def rows_of(table) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (row[0], row[table.columns.index("step")]): dict(zip(table.columns, row, strict=True))
        for row in table.rows
    }


def margins(study) -> dict[tuple[str, str], Finding]:
    """Findings on margins by claim and step, without the words on frames and epochs."""
    group = load([study.folder]).groups[0]
    named = {(each.claim.text.split(" (")[0], each.at): each for each in findings([group])}
    return {key: finding for key, finding in named.items() if key[0].startswith("this method beats")}


@pytest.mark.parametrize("name", ["rivals", "rivals-published"])
def test_own_figures_are_means_of_the_runs_and_quoted_ones_the_papers(make, name: str):
    study = make("mars", experiments=name)
    study.run_plan(3, score(MEANS))
    group = load([study.folder]).groups[0]
    table = rivals_table(name, runs(group), group)
    assert len(table.rows) == 12 and table.columns[-4:] == (
        "quoted rank-1", "quoted rank-5", "quoted rank-10", "quoted mAP",
    )  # fmt: skip
    rows = rows_of(table)
    buc = rows["BUC", "last"]
    # Seeds 0, 1, 2: 40.0, 40.1, 40.2; trapezoid 2 below, rank-1 20, rank-5 30, rank-10 35 above; t = 4.303
    assert buc["runs"] == "3" and buc["mAP"] == "40.1 ± 0.2" and buc["mAP trapezoid"] == "38.1 ± 0.2"
    assert [buc[f"rank-{k}"] for k in (1, 5, 10)] == ["60.1 ± 0.2", "70.1 ± 0.2", "75.1 ± 0.2"]
    assert rows["BUC", "best"]["mAP"] == "42.1 ± 0.2"
    assert [rows["BUC", "best"][c] for c in table.columns[-4:]] == ["55.1", "68.3", "72.8", "29.4"]
    assert [rows["this method", "best"][c] for c in table.columns[-4:]] == ["63.2", "76.0", "79.9", "41.3"]
    assert [rows["OIM on single tracklets", "best"][c] for c in table.columns[-4:]] == [
        "33.7",
        "48.1",
        "54.8",
        "13.5",
    ]
    for method in ("DBC as its code (λ not applied)", "DBC with λ1 = 0.1 applied"):
        assert {rows[method, "best"][c] for c in table.columns[-4:]} == {"–"}
    assert {row[c] for (_, at), row in rows.items() if at == "last" for c in table.columns[-4:]} == {"–"}
    means = table.numbers.set_index(["experiment", "at"])
    for row, mean in MEANS.items():
        extra = 0.2 if row == "oim" else 0.1
        assert means.mAP[f"{name}/{row}", "last"] == pytest.approx(100 * mean + extra)
    assert means.paper_mAP[f"{name}/buc", "best"] == 29.4


def test_dukes_rows_are_table_5(make):
    study = make("duke", experiments="rivals")
    study.run_plan(1, score(MEANS))
    group = load([study.folder]).groups[0]
    rows = rows_of(rivals_table("rivals", runs(group), group))
    assert (rows["BUC", "best"]["quoted rank-1"], rows["BUC", "best"]["quoted mAP"]) == ("74.8", "66.7")
    assert rows["this method", "best"]["quoted rank-10"] == "90.3"


def test_data_without_published_numbers_have_none_beside(make):
    study = make("synthetic", experiments="rivals")
    study.run_plan(3, score(MEANS, jitter=0.001))
    group = load([study.folder]).groups[0]
    table = rivals_table("rivals", runs(group), group)
    assert table.quoted == 0 and len(table.columns) == 3 + len(MEASURES)
    found = margins(study)
    assert len(found) == 8 and {finding.claim.least for finding in found.values()} == {0.0}
    assert found["this method beats BUC in mAP", "last"].verdict == "supported"


def test_what_others_measured_is_set_apart(make):
    study = make("mars", experiments="rivals")
    study.run_plan(1, score(MEANS))
    group = load([study.folder]).groups[0]
    table = rivals_table("rivals", runs(group), group)
    assert "| *29.4* |" in markdown(table) and "| 40.0 |" in markdown(table) and "*–*" not in markdown(table)
    assert "*quoted mAP*" in markdown(table) and r"\textit{29.4}" in latex(table)
    assert r"\textit{40" not in latex(table)
    page = html_table(table)
    assert '<td class="number quoted">29.4</td>' in page and "<td class=number>40.0</td>" in page
    assert "--plan rivals --seeds 5" in table.caption


# --- margins: the paper's own are MARS +11.9 mAP, +8.1 rank-1 over BUC; Duke +0.7, +0.6


@pytest.mark.parametrize(
    ("gain", "sign", "size"),
    [
        (0.20, "supported", "supported"),
        (0.10, "supported", "contradicted"),
        (0.119, "supported", "not decided"),
        (-0.10, "contradicted", "contradicted"),
        (0.0, "not decided", "contradicted"),
    ],
)
def test_verdicts_either_way(make, gain: float, sign: str, size: str):
    study = make("mars", experiments="rivals")
    study.run_plan(6, score(MEANS | {"paper": MEANS["buc"] + gain}, jitter=0.003))
    found = margins(study)
    finding = found["this method beats BUC in mAP", "last"]
    assert finding.verdict == sign and finding.printed["MARS"] == pytest.approx(11.9)
    at_least = found["this method beats BUC in mAP by the printed +11.9 or more", "last"]
    assert at_least.verdict == size and at_least.difference == finding.difference
    assert finding.difference.mean == pytest.approx(100 * gain, abs=1e-6)


def test_rank_1_has_its_own_margin(make):
    study = make("mars", experiments="rivals")
    study.run_plan(4, score(MEANS | {"paper": 0.5}, jitter=0.001))  # 10 points: above 8.1, below 11.9
    found = margins(study)
    assert found["this method beats BUC in rank-1 by the printed +8.1 or more", "last"].verdict == "supported"
    assert (
        found["this method beats BUC in mAP by the printed +11.9 or more", "last"].verdict == "contradicted"
    )


def test_differences_are_paired_by_seed_and_few_seeds_decide_nothing(make):
    study = make("mars", experiments="rivals")
    study.run_plan(2, score(MEANS))
    finding = margins(study)["this method beats OIM in mAP", "last"]
    assert finding.verdict == "not enough seeds (2 of at least 3)"
    # OIM's noise is twice this method's
    assert finding.per_seed == {0: pytest.approx(30.0), 1: pytest.approx(29.9)}
    more = make("mars", "more", experiments="rivals")
    more.run_plan(3, score(MEANS))
    more.trial(more.base.replace(seed=9), score(MEANS))
    assert list(margins(more)["this method beats OIM in mAP", "last"].per_seed) == [0, 1, 2]


def test_what_was_not_run_is_said(make):
    study = make("mars", experiments="rivals")
    study.trial(study.base, score(MEANS))
    assert margins(study)["this method beats BUC in rank-1", ""].verdict == "not run: rivals/buc"
    group = load([study.folder]).groups[0]
    assert rows_of(rivals_table("rivals", runs(group), group))["BUC", "best"]["rank-1"] == "not run"


def test_a_part_of_mars_is_judged_by_the_sign_alone(make):
    study = make("mars", experiments="rivals")
    study.trial(study.base)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace("8298", "1251"))
    group = load([study.folder]).groups[0]
    found = margins(study)
    assert len(found) == 4 and {finding.claim.least for finding in found.values()} == {0.0}
    assert found["this method beats BUC in mAP", ""].printed["MARS"] == pytest.approx(11.9)
    assert "this 1,251" in rivals_table("rivals", runs(group), group).caption


# --- where they are shown


def named(*studies) -> dict:
    return {t.name: t for t in tables(load([study.folder for study in studies]).groups[0])}


def test_the_tables_come_with_their_plan_only(make):
    one, two = make("mars", experiments="rivals"), make("mars", "two", experiments="fig3")
    one.run_plan(1), two.run_plan(1)
    assert "rivals" in named(one) and "rivals-published" not in named(one)
    assert not [name for name in named(two) if "rivals" in name]
    group = load([two.folder]).groups[0]
    assert not [e for run in runs(group) for e in run.experiments if "rivals" in e]


def test_a_joined_study_lends_its_run_of_this_method(make):
    one, two = make("mars", "one", experiments="fig3"), make("mars", "two", experiments="rivals")
    one.run_plan(1)
    for item in plan("rivals", settings_of("mars"))[1:]:
        two.trial(item.config, labels=item.experiments)
    rows = rows_of(named(one, two)["rivals"])
    assert rows["this method", "last"]["runs"] == rows["BUC", "last"]["runs"] == "1"
