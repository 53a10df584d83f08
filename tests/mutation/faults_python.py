"""Faults in studies that a Python program makes, and in what it enqueues."""

from __future__ import annotations

from mutation.run import Mutant, of

_ENQUEUED = "tests/study/decide/test_enqueued.py"
_ENQUEUE = "tests/study/command/test_enqueue.py"

PYTHON: list[Mutant] = [
    *of(
        "studies from Python",
        "study/decide/queue.py",
        _ENQUEUED,
        (
            "what is enqueued waits for the settings of the tables",
            "config in ledger.enqueued), *others)",
            "config in ledger.enqueued[:0]), *others, *((ENQUEUED, self._enqueued(config)) for config in "
            "ledger.enqueued))",
        ),
        (
            "enqueued ones are beside the samples",
            "max(self._samples(), len(self._begun())",
            "max(self._samples(), self._samples()",
        ),
        (
            "a study that is complete runs no more",
            "return max(self._samples(), len",
            "return min(self._samples(), len",
        ),
        (
            "enqueued ones may be drawn over",
            "len(self._begun()) + len(self.waiting) >= self._samples()",
            "len(self._begun()) >= self._samples()",
        ),
        (
            "a grid has no room for it",
            "len(self.plan.given) + len(self.ledger.enqueued)",
            "len(self.plan.given)",
        ),
        (
            "a confirmation does not wait for it",
            "len(finished) < self._wanted():",
            "len(finished) < self._samples():",
        ),
    ),
    *of(
        "studies from Python",
        "study/record/ledger.py",
        _ENQUEUED,
        ("a session lasts to what was enqueued after it", "return  # it is no part", "pass  # it is no part"),
        (
            "older fields are missing",
            'self._enqueue(completed(entry["config"]))',
            'self._enqueue(entry["config"])',
        ),
    ),
    *of(
        "studies from Python",
        "study/command/enqueue.py",
        _ENQUEUED,
        (
            "what has failed is there",
            'if trial.config == stored and trial.state != "failed":',
            "if trial.config == stored:",
        ),
        ("it is enqueued twice", "if stored in ledger.enqueued:", "if config in ledger.enqueued:"),
        (
            "a trial runs on other people",
            'name in _OF_THE_DATA or ".synthetic." in name',
            "name in _OF_THE_DATA",
            _ENQUEUE,
        ),
        (
            "no batch is full",
            "config.train.check_batches(tracklets)",
            "config.train.draws(tracklets)",
            _ENQUEUE,
        ),
    ),
]
