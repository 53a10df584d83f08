"""Series and figures: their values, what they say when something was not run, their files."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pytest
from ledgers import rewrite
from matplotlib.figure import Figure

from analysis.curves import fig3, figures, main, sweep_figure
from analysis.data.results import load
from analysis.data.runs import runs
from analysis.figures.rivals import rivals_figure
from analysis.stats.series import over_parameter, over_steps, printed_points
from search_spaces.paper import plan


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def group_of(*studies):
    return load([study.folder for study in studies]).groups[0]


def test_over_steps_averages_seeds_and_may_start_untrained(make):
    study = make("duke", experiments="fig3")
    study.run_plan(3, lambda config, step: 0.1 * step + 0.01 * config.seed)
    found = runs(group_of(study))
    series = over_steps(found, "mAP", scale=100)
    assert series.x == [1, 2, 3] and series.mean == pytest.approx([11, 21, 31]) and series.runs == 3
    assert series.half == pytest.approx([2.484] * 3, abs=1e-3)
    of_two = over_steps(found[:2], "mAP", scale=100)
    assert all(math.isnan(half) for half in of_two.half)
    assert of_two.estimates[0].runs == pytest.approx((10, 11))
    assert over_steps(found, "mAP", untrained=True).x == [0, 1, 2, 3]
    assert over_steps(found, "purity", untrained=True).x == [1, 2, 3]


def test_over_parameter_ascends_and_takes_points_of_other_plans(make):
    one, two = make("duke", "one", experiments="fig5"), make("duke", "two", experiments="table1")
    one.trial(one.base), two.run_plan(1)
    found = runs(group_of(one, two))
    # Table 1's final setting and "baseline + λ1" are two points of Fig 5.
    assert over_parameter(found, "fig5", "mAP", "last").x == [0.0, 0.003]


def test_points_that_the_paper_prints(make):
    study = make("duke")
    study.trial(study.base)
    group = group_of(study)
    assert {x: row.rank1 for x, row in printed_points("fig5", group).items()} == {0.0: 71.4, 0.003: 75.4}
    assert {x: row.mAP for x, row in printed_points("fig4", group).items()} == {0.06: 67.4}
    tau = {x: row.mAP for x, row in printed_points("table3", group).items()}
    assert tau == {0.05: 63.6, 0.08: 66.8, 0.1: 67.4, 0.3: 25.5}
    drawn = make("synthetic", "drawn")
    drawn.trial(drawn.base)
    assert printed_points("fig5", group_of(drawn)) == {}


def test_paper_plan_draws_every_figure_of_the_paper(make):
    study = make("duke", experiments="paper")
    study.run_plan(2)
    made = {name: figure for name, _, figure in figures(group_of(study))}
    drawn = {name for name, figure in made.items() if isinstance(figure, Figure)}
    assert drawn == {"fig3", "fig4", "fig5", "tau", "alpha", "classes"}
    fig4 = made["fig4"]
    assert isinstance(fig4, Figure)
    assert fig4.axes[0].get_xlabel() == r"$\lambda_1$"
    assert {line.get_label() for line in fig4.axes[0].lines} == {"best step", "last step", "paper"}
    looks = [(line.get_marker(), line.get_linestyle()) for line in fig4.axes[0].lines]
    assert len(set(looks)) == len(looks)  # distinct without colour


def test_the_selected_step_has_a_line_where_runs_have_scores(make):
    study = make("duke", experiments="table3")
    study.run_plan(2, scores=lambda config, step: {"unlabelled": 0.9 - 0.1 * step})
    group = group_of(study)
    figure = sweep_figure(runs(group), group, "table3", "train.temperature")
    assert isinstance(figure, Figure)
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    assert list(lines) == ["best step", "last step", "selected step", "paper"]
    assert lines["last step"].get_ydata()[0] - lines["selected step"].get_ydata()[0] == pytest.approx(2)
    looks = [(line.get_marker(), line.get_linestyle()) for line in lines.values()]
    assert len(set(looks)) == len(looks)


def test_what_was_not_run_is_said(make):
    study = make("duke")
    study.trial(study.base)
    made = {name: figure for name, _, figure in figures(group_of(study))}
    assert made["fig4"] == "not run: only 1 value(s) of λ1 (run --plan fig4)"


def test_data_without_identities_has_no_quality_curve(make):
    study = make("duke")
    study.trial(study.base)
    for name, value in {"purity": 0.9, "nmi": 0.8, "ari": 0.1, "pairwise_f": 0.2}.items():
        before, after = f'"{name}": {value}', f'"{name}": null'
        rewrite(study.folder / "ledger.jsonl", lambda text, a=before, b=after: text.replace(a, b))
    made = {name: figure for name, _, figure in figures(group_of(study))}
    assert isinstance(made["classes"], Figure)
    assert [text.get_text() for text in made["classes"].axes[0].texts] == [
        "no labels on the\ntraining tracklets"
    ]


def test_files_are_equal_for_equal_results(make, tmp_path):
    study = make("duke", experiments="table3")
    study.run_plan(2)
    for name in ("a", "b"):
        assert main([str(study.folder), "--out", str(tmp_path / name)]) == 0
    for name in ("fig3.png", "tau.pdf", "tau.png", "classes.pdf"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_bad_input_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_dollar_in_the_name_of_the_data_begins_no_formula(make):
    study = make("duke", experiments="table3")
    study.run_plan(1)
    rewrite(
        study.folder / "study.json", lambda text: text.replace("DukeMTMC-VideoReID", "a_$2024_$\\u001b[2J")
    )
    group = group_of(study)
    figure = sweep_figure(runs(group), group, "table3", "train.temperature")
    assert isinstance(figure, Figure)
    assert figure.get_suptitle().startswith(r"a_\$2024_\$\x1b[2J, ")
    figure.canvas.draw()


def test_a_file_that_cannot_be_written_is_named(make, tmp_path, capsys):
    study = make("duke", experiments="table3")
    study.run_plan(1)
    (tmp_path / "fig3.png").symlink_to("/dev/full")
    assert main([str(study.folder), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"analysis/curves.py: error: {tmp_path / 'fig3.png'}: No space left on device\n"
    )


def crossed(figure) -> list[list[float]]:
    """Of every panel where a diverged training is marked, at 0."""
    lines = [line for ax in figure.axes for line in ax.lines if line.get_label() == "training diverged"]
    assert all((line.get_ydata() == 0).all() for line in lines)
    return [list(map(float, line.get_xdata())) for line in lines]


def test_a_training_that_diverged_is_marked_where_it_fell_to_nothing(make):
    study = make("duke", experiments="table3")
    for item in plan("table3", study.base):
        hot = item.config.train.temperature == 0.3
        study.trial(
            item.config,
            state="diverged" if hot else "complete",
            steps=1 if hot else 3,
            labels=item.experiments,
        )
    lost = study.base.replace(seed=1)
    study.trial(lost, state="diverged", steps=1)
    group = group_of(study)
    found = runs(group)
    sweep = sweep_figure(found, group, "table3", "train.temperature")
    assert isinstance(sweep, Figure) and crossed(sweep) == [[0.1, 0.3], [0.1, 0.3]]
    final = fig3(found, group)
    assert isinstance(final, Figure) and crossed(final) == [[2.0], [2.0]]
    mean_ap = next(line for line in final.axes[1].lines if line.get_label() == "mAP")
    assert mean_ap.get_ydata()[2:] == pytest.approx([16, 16.5])  # half of what the other run has
    whole = make("duke", name="whole", experiments="table3")
    whole.run_plan(1)
    group = group_of(whole)
    assert crossed(fig3(runs(group), group)) == []


def test_a_rival_that_diverged_is_marked_at_its_epochs(make):
    study = make("duke", experiments="rivals")
    study.run_plan(1)
    (item,) = [item for item in plan("rivals", study.base) if "rivals/buc" in item.experiments]
    study.trial(item.config.replace(seed=1), state="diverged", steps=1, labels=item.experiments)
    group = group_of(study)
    figure = rivals_figure("rivals", runs(group), group)
    train = item.config.train
    assert isinstance(figure, Figure)
    assert crossed(figure) == [[train.first_epochs + train.later_epochs]] * 2
