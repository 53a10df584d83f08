"""The tables: numbers, what is said where there are none, and the three formats."""

from __future__ import annotations

import dataclasses
import io
import math

import pandas as pd
import pytest

from analysis.curves import figures
from analysis.data.results import load
from analysis.data.runs import runs
from analysis.page.typeset import csv, html_table, latex, markdown, p_value
from analysis.stats.confirmed import verdict
from analysis.stats.series import printed_points
from analysis.tables import heading, main, tables
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import plan, table_settings
from study.record.intervals import interval_text


def named(study, *more) -> dict:
    return {t.name: t for t in tables(load([study.folder, *(m.folder for m in more)]).groups[0])}


def test_table1_of_the_papers_data_stands_beside_the_published_numbers(make):
    study = make("duke", experiments="table1")
    study.run_plan(2)
    found = named(study)
    assert set(found) == {"table1", "table2", "table3", "table5", "claims", "joins"}
    row = dict(zip(found["table1"].columns, found["table1"].rows[0], strict=True))
    assert row["criterion"] == "baseline (λ1 = λ2 = 0)" and row["runs"] == "2"
    # mAP of seeds 0 and 1 at step 3; trapezoid 2 below
    assert row["mAP"] == "33.0, 33.2" and row["mAP trapezoid"] == "31.0, 31.2"
    assert row["paper Duke mAP"] == "63.6" and row["Δ mAP"] == "−32.5"
    assert (row["rank-1"], row["paper Duke rank-1"], row["Δ rank-1"]) == ("53.0, 53.2", "70.8", "−17.7")
    numbers = pd.read_csv(io.StringIO(csv(found["table1"])))
    assert numbers.loc[0, "mAP"] == pytest.approx(33.1) and numbers.loc[0, "paper_mAP"] == 63.6
    assert "gallery of 12 rows" in found["table1"].caption
    assert "One run of each setting" not in found["table1"].caption


def test_measurements_without_cameras_have_columns_where_there_are_any(make):
    plain = make("duke", name="plain", experiments="table1")
    plain.run_plan(3)
    base = settings_of("duke").replace(**{"evaluate.camera_normalise": True})
    study = make("duke", name="both", base=base, experiments="choices")
    study.run_plan(3)
    without = named(plain)
    found = {name: table for name, table in named(study).items() if name in ("table1", "table5", "choices")}
    for name in ("table1", "table5"):
        assert not any("cam-norm" in column for column in without[name].columns)
        assert "cam-norm" not in without[name].caption
    kinds = {("the base", "last"), ("baseline + λ1 + λ2", "last"), ("ours, last step", "none")}
    for name, table in found.items():
        (row,) = [row for row in table.rows if row[:2] in kinds]
        cells = {k: v.split()[0] for k, v in zip(table.columns, row, strict=True)}
        # 0.1 and 0.05 above mAP and rank-1
        assert (cells["mAP"], cells["cam-norm mAP"]) == ("33.2", "43.2"), name
        assert (cells["rank-1"], cells["cam-norm rank-1"]) == ("53.2", "58.2"), name
        assert "cam-norm: on test features normalised per camera" in table.caption


def test_a_diverged_run_has_nothing_of_what_others_measured_without_cameras(make):
    base = settings_of("duke").replace(**{"evaluate.camera_normalise": True})
    study = make("duke", base=base, experiments="table1")
    study.trial(base, state="diverged", steps=1)
    study.trial(base.replace(**{"evaluate.camera_normalise": False}), state="diverged", steps=1)
    normalised, plain = runs(load([study.folder]).groups[0])
    assert normalised.value("mAP_camera_normalised", "last") == 0.0 == normalised.value("mAP", "last")
    assert plain.curve("mAP_camera_normalised") == {} and plain.value("mAP", "last") == 0.0


