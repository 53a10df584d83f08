"""How trials, values and times are written for people: on the board, in the summary and by `status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcreid.config import Config
from study.plan import StudyPlan
from study.record.intervals import Estimate
from study.record.ledger import TrialRecord

_SYMBOLS = {
    "merge.lambda1": "λ1",
    "merge.lambda2": "λ2",
    "train.temperature": "τ",
    "train.alpha": "α",
    "train.alpha_schedule": "α",
}


def first_line(error: object, otherwise: str) -> str:
    """The first line with anything in it of what an error says; `otherwise` where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), otherwise)


def parameters(trial: TrialRecord, plan: StudyPlan) -> str:
    """What tells a trial from the others: `λ1 0.06 λ2 0.003 τ 0.1 α linear 0.5`

    In a search the fields searched; in a plan of given runs what differs from the first of them.
    """
    held, base = Config.from_dict(trial.config).flat(), plan.config.flat()
    searched = [] if plan.space is None else [prior["field"] for prior in plan.space["priors"]]
    shown = [name for name in held if name in searched or (held[name] != base[name] and name != "seed")]
    told: list[str] = []
    for name in sorted(shown, key=lambda name: (name.split(".")[-1] not in ("lambda1", "lambda2"),)):
        symbol = _SYMBOLS.get(name, name.split(".")[-1])
        if symbol == "α" and "train.alpha" in shown and "train.alpha_schedule" in shown:
            if name == "train.alpha":  # with its schedule, below
                continue
            told.append(f"α {held[name]} {_short(held['train.alpha'])}")
        else:
            told.append(f"{symbol} {_short(held[name])}")
    if trial.seed != plan.config.seed or (plan.seeds > 1 and not plan.confirm):
        told.append(f"seed {trial.seed}")
    return " ".join(told) or "the paper's"


def taken_over(trial: TrialRecord) -> str:
    """`trial 3 [table1] taken over from study mars-table1, trial 3: complete, mAP 61.2`"""
    curve = trial.curve()
    last = f", mAP {percent(curve[max(curve)])}" if curve else ""
    origin = "" if trial.origin == "search" else f" [{trial.labels[0] if trial.labels else trial.origin}]"
    return f"trial {trial.number}{origin} taken over from {trial.reused}: {trial.state}{last}"


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The complete trial with the highest value of the objective; the first of equal ones."""
    ended = [
        trial
        for trial in trials
        if trial.state == "complete" and trial.value is not None and trial.origin != "confirm"
    ]
    return max(ended, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal."""
    return "–" if value is None else f"{100 * value:.1f}"


def interval(of: Estimate) -> str:
    """A mean of fractions as percent with its 95 % interval, which a single run has not."""
    told = "–" if of.n == 0 else percent(of.mean)
    return told if of.n < 2 else f"{told} ± {percent(of.half)}"


def clock(seconds: float) -> str:
    """`4:05`, `2:04:05` or `3 d 02:04`"""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def objective_words(objective: str) -> str:
    """Which mAP a study maximises."""
    return "the last merge step" if objective == "last" else "the best merge step (chosen with test labels)"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
