"""Search spaces, weights and study.json."""

from __future__ import annotations

from bad_input import made
from bad_input.case import cases_of

RUN = "study/run.py"

SPACES = cases_of(
    "spaces",
    RUN,
    ("no such file", "--space s.toml", "s.toml", {"fast": True}),
    ("not TOML", "--space s.toml", "s.toml", {"prepare": made.file("s.toml", "["), "fast": True}),
)
WEIGHTS = cases_of(
    "weights",
    RUN,
    ("no such file", "--weights w.pt", ("--weights", "w.pt"), {"fast": True}),
)
STUDY_JSON = cases_of(
    "study.json",
    "study",
    ("not JSON", "status s", "study.json", {"prepare": made.file("studies/s/study.json", "{"), "fast": True}),
)

CASES = [*SPACES, *WEIGHTS, *STUDY_JSON]