def test_a_search_that_was_given_the_settings_fills_tables_1_to_3(make, lambdas_space):
    """The rest of the search does not come into it; the settings stand on one run each, and that is said."""
    search = make("duke", space=lambdas_space)
    settings, left_out = table_settings(search.base, ())
    assert len(settings) == 6 and not left_out
    search.trial(search.base, origin="paper", labels=("paper",))
    for row in settings:
        search.trial(search.base.replace(**row["changes"]), labels=tuple(row["experiments"]), origin="given")
    search.trial(search.base.replace(**{"merge.lambda1": 0.5}), origin="search")
    for name, table in named(search).items():
        if name in ("table1", "table2", "table3"):
            assert {row[2] for row in table.rows} == {"1"}, name
            assert "One run of each setting" in table.caption and "more seeds: --plan tables" in table.caption
    claims = named(search)["claims"]
    verdicts = {row[:2]: row[2] for row in claims.rows}
    assert verdicts["λ1 helps", "last"] == "not enough seeds (1 of at least 3)"


def test_diverged_runs_are_averaged_as_nothing_and_counted(make):
    study = make("duke", experiments="table3")
    for seed in range(3):
        for item in plan("table3", study.base):
            config = item.config.replace(seed=seed)
            bad = config.train.temperature == 0.3 and seed < 2
            state, steps = ("diverged", 1) if bad else ("complete", 3)
            study.trial(config, lambda config, step: 0.3, state=state, steps=steps, labels=item.experiments)
    table = named(study)["table3"]
    rows = {(row[0], row[1]): row for row in table.rows}
    assert rows["0.3", "last"][2] == "3, 2 diverged" and rows["0.1", "last"][2] == "3"
    values = table.numbers.set_index(["experiment", "at"]).mAP
    assert values["table3/0.3", "last"] == pytest.approx(10.0)
    assert "diverged counts as 0" in table.caption


def test_what_was_not_run_is_said(make):
    study = make("duke", experiments="table1")
    study.run_plan(1)
    row = dict(zip(named(study)["table2"].columns, named(study)["table2"].rows[0], strict=True))
    assert (row["runs"], row["rank-1"], row["mAP"]) == ("0", "not run", "–")
    assert row["paper Duke mAP"] == "67.2" and row["Δ mAP"] == "–"


def test_a_base_without_a_weight_has_one_row_for_what_is_one_configuration(make):
    base = settings_of("duke").replace(**{"merge.lambda1": 0.0})
    study = make("duke", base=base, experiments="table1")
    study.run_plan(2)
    table = named(study)["table1"]
    assert [row[0] for row in table.rows[::2]] == ["baseline (λ1 = λ2 = 0)", "baseline + λ1 + λ2"]
    assert "One configuration here, in one row: baseline (λ1 = λ2 = 0) and baseline + λ1." in table.caption
    assert "One configuration here" not in named(make_table1(make))["table1"].caption


def make_table1(make):
    study = make("duke", name="plain", experiments="table1")
    study.run_plan(1)
    return study


def test_end_values_of_alpha_stand_in_a_table_where_the_papers_plan_was_run(make):
    study = make("duke", experiments="paper")
    study.run_plan(1, lambda config, step: 0.3 + 0.1 * config.train.alpha)
    table = named(study)["alpha"]
    ends = [row for row in table.rows if row[1] == "last"]
    assert [row[0] for row in ends] == [*(f"0.{tenth}" for tenth in range(1, 10)), "fixed"]  # no cosine
    assert [row[5] for row in ends[:4]] == ["31.0", "32.0", "33.0", "34.0"]
    assert "in one row: 0.4 and linear" in table.caption
    assert "alpha" not in named(make_table1(make))


def test_other_data_gets_no_difference_to_the_paper(make):
    drawn = make("synthetic", experiments="table1")
    drawn.run_plan(1)
    table = named(drawn)["table1"]
    assert not [name for name in table.columns if name.startswith("Δ")]
    assert "only for orientation" in table.caption
    part = make("mars", "part", experiments="table1")
    part.run_plan(1)
    path = part.folder / "study.json"
    path.write_text(path.read_text().replace("8298", "1251"))
    assert not [name for name in named(part)["table1"].columns if name.startswith("Δ")]
    assert "this 1,251" in named(part)["table1"].caption


