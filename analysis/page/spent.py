"""How long a study took and what it cost: by the clock of its sessions, and in trial-seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from analysis.data.results import Study
from study.record.costs import gpu_hours, saved_seconds, trial_seconds
from study.record.intervals import MISSING
from study.record.ledger import TrialRecord


def spent(study: Study) -> list[tuple[str, str]]:
    """(name, value) of the wall-clock of all sessions, the trial time, and what took it."""
    return [
        ("wall-clock", _sessions(study)),
        ("trial time", _trial_time(study.trials)),
        ("cost", _cost(study.trials)),
    ]


def duration(seconds: float) -> str:
    """`45 s`, `12.3 min`, `5.2 h`"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _sessions(study: Study) -> str:
    """A session that was killed counts up to its last event."""
    if not study.sessions:
        return f"{MISSING} (only the ledger has it; ledger.jsonl is not here)"
    first, last = study.sessions[0][0], max(end for _, end in study.sessions)
    total = sum(end - start for start, end in study.sessions)
    count = len(study.sessions)
    text = f"{duration(total)} in {count} session{'s' if count > 1 else ''}, begun {_moment(first)}"
    return text if count == 1 else f"{text}, last heard of {_moment(last)}; pauses between them not counted"


def _trial_time(trials: Sequence[TrialRecord]) -> str:
    total = trial_seconds(trials)
    complete = [trial.seconds for trial in trials if trial.state == "complete" and not trial.reused]
    text = f"{total:,.0f} trial-seconds ({duration(total)}), which add up over trials that ran side by side"
    return f"{text}; {duration(sum(complete) / len(complete))} per complete trial" if complete else text


def _cost(trials: Sequence[TrialRecord]) -> str:
    """Shares of the parts of a merge step, GPU-hours, and what did not have to be computed twice."""
    parts: Counter[str] = Counter()
    for trial in trials:
        for row in () if trial.reused else trial.steps.values():
            parts.update({n[8:]: v or 0.0 for n, v in row.items() if n.startswith("seconds_")})
    total = sum(parts.values())
    shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in parts.items() if total)
    texts = [shares] if shares else []
    hours = gpu_hours(trials)
    texts.append(f"{hours:.1f} GPU-hours" if hours else "no GPU")
    sharing, saved = saved_seconds(trials)
    if sharing:
        texts.append(f"{duration(saved)} saved by {sharing} trials that took stages of others over")
    reused = sum(1 for trial in trials if trial.reused)
    return "; ".join([*texts, f"{reused} trials taken over from other studies"] if reused else texts)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
