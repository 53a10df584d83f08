"""The rivals in one picture: where the points lie, and what is drawn of what was run."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from matplotlib.collections import LineCollection

from analysis.curves import figures
from analysis.data.results import load
from analysis.data.runs import runs, runs_of
from analysis.figures.rivals import rivals_figure
from analysis.stats.series import epochs_trained, over_epochs
from dcreid.presets import laid_over, settings_of
from search_spaces.rivals import RIVAL_LABELS, RIVALS


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def group_of(study):
    return load([study.folder]).groups[0]


def test_epochs_add_up_stage_by_stage():
    base = settings_of("mars")
    assert [epochs_trained(base.train, step) for step in (1, 2, 20)] == [30, 33, 30 + 19 * 3]
    buc, oim = laid_over(base, "buc"), laid_over(base, "oim")
    assert epochs_trained(buc.train, 19) == 20 + 18 * 5
    assert epochs_trained(oim.train, 1) == epochs_trained(base.train, 20)


def test_points_lie_at_the_epochs_with_means_over_seeds(make):
    study = make("mars", experiments="rivals-published")
    study.run_plan(3, lambda config, step: 0.1 * step + 0.01 * config.seed)
    found = runs(group_of(study))
    series = over_epochs(runs_of(found, "rivals-published/buc"), "mAP")
    assert series.x == [20, 25, 30] and series.mean == pytest.approx([11, 21, 31])
    assert series.half == pytest.approx([2.484] * 3, abs=1e-3)


def test_every_method_is_drawn_under_its_name_and_the_untrained_network_as_a_line(make):
    study = make("mars", experiments="rivals")
    study.run_plan(1, lambda config, step: 0.1 + 0.01 * step)
    figure = rivals_figure("rivals", runs(group_of(study)), group_of(study))
    named = [RIVAL_LABELS[f"rivals/{row}"] for row in RIVALS]
    left, right = figure.axes
    for ax, untrained in ((left, 30.0), (right, 8.0)):  # rank-1 20 above mAP, trapezoid 2 below
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert list(lines) == [*named, "untrained network"]
        assert lines["untrained network"].get_ydata()[0] == pytest.approx(untrained)
        assert list(lines["BUC"].get_xdata()) == [30, 33, 36]
        looks = [(line.get_color(), line.get_marker()) for line in lines.values()]
        assert len(set(looks)) == len(looks)
        assert lines["OIM on single tracklets"].get_marker() not in ("", "None")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*named, "untrained network"]


def test_a_single_point_has_its_interval(make):
    study = make("mars", experiments="rivals")
    oim = laid_over(study.base, "oim", published=False)
    for seed in range(3):
        value = 0.2 + 0.01 * seed
        study.trial(oim.replace(seed=seed), lambda c, s, value=value: value, steps=1, labels=("rivals/oim",))
    figure = rivals_figure("rivals", runs(group_of(study)), group_of(study))
    lines = [line for line in figure.axes[1].collections if isinstance(line, LineCollection)]
    ((x, low), (_, high)) = lines[0].get_segments()[0]
    # Trapezoid mAPs of 18, 19 and 20: t = 4.303, deviation 1
    assert (x, low, high) == pytest.approx((87, 19 - 2.484, 19 + 2.484), abs=1e-3)
    assert "bands: 95 % intervals" in figure.get_suptitle()


def test_what_was_not_run_is_left_out(make):
    study = make("mars", experiments="rivals")
    study.trial(study.base)
    figure = rivals_figure("rivals", runs(group_of(study)), group_of(study))
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["this method", "untrained network"]
    assert "no run of --plan rivals" in rivals_figure("rivals", [], group_of(study))


def test_the_picture_comes_with_its_plan_only(make):
    one, two = make("mars", experiments="rivals"), make("mars", "two", experiments="fig3")
    one.run_plan(1), two.run_plan(1)
    assert "rivals" in {name for name, _, _ in figures(group_of(one))}
    assert not {name for name, _, _ in figures(group_of(two))} & {"rivals", "rivals-published"}