def test_halves_are_not_set_beside_the_paper_as_if_they_were_its_test_split(make):
    """Also where a half has as many tracklets as the whole of MARS."""
    made = make(
        "mars", experiments="table1", base=settings_of("mars").replace(**{"data.split": "first_half"})
    )
    made.run_plan(3)
    group = load([made.folder]).groups[0]
    assert not group.is_papers and "data.split = first_half" in heading(group)
    found = named(made)
    for table in (found["table1"], found["table4"]):
        assert not [name for name in table.columns if name.startswith("Δ")]
        assert "the test split and only for orientation" in table.caption
        assert "measured on the other (--split first_half)" in table.caption
    assert not printed_points("fig4", group)


def test_a_preset_on_a_half_is_neither_the_papers_method_nor_on_its_data(make):
    base = laid_over(settings_of("mars"), "buc", {"data.split": "second_half"})
    made = make("mars", base=base, preset="buc", experiments="table1")
    made.trial(base)
    text = named(made)["table1"].caption
    assert "vary the preset buc" in text and "(--split second_half)" in text


def test_the_halves_are_never_averaged(make):
    halves = [
        make("mars", half, base=settings_of("mars").replace(**{"data.split": half}))
        for half in ("first_half", "second_half")
    ]
    for made in halves:
        made.trial(made.base)
    groups = load([made.folder for made in halves]).groups
    assert [len(group.studies) for group in groups] == [1, 1]
    assert [group.name for group in groups] == [f"MARS (data.split {made.folder.name})" for made in halves]


def test_our_row_in_table5(make):
    study = make("duke", experiments="fig3")
    study.run_plan(3)
    rows = named(study)["table5"].rows
    assert rows[-2][0] == "ours, best step" and rows[-2][2] == "3"
    assert rows[-3][0] == "this method" and rows[-3][-2] == "67.4"


@pytest.mark.parametrize(("plan", "method", "count"), [("choices", "exact", 12), ("practice", "star", 24)])
def test_choices_are_weighed_against_the_base(make, plan: str, method: str, count: int):
    study = make("duke", experiments=plan)
    study.run_plan(3, lambda c, s: 0.3 + 0.1 * (c.merge.method == method) + 0.001 * c.seed)
    rows = {row[:2]: row for row in named(study)[plan].rows}
    assert len(rows) == 2 * count and rows["the base", "last"][-2:] == ("–", "–")
    assert rows[f"method {method} for once", "last"][-2].startswith("+10.0")


def test_leaks_are_weighed_against_doing_it_right(make):
    study = make("duke", experiments="leak_audit")
    study.run_plan(3, lambda c, s: 0.3 + 0.1 * c.train.leak_audit + 0.001 * c.seed * (1 + c.train.leak_audit))
    rows = {row[:2]: row for row in named(study)["leak_audit"].rows}
    assert rows["as it should be", "best"][-2:] == ("–", "–")
    assert rows["memory rows by index from the step before, cut to C", "best"][-2] == "+10.1 ± 0.2"


def test_a_search_is_judged_on_seeds_it_did_not_choose_by(make, lambdas_space):
    study = make("duke", space=lambdas_space)
    study.trial(study.base, origin="paper", labels=("paper",))
    lucky = study.base.replace(**{"merge.lambda1": 0.2})
    study.trial(lucky, lambda c, s: 0.9, origin="search")
    table = named(study)["search"]
    assert table.rows[1][:4] == ("λ1 0.2", "90.0", "not confirmed", "0")
    for seed in (1, 2, 3):
        study.trial(study.base.replace(seed=seed), origin="paper")
        study.trial(lucky.replace(seed=seed), origin="confirm")
    assert named(study)["search"].rows[1][1:4] == ("90.0", "33.4 ± 0.5", "3")
    for place in range(5):  # better when chosen; those run again are shown all the same
        better = study.base.replace(**{"merge.lambda1": 0.3 + 0.1 * place})
        study.trial(better, lambda c, s: 0.95, origin="search")
    assert [row[0] for row in named(study)["search"].rows[1:]] == [
        *(f"λ1 {value:g}" for value in (0.3, 0.4, 0.5, 0.6, 0.7)),
        "λ1 0.2",
    ]


