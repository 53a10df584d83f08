"""How scores are judged, against plain loops and against planted truth."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.data.candidates import COMBINED, Candidates
from analysis.stats.selection import (
    BEST,
    LAST,
    RANDOM,
    judge,
    judge_last,
    judge_random,
    judge_score,
    mean_of,
    products,
    selection_table,
    settled,
    settled_table,
    weighted_spearman,
)

# mAP of three runs by merge step: the second is pruned after two, the third diverges at its second
MAP = [[20.0, 30.0, 25.0], [22.0, 18.0], [24.0, 0.0]]
LENGTHS = [3, 2, 2]


def candidates(of_runs=MAP, **scores) -> Candidates:
    """Candidates of runs given as lists of mAP, which may be arrays of resamples; scores likewise."""
    m = np.array([value for run in of_runs for value in run], dtype=float)
    return Candidates(
        runs=tuple(SimpleNamespace(trial=SimpleNamespace(number=10 + i)) for i in range(len(of_runs))),
        run=np.repeat(np.arange(len(of_runs)), [len(run) for run in of_runs]),
        step=np.concatenate([np.arange(1, len(run) + 1) for run in of_runs]),
        mAP=m.reshape(len(m), -1),
        scores={name: np.array([v for run in values for v in run], float) for name, values in scores.items()},
    )


def drawn(rng, runs=9, steps=6, resamples=4) -> Candidates:
    """Runs of one to `steps` steps, with ties and holes in the scores."""
    lengths = [1, *rng.integers(2, steps + 1, runs - 1)]
    m = [rng.integers(0, 30, (length, 1 + resamples)).astype(float) for length in lengths]
    s = [rng.integers(0, 8, length).astype(float) for length in lengths]
    s[2][0], s[3][-1], s[4][:] = np.nan, np.nan, np.nan
    return candidates([list(each) for each in m], **{COMBINED: s})


def slow_spearman(s, m) -> float:
    def ranks(values):
        return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]

    r, t = ranks(list(s)), ranks(list(m))
    w = [max(a, b) ** 2 for a, b in zip(r, t, strict=True)]
    mean_r, mean_t = (sum(a * b for a, b in zip(w, of, strict=True)) / sum(w) for of in (r, t))

    def moment(one, other):
        return sum(a * b * c for a, b, c in zip(w, one, other, strict=True))

    r, t = [a - mean_r for a in r], [a - mean_t for a in t]
    spread = math.sqrt(moment(r, r) * moment(t, t))
    return moment(r, t) / spread if spread > 1e-9 else math.nan


def slow_best(steps) -> float:
    """mAP in the column, of what was the best as measured; the first of equals."""
    most = steps[0]
    for step in steps:
        if step[1] > most[1]:
            most = step
    return most[2]


def slow_judgement(found: Candidates, column: int) -> dict[str, float]:
    """Loops over runs and steps, of (score or None, mAP as measured, mAP in the column)."""
    table: dict[int, list[tuple[float | None, float, float]]] = {}
    for run, s, m in zip(found.run, found.scores[COMBINED], found.mAP, strict=True):
        table.setdefault(int(run), []).append((None if math.isnan(s) else s, m[0], m[column]))
    picked = {}
    for run, steps in table.items():
        for step in steps:
            if step[0] is not None and (run not in picked or step[0] > picked[run][0]):
                picked[run] = step
    winner = max(picked.values(), key=lambda step: step[0])[2]  # the first of equals
    known = [[(s, m) for s, _, m in steps if s is not None] for steps in table.values()]
    rhos = [slow_spearman(*zip(*each, strict=True)) for each in known if len(each) > 1]
    rhos = [rho for rho in rhos if not math.isnan(rho)]
    losses = [slow_best(table[run]) - picked[run][2] for run in picked if len(table[run]) > 1]
    last = [(steps[-1][0], steps[-1][2]) for steps in table.values() if steps[-1][0] is not None]
    return {
        "rho_runs": slow_spearman(*zip(*last, strict=True)),
        "rho_steps": sum(rhos) / len(rhos),
        "regret_runs": slow_best(list(picked.values())) - winner,
        "regret_steps": sum(losses) / len(losses),
        "regret_both": slow_best([step for steps in table.values() for step in steps]) - winner,
    }


@pytest.mark.parametrize("seed", range(5))
def test_correlations_and_regrets_are_those_of_plain_loops(seed: int):
    found = drawn(np.random.default_rng(seed))
    judged = judge_score(found, found.scores[COMBINED]).measures
    for column in range(found.mAP.shape[1]):
        for name, value in slow_judgement(found, column).items():
            assert judged[name][column] == pytest.approx(value, abs=1e-9, nan_ok=True), (name, column)


def test_the_best_weigh_most():
    s = np.arange(8.0)
    swapped_below, swapped_above = s.copy(), s.copy()
    swapped_below[[0, 1]], swapped_above[[6, 7]] = swapped_below[[1, 0]], swapped_above[[7, 6]]
    below, above = weighted_spearman(s, np.stack([swapped_below, swapped_above], axis=1))
    assert below > spearmanr(s, swapped_below).statistic == spearmanr(s, swapped_above).statistic > above
    # by hand, of three: ranks (1, 2, 3) and (1, 3, 2) weigh 1, 9, 9
    r, t, w = np.array([1, 2, 3]), np.array([1, 3, 2]), np.array([1, 9, 9])
    by_hand = np.cov(r, t, aweights=w)[0, 1] / math.sqrt(np.cov(r, aweights=w) * np.cov(t, aweights=w))
    assert weighted_spearman(r.astype(float), t[:, None].astype(float)) == pytest.approx([by_hand])


def test_a_score_that_is_mAP_itself_has_no_regret_and_a_reversed_one_the_largest():
    found = candidates()
    m = found.mAP[:, 0]
    true, reversed_ = judge_score(found, m), judge_score(found, -m)
    assert [float(values[0]) for values in true.measures.values()] == pytest.approx([1, 1, 0, 0, 0])
    assert (true.chooses, true.mAP) == ("trial 10, step 2", 30.0)
    # The runs come to 20, 18 and 0 at the steps that the reversed score chooses.
    largest = [-1, -1, 20, (10 + 4 + 24) / 3, 30]
    assert [float(values[0]) for values in reversed_.measures.values()] == pytest.approx(largest)
    assert reversed_.chooses == "trial 12, step 2"


def test_a_constant_score_chooses_the_first_and_correlates_with_nothing():
    found = candidates(**{COMBINED: [[0.5] * 3, [0.5] * 2, [0.5] * 2]})
    judged = judge_score(found, found.scores[COMBINED])
    assert np.isnan(judged.measures["rho_runs"][0]) and np.isnan(judged.measures["rho_steps"][0])
    assert (judged.chooses, judged.mAP) == ("trial 10, step 1", 20.0)
    assert judged.measures["regret_runs"][0] == 4.0 and judged.measures["regret_both"][0] == 10.0
    (row, *_) = selection_table("selection", "", {"constant": judged}, "").rows
    assert row[1:4] == ("–", "–", "4.0")


def test_random_choice_and_the_last_step():
    found = candidates()
    by_chance, last = judge_random(found).measures, judge_last(found).measures
    assert by_chance["regret_runs"] == pytest.approx(25 - (25 + 18 + 0) / 3)
    assert by_chance["regret_steps"] == pytest.approx((30 - 25 + 22 - 20 + 24 - 12) / 3)
    assert by_chance["regret_both"] == pytest.approx(30 - (25 + 20 + 12) / 3)
    assert last["regret_steps"] == pytest.approx((5 + 4 + 24) / 3)
    assert last["regret_both"] == pytest.approx(30 - (25 + 18 + 0) / 3) and "regret_runs" not in last


def test_a_run_of_one_step_has_no_choice_of_steps():
    found = candidates([*MAP, [50.0]])
    assert judge_random(found).measures["regret_steps"] == judge_random(candidates()).measures["regret_steps"]
    assert judge_last(found).measures["regret_steps"] == judge_last(candidates()).measures["regret_steps"]
    reversed_ = judge_score(found, -found.mAP[:, 0]).measures["regret_steps"]
    assert reversed_ == judge_score(candidates(), -candidates().mAP[:, 0]).measures["regret_steps"]


def test_a_score_of_which_nothing_is_there_has_a_row_of_nothing():
    found = candidates(**{COMBINED: [[np.nan] * length for length in LENGTHS]})
    table = selection_table("selection", "", judge(found), "")
    assert table.rows[0] == ("combination", *["–"] * 7)
    assert [row[0] for row in table.rows] == ["combination", RANDOM, LAST, BEST]
    assert table.rows[-1][1:] == ("–", "–", "–", "–", "–", "trial 10, step 2", "30.0")


def test_intervals_are_the_middle_of_the_resamples_and_choices_stay():
    """Chosen is the second run, the best is the first, in resamples too where it is the worse one."""
    resamples = np.linspace(10.0, 20.0, 101)
    runs = [[np.concatenate([[15.0], resamples])], [np.concatenate([[12.0], np.full(101, 12.0)])]]
    found = candidates(runs, **{COMBINED: [[0.1], [0.9]]})
    table = selection_table("selection", "", judge(found), "of data")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["regret runs"] == row["regret both"] == "3.0 [−1.8, 7.8]"  # 0.25 of 10 from either end
    assert row["regret steps"] == "–" and (row["chooses"], row["mAP"]) == ("trial 11, step 1", "12.0")
    numbers = table.numbers.iloc[0]
    assert (numbers["regret_runs_low"], numbers["regret_runs_high"]) == pytest.approx((-1.75, 7.75))
    assert table.caption.startswith("of data ρ: ")


def test_the_mean_over_halves_is_of_what_both_have():
    one = judge(candidates(**{COMBINED: MAP}))
    other = judge(candidates([[40.0, 10.0], [20.0, 20.0]], **{COMBINED: [[0.1, 0.2], [0.0, 0.0]]}))
    means = mean_of([one, other])
    assert means["combination"].measures["regret_both"] == pytest.approx((0 + 30) / 2)
    assert means[LAST].measures["regret_steps"] == pytest.approx((11 + 15) / 2)
    none = judge(candidates(**{COMBINED: [[np.nan] * length for length in LENGTHS]}))
    assert mean_of([one, none])["combination"].measures == {}
    table = selection_table("selection-mean", "", means, "")
    assert "chooses" not in table.columns and table.rows[0][5] == "15.0"


def test_what_one_half_settles_on_is_judged_by_the_other():
    """In the first half self-retrieval times stability is the mAP, and either alone is fooled once."""
    scores = {
        "self_retrieval": [[0.5, 0.9], [0.4, 0.3]],
        "stability": [[0.8, 0.2], [0.5, 0.9]],
        "camera_excess": [[-0.2, -0.2], [-0.2, -0.2]],
    }
    product = [[0.4, 0.18], [0.2, 0.27]]
    one = candidates([[100 * value for value in run] for run in product], **scores)
    name, judged = settled(one)
    assert name == "self-retrieval × stability" and judged.measures["regret_both"][0] == 0
    # There self-retrieval would have been right; the combination, here a score of its own, is not either.
    other = candidates([[40.0, 50.0], [20.0, 10.0]], **scores, **{COMBINED: [[0.1, 0.2], [0.9, 0.3]]})
    assert settled(other)[0] == "self-retrieval"
    one.scores[COMBINED] = other.scores[COMBINED]
    table = settled_table("settled", [("first_half", one), ("second_half", other)], "of both.")
    assert [row[:3] for row in table.rows] == [
        ("self-retrieval × stability", "first_half", "second_half"),
        ("combination", "–", "second_half"),
        ("self-retrieval", "second_half", "first_half"),
        ("combination", "–", "first_half"),
    ]
    regrets = table.numbers.set_index(["score", "judged_on"])["regret_both"]
    assert regrets["self-retrieval × stability", "second_half"] == pytest.approx(10)
    assert regrets["self-retrieval", "first_half"] == pytest.approx(40 - 18)
    assert regrets["combination", "second_half"] == pytest.approx(30)
    there = table.numbers.set_index("settled_on")["regret_both_there"]
    assert there["first_half"] == there["second_half"] == 0
    assert "which of 6 scores" in table.caption  # three, and three pairs


def test_factors_are_from_0_to_1_and_of_a_collapse_0():
    lost = -np.inf
    found = candidates(
        [[20.0, 10.0, 0.0]],
        camera_excess=[[-0.2, 0.1, lost]],
        silhouette=[[-0.5, 1.0, lost]],
        stability=[[-0.1, 0.5, lost]],
        size_balance=[[np.nan] * 3],
    )
    made = products(found)
    assert made["camera excess"] == pytest.approx([0.8, 1.0, 0.0])
    assert made["silhouette"] == pytest.approx([0.25, 1.0, 0.0])
    assert made["stability"] == pytest.approx([0.0, 0.5, 0.0])
    assert made["stability × silhouette"] == pytest.approx([0.0, 0.5, 0.0])
    assert not any("balance" in name for name in made)
