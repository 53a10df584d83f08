"""Pruners: planted curves whose cuts are known, and whole sessions against a plain reference."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from study.plan import StudyPlan
from study.search.build import make_pruner
from study.search.pruners import SuccessiveHalving, median

Curve = dict[int, float]


def study_of(*curves: Curve) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    for curve in curves:
        study.add_trial(optuna.create_trial(state=TrialState.PRUNED, value=0.0, intermediate_values=curve))
    return study


def decision(pruner: optuna.pruners.BasePruner, *curves: Curve) -> bool:
    """On the last of the curves."""
    study = study_of(*curves)
    return pruner.prune(study, study.trials[-1])


def halving(*steps: float, share: int = 3) -> SuccessiveHalving:
    """With the same rungs for every trial."""
    return SuccessiveHalving(lambda trial: steps, share)


def test_halving_keeps_the_best_share_at_rungs_only():
    pruner = halving(2, 6)
    others = [{1: 0.9, 2: 0.1 * i} for i in range(1, 6)]
    assert not decision(pruner, *others, {1: 0.0})  # before the first rung
    assert decision(pruner, *others, {1: 0.9, 2: 0.35})  # third of six
    assert not decision(pruner, *others, {1: 0.9, 2: 0.45})  # second of six
    assert not decision(halving(2, 6, share=2), *others, {1: 0.9, 2: 0.35})
    assert decision(halving(2, 6, share=2), *others, {1: 0.9, 2: 0.25})  # fourth of six
    assert not decision(pruner, *others, {1: 0.9, 2: 0.0, 3: 0.0})  # between rungs
    assert not decision(pruner, *others, {1: 0.9, 2: 0.0, 6: 0.0})  # alone on the second rung


def test_every_rung_is_compared_there():
    pruner = halving(2, 6, 18)
    assert not decision(pruner, {2: 0.5, 4: 0.9}, {2: 0.6, 4: 0.1})  # 4 is no rung
    assert decision(pruner, {2: 0.5, 6: 0.9}, {2: 0.6, 6: 0.1})
    assert not decision(pruner, {2: 0.5, 6: 0.9}, {2: 0.6})  # where the other stands since is not asked
    assert not decision(pruner, {18: 0.9, 20: 0.1}, {2: 0.5, 17: 0.9, 19: 0.95})
    assert decision(pruner, {2: 0.1, 18: 0.9}, {2: 0.5, 17: 0.95, 18: 0.8})


def test_halving_takes_the_next_measured_step_for_a_rung():
    pruner = halving(2, 6)
    assert decision(pruner, {3: 0.5}, {3: 0.4})
    assert not decision(pruner, {3: 0.5}, {3: 0.6})
    assert decision(pruner, {3: 0.5, 9: 0.5}, {3: 0.6, 9: 0.4})
    assert decision(halving(2, 3), {4: 0.5}, {4: 0.4})  # two rungs at once


def test_the_first_to_reach_a_rung_goes_on():
    assert not decision(halving(1), {1: 0.01})
    assert not decision(halving(1), {})
    assert not decision(halving(math.inf), {1: 0.9}, {1: 0.01})  # too few epochs, however long it goes on


def test_each_trial_is_taken_at_its_own_step_of_a_rung():
    """The first has twice the epochs: what it has after step 2, the others have after step 4."""

    def steps(trial: FrozenTrial) -> tuple[float, ...]:
        return (2,) if trial.number == 0 else (4,)

    pruner = SuccessiveHalving(steps, 2)
    assert decision(pruner, {2: 0.5, 4: 0.1}, {2: 0.9, 4: 0.4})
    assert not decision(pruner, {2: 0.3, 4: 0.9}, {2: 0.1, 4: 0.4})
    assert not decision(pruner, {2: 0.5}, {2: 0.4})  # not there yet


def test_the_median_of_others_from_grace_on():
    curves = [{1: 0.9, 2: 0.9}] * 4 + [{1: 0.1, 2: 0.1}]
    study = optuna.create_study(direction="maximize")
    for curve in curves:
        study.add_trial(optuna.create_trial(value=curve[2], intermediate_values=curve))
    assert median(2).prune(study, study.trials[-1])
    assert not median(3).prune(study, study.trials[-1])


def test_pruners_by_name(plan_of: Callable[..., StudyPlan], open_session):
    def made(*options: str) -> optuna.pruners.BasePruner:
        plan = plan_of(*options)
        return make_pruner(plan, 16, open_session(plan).ledger)

    assert isinstance(made("--pruner", "none"), optuna.pruners.NopPruner)
    assert isinstance(made("--pruner", "median"), optuna.pruners.MedianPruner)
    asha = made("--pruner", "asha", "--asha-eta", "5")
    assert isinstance(asha, SuccessiveHalving) and asha.share == 5


# --- whole sessions

EPOCHS = "[train.first_epochs]\nlow = 0\nhigh = 9\n[train.later_epochs]\nlow = 1\nhigh = 4\n"


def expected_ends(
    ledger: Path, eta: int, rungs: list[float], value: Callable[[int, dict[str, Any]], float]
) -> dict[int, int]:
    """Trial to the merge step at which it must be pruned: plain loops over the rows, in their order."""
    trained: dict[int, tuple[int, int]] = {}
    reached: list[list[tuple[int, float]]] = [[] for _ in rungs]
    ends: dict[int, int] = {}
    for line in ledger.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == "trial":
            train = entry["config"]["train"]
            trained[entry["number"]] = (train["first_epochs"], train["later_epochs"])
        if entry["event"] != "step" or entry["row"]["step"] == 0:
            continue
        number, row = entry["trial"], entry["row"]
        own = value(number, row)
        first, later = trained[number]
        for epochs, others in zip(rungs, reached, strict=True):
            if number in dict(others) or first + (row["step"] - 1) * later < epochs:
                continue
            others.append((number, own))
            place = sorted((other for _, other in others), reverse=True).index(own) + 1
            if place > max(1, len(others) // eta) and number and row["step"] < row["total_steps"]:
                ends.setdefault(number, row["step"])
    return ends


@pytest.mark.parametrize(("slots", "cut"), [(1, None), (3, None), (3, 40)], ids=["one", "three", "cut"])
@pytest.mark.parametrize("eta", [2, 3])
def test_a_session_ends_the_trials_that_a_plain_reference_ends(
    plan_of, play, tmp_path: Path, slots: int, cut: int | None, eta: int
):
    (tmp_path / "epochs.toml").write_text(EPOCHS)
    options = ("--samples", "30", "--space", str(tmp_path / "epochs.toml"), "--sampler", "random")
    plan = plan_of(*options, "--asha-eta", str(eta), "--no-share")
    if cut is not None:
        play(plan, slots=slots, cut=cut)
        (plan.folder / "optuna.journal").unlink()
    session = play(plan, slots=slots)
    total = 8 + 4 * 2  # of trial 0: the embedded data's epochs, five merge steps
    rungs = [total / eta**k for k in (3, 2, 1)]
    expected = expected_ends(session.ledger.path, eta, rungs, lambda number, row: row["mAP"])
    found = {t.number: t.last_step for t in session.ledger.trials.values() if t.state == "pruned"}
    assert found == expected and len({step for step in found.values()}) >= 3
    assert session.ledger.trials[0].state == "complete"


def test_without_labels_trials_end_by_the_highest_score_so_far(play_unlabelled, tmp_path: Path):
    (tmp_path / "epochs.toml").write_text(EPOCHS)
    options = ("--samples", "30", "--space", str(tmp_path / "epochs.toml"), "--sampler", "random")
    # Retrieval would be measured at the last step alone.
    session = play_unlabelled(*options, "--no-share", "--eval-every", "5", slots=3)
    highest: dict[int, float] = {}

    def so_far(number: int, row: dict[str, Any]) -> float:
        highest[number] = max(row["unlabelled"], highest.get(number, 0.0))
        return highest[number]

    expected = expected_ends(session.ledger.path, 2, [(8 + 4 * 2) / 2**k for k in (3, 2, 1)], so_far)
    found = {t.number: t.last_step for t in session.ledger.trials.values() if t.state == "pruned"}
    assert found == expected and len(set(found.values())) >= 3


@pytest.mark.parametrize("pruner", ["asha", "median"])
def test_decisions_after_a_lost_journal_are_the_same(plan_of, play, pruner: str):
    options = ("--samples", "9", "--pruner", pruner, "--grace", "1")
    whole = play(plan_of(*options, "--name", "whole"))
    play(plan_of(*options), cut=24)
    (plan_of().folder / "optuna.journal").unlink()
    session = play(plan_of(*options))
    states = [[t.state for t in s.ledger.trials.values()] for s in (whole, session)]
    assert states[0] == states[1] and (pruner == "median" or "pruned" in states[0])