def test_the_verdict_on_a_search_is_that_of_fresh_seeds(make, lambdas_space):
    study = make("duke", space=lambdas_space)
    for seed in range(4):
        study.trial(study.base.replace(seed=seed), lambda c, s: 0.30 + 0.001 * c.seed, origin="paper")
    for place, fresh in ((0.2, 0.35), (0.4, 0.33)):
        config = study.base.replace(**{"merge.lambda1": place})
        study.trial(config, lambda c, s, place=place: 0.8 + place / 10, origin="search")
        group = load([study.folder]).groups[0]
        if place == 0.2:
            text = verdict(runs(group), group)
            assert text.startswith("not confirmed") and f"--resume {study.folder} --confirm 3" in text
        for seed in (1, 2, 3):
            study.trial(config.replace(seed=seed), lambda c, s, fresh=fresh: fresh + 0.002 * c.seed,
                        origin="confirm")  # fmt: skip
    group = load([study.folder]).groups[0]
    text = verdict(runs(group), group)
    assert text.startswith(
        "λ1 0.2: mAP 35.4 ± 0.5 on 3 fresh seeds (82.0 when chosen), the paper's 30.2 ± 0.2;"
    )
    assert text.endswith(
        "difference +5.2 ± 0.2 on 3 seeds (p < 0.001 corrected for the choice among 2, Dunnett), "
        "at the last step: better"
    )


@pytest.mark.parametrize("render", [markdown, latex, html_table])
def test_every_row_is_rendered(make, render):
    study = make("duke", experiments="table1")
    study.run_plan(1)
    for table in named(study).values():
        text = render(table)
        lines = {markdown: r"| ", latex: r" \\", html_table: "<tr>"}[render]
        assert text.count(lines) >= len(table.rows) + 1
        assert "nan" not in text


def test_latex_escapes():
    study_text = latex(table_of(("a_b", "50 % & λ1 ± τ")))
    assert r"a\_b & 50 \% \& $\lambda_1$ $\pm$ $\tau$ \\" in study_text
    assert r"\toprule" in study_text


def table_of(row):
    from analysis.page.typeset import Table

    return Table("t", "title", ("x", "y"), (row,), "caption", pd.DataFrame())


def test_latex_has_the_terms_of_eq_7():
    assert r"$\lambda_1$ ($d_a$ + $d_b$) & $|$a$|$ + $d_{ab}$" in latex(
        table_of(("λ1 (d_a + d_b)", "|a| + d_ab"))
    )


def test_html_escapes():
    text = html_table(table_of(("<b> --lambda1 0.1", "1")))
    assert "&lt;b&gt; <span class=unbroken>--lambda1</span> 0.1" in text


def test_html_tells_equal_names_once():
    rows = (("a", "best"), ("a", "last"), ("b", "best"))
    text = html_table(dataclasses.replace(table_of(("", "")), rows=rows))
    assert text.count("<tr>") == 4
    assert text.count("<th scope=rowgroup rowspan=2>a</th>") == 1 and "rowspan=1>b</th>" in text


def test_numbers_in_words():
    assert interval_text(41.26, 0.55) == "41.3 ± 0.6" and interval_text(41.26, math.nan) == "41.3"
    assert interval_text(-1.0, signed=True) == "−1.0" and interval_text(math.nan) == "–"
    assert p_value(0.0001) == "< 0.001" and p_value(0.034) == "0.034"


def test_command_writes_files_per_group(make, tmp_path, capsys):
    one, two = make("duke", "one", experiments="table1"), make("mars", "two", experiments="table1")
    one.run_plan(1), two.run_plan(1)
    arguments = [str(one.folder), str(two.folder), "--format", "csv", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "Table 1" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"DukeMTMC-VideoReID-table1.csv", "MARS-table1.csv", "MARS-table4.csv"} <= names


def test_bad_input_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("analysis/tables.py: error: ") and error.count("\n") == 1


def first_step(config, step):
    """Scores that choose merge step 1."""
    return {"unlabelled": 0.9 - 0.1 * step}


