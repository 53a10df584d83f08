"""What trials have cost, and what was saved because they share stages of training."""

from __future__ import annotations

from collections.abc import Iterable

from study.record.ledger import TrialRecord


def trial_seconds(trials: Iterable[TrialRecord]) -> float:
    """Seconds spent on the merge steps recorded, added up over trials that ran side by side."""
    return sum(trial.seconds for trial in trials)


def gpu_hours(trials: Iterable[TrialRecord]) -> float:
    """The same times the GPUs of each trial, in hours."""
    return sum(trial.gpu_seconds for trial in trials) / 3600


def saved_seconds(trials: Iterable[TrialRecord]) -> tuple[int, float]:
    """(trials that took stages over from others, trial-seconds that the others had spent on these stages)"""
    saved = [sum(row.get("saved_seconds") or 0.0 for row in trial.steps.values()) for trial in trials]
    return sum(1 for seconds in saved if seconds), sum(saved)
