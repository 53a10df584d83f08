"""The command: its tables and pictures, both halves together, and what it cannot judge."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.data.candidates import COMBINED, candidates
from analysis.data.results import load
from analysis.figures.selection import NO_CHOICE, runs_shown, scatter_figure, steps_figure
from analysis.selection import halves, main, selection
from analysis.stats.selection import picks
from dcreid.presets import settings_of


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def fill(study, values, states=None):
    """A run for each list of mAP by step (percent); the scores say the opposite of it in the last run."""
    for seed, run in enumerate(values):
        state = (states or {}).get(seed, "complete")
        sign = -1 if seed == len(values) - 1 else 1

        def scores(config, step, run=run, sign=sign):
            m = 0.1 if step == 0 else run[step - 1] / 100
            taken = dict.fromkeys(("self_retrieval", "stability", "join_reliability", "size_balance"),
                                  0.5 + sign * m / 2)  # fmt: skip
            return {**taken, "camera_excess": 0.5 - sign * m / 2, "silhouette": sign * m}

        study.trial(
            study.base.replace(seed=seed),
            lambda config, step, run=run: 0.1 if step == 0 else run[step - 1] / 100,
            state=state,
            steps=len(run),
            scores=scores,
        )


VALUES = [[20, 30, 25], [22, 28, 21], [10, 8, 24]]


def test_a_table_and_two_pictures_are_written(make, capsys):
    study = make("duke")
    fill(study, VALUES)
    assert main([str(study.folder)]) == 0
    out = capsys.readouterr().out
    folder = study.folder / "analysis"
    names = {"selection.md", "selection.csv"}
    names |= {f"selection-{kind}.{suffix}" for kind in ("scatter", "steps") for suffix in ("pdf", "png")}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "selection.md").read_text().strip() in out
    table = pd.read_csv(folder / "selection.csv").set_index("score")
    # The scores say 24, 8 and 10 of the last run, whose order is the other way round.
    assert table.loc["self-retrieval", "chooses"] == "trial 0, step 2"
    assert table.loc["self-retrieval", "regret_both"] == pytest.approx(0)
    assert table.loc["self-retrieval", "regret_steps"] == pytest.approx(16 / 3)
    assert table.loc["camera excess", "regret_both"] == pytest.approx(0)
    assert table.loc["exclusivity"].isna().sum() == len(table.columns) - 1
    assert "3 complete; 9 networks. Gallery: gallery of 12 rows. No intervals" in out


def test_both_halves_together_have_a_table_each_and_their_mean(make):
    made = [
        make("mars", half, base=settings_of("mars").replace(**{"data.split": half}))
        for half in ("first_half", "second_half")
    ]
    fill(made[0], VALUES)
    fill(made[1], [[10, 10, 40], [30, 20, 10]])
    groups = load([study.folder for study in made]).groups
    assert halves(groups) and not halves(groups[:1])
    tables, _ = selection(groups)
    one, other, mean = (table.numbers.set_index("score") for table in tables[:3])
    assert [table.name for table in tables[2:]] == ["selection-mean", "selection-settled"]
    assert len({table.name for table in tables}) == 4
    assert {row[1:3] for row in tables[3].rows} == {
        ("first_half", "second_half"),
        ("second_half", "first_half"),
        ("–", "first_half"),
        ("–", "second_half"),
    }
    assert "2 runs are of both halves, 1 of one alone" in tables[2].caption
    for name in ("regret_both", "rho_steps"):
        expected = (one.loc["self-retrieval", name] + other.loc["self-retrieval", name]) / 2
        assert mean.loc["self-retrieval", name] == pytest.approx(expected)


def test_of_drawn_runs_alone_others_are_neither_chosen_nor_the_best(make, capsys):
    study = make("duke")
    fill(study, VALUES)  # of a plan
    assert main([str(study.folder), "--drawn"]) == 2
    assert "no run was drawn by a search; leave out --drawn" in capsys.readouterr().err
    for seed, best in ((7, 0.12), (8, 0.18)):
        score = lambda config, step, best=best: 0.1 if step == 0 else best  # noqa: E731
        drawn_scores = lambda config, step, best=best: {"self_retrieval": best, "stability": 0.5}  # noqa: E731
        study.trial(study.base.replace(seed=seed), score, origin="search", scores=drawn_scores)
    study.trial(study.base.replace(seed=9), lambda config, step: 0.2, origin="recommended",
                scores=lambda config, step: {"self_retrieval": 0.2, "stability": 0.5})  # fmt: skip
    assert main([str(study.folder), "--drawn"]) == 0
    out = capsys.readouterr().out
    assert "among drawn configurations" in out and "2 complete; " in out
    table = pd.read_csv(study.folder / "analysis" / "selection-drawn.csv").set_index("score")
    assert table.loc["combination", ["chooses", "mAP"]].tolist() == ["trial 4, step 1", 18.0]
    assert table.loc["random choice", "regret_runs"] == pytest.approx(3)
    assert not (study.folder / "analysis" / "selection.csv").exists()
    assert (study.folder / "analysis" / "selection-drawn-scatter.png").exists()


def test_other_studies_together_have_no_mean(make):
    one = make("mars", "one", base=settings_of("mars").replace(**{"data.split": "first_half"}))
    changes = {"data.split": "second_half", "data.frames": 4}
    other = make("mars", "other", base=settings_of("mars").replace(**changes))
    for study in (one, other):
        fill(study, VALUES)
    groups = load([one.folder, other.folder]).groups
    assert not halves(groups) and len(selection(groups)[0]) == 2


def test_studies_without_labels_or_scores_are_refused(make, capsys):
    study = make("duke")
    study.trial(study.base)
    assert main([str(study.folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no scores without labels" in error


def found_of(study):
    return candidates(load([study.folder]).groups[0], np.random.default_rng(0), 0)


def points(ax, label):
    (line,) = (line for line in ax.lines if line.get_label().startswith(label))
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_the_scatter_shows_every_run_the_choice_and_the_untrained_network(make):
    study = make("duke")
    fill(study, VALUES, {1: "pruned"})
    found = found_of(study)
    figure = scatter_figure(found, "data")
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    s, m = found.scores[COMBINED], found.mAP[:, 0]
    chosen_of = picks(found, s)
    assert points(ax, "complete") == [(s[chosen_of[run]], m[chosen_of[run]]) for run in (0, 2)]
    assert points(ax, "pruned") == [(s[chosen_of[1]], m[chosen_of[1]])]
    assert points(ax, "chosen: trial 0, step 2") == [(s[1], 30.0)]
    assert points(ax, "best there was")[0][1] == 30.0 and points(ax, "untrained")[-1][1] == pytest.approx(
        10.0
    )


def test_steps_are_marked_in_the_curves(make):
    study = make("duke")
    fill(study, VALUES)
    found = found_of(study)
    figure = steps_figure(found, "data")
    assert isinstance(figure, Figure)
    shown = runs_shown(found)
    assert shown[0] == 0 and sorted(shown) == [0, 1, 2]
    ax = figure.axes[shown.index(2)]
    assert [ax.get_title(), figure.axes[0].get_title()] == ["trial 2", "trial 0, chosen"]
    assert points(ax, "mAP") == [(1, 10.0), (2, 8.0), (3, 24.0)]
    assert points(ax, "selected step") == [(2, 8.0)] and points(ax, "last step") == [(3, 24.0)]
    assert points(ax, "best step") == [(3, 24.0)]


def test_of_many_runs_the_chosen_and_the_best_are_shown_and_others_evenly(make):
    study = make("duke")
    fill(study, [[20 + seed, 10] for seed in range(12)])  # the last one says the opposite
    found = found_of(study)
    shown = runs_shown(found)
    assert shown[:2] == [10, 11] and len(set(shown)) == 6 and shown[2:] == sorted(shown[2:], reverse=True)
    assert shown[2] == 9 and shown[-1] == 0


def test_without_a_combination_nothing_is_drawn(make):
    study = make("duke")
    study.trial(study.base, scores=lambda config, step: {"size_balance": 0.5})
    found = found_of(study)
    assert scatter_figure(found, "") == NO_CHOICE == steps_figure(found, "")