@pytest.mark.parametrize("plan", ["table1", "rivals", "choices"])
def test_where_runs_have_scores_the_selected_step_stands_beside_best_and_last(make, plan: str):
    study = make("duke", experiments=plan)
    study.run_plan(3, scores=first_step)
    plain = make("duke", name="plain", experiments=plan)
    plain.run_plan(3)
    found, without = named(study), named(plain)
    rows = [dict(zip(found[plan].columns, row, strict=True)) for row in found[plan].rows[:3]]
    assert [row["step"] for row in rows] == ["best", "last", "selected"]
    values = found[plan].numbers.set_index("at").mAP
    # mAP of seeds 0 to 2 at steps 3 and 1, and a hundredth of noise
    assert values["last"].iloc[0] == pytest.approx(33.2, abs=0.1)
    assert values["selected"].iloc[0] == pytest.approx(values["last"].iloc[0] - 2)
    assert rows[2].get("paper Duke mAP", "–") == "–"  # the paper's is of the best step
    meant = "selected: the step with the highest score without labels"
    assert meant in found[plan].caption and meant not in without[plan].caption
    assert {row[1] for row in without[plan].rows} == {"best", "last"}
    judged = {row[1] for row in found["claims"].rows if row[1] not in ("–", "whole curve")}
    assert judged <= {"best", "last", "selected"}
    assert [row[0] for row in found["table5"].rows[-3:]] == [
        f"ours, {at} step" for at in ("best", "last", "selected")
    ]


def test_margins_and_claims_are_judged_at_the_selected_step_too(make):
    """The method beats the rivals at its last step, and loses to them at the selected one."""
    study = make("duke", experiments="rivals")

    def score(config, step):
        own = config == study.base.replace(seed=config.seed)
        gain = 0.02 * (1 + 0.01 * config.seed) * (step - 2) * own
        return 0.3 + gain + 0.001 * config.seed

    study.run_plan(3, score, first_step)
    verdicts = {
        row[1]: row[2]
        for row in named(study)["claims"].rows
        if row[0].startswith("this method beats BUC in mAP (")
    }
    assert verdicts == {"best": "not judged", "last": "supported", "selected": "contradicted"}


def test_a_search_by_the_score_is_told_in_its_order_at_the_selected_step(make, lambdas_space):
    study = make("duke", space=lambdas_space, objective="unlabelled")
    study.trial(study.base, origin="paper", labels=("paper",), scores=first_step)
    for number, height in enumerate((0.1, 0.3, 0.2)):
        config = study.base.replace(**{"merge.lambda1": 0.2 + 0.1 * number})
        study.trial(
            config,
            lambda config, step, number=number: 0.4 - 0.1 * number + 0.01 * step,
            origin="search",
            scores=lambda config, step, height=height: {"unlabelled": height - 0.01 * abs(step - 2)},
        )
    table = named(study)["search"]
    assert [row[:2] for row in table.rows] == [
        ("the paper's", "31.0"), ("λ1 0.3", "32.0"), ("λ1 0.4", "22.0"), ("λ1 0.2", "42.0")
    ]  # fmt: skip
    assert "at the merge step of the highest score without labels" in table.caption
    assert "luck" not in table.caption


def test_means_over_several_versions_say_so_in_heading_and_captions(make, tmp_path, capsys):
    one, two = make("duke", "one", experiments="table1"), make("duke", "two", experiments="table1")
    for study, seed in ((one, 0), (two, 1)):
        study.trial(study.base.replace(seed=seed))
    path = two.folder / "study.json"
    path.write_text(path.read_text().replace("c" * 16, "d" * 16))
    folders, said = [str(one.folder), str(two.folder)], "runs of 2 versions of the code are averaged"
    assert main(folders) == 0
    apart = capsys.readouterr()
    assert (
        said not in apart.out + apart.err
        and "(code cccccccc)" in apart.out
        and "(code dddddddd)" in apart.out
    )
    assert main([*folders, "--across-versions"]) == 0
    joined = capsys.readouterr()
    heads, tables_shown = joined.out.count("## Duke"), joined.out.count("### ")
    assert joined.out.count(said) == tables_shown + 1 and said in joined.err and heads == 1
    groups = load(folders, across_versions=True).groups
    assert all(said in caption for _, caption, _ in figures(groups[0]) if "gallery" in caption)
