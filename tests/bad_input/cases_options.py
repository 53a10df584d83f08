"""Options, names, paths, numbers and URLs."""

from __future__ import annotations

from bad_input import made
from bad_input.case import cases_of

RUN = "study/run.py"

OPTIONS = [
    *cases_of(
        "options",
        RUN,
        ("unknown", "--nosuch", "--nosuch"),
        ("abbreviated", "--sample 3", "--sample"),
        ("no value", "--samples", "--samples"),
        ("another choice", "--sampler best", "--sampler", {"fast": True}),
        ("a word too many", "mars", "mars", {"fast": True}),
        ("data set not found", "--dataset mars", ("--dataset mars", "--data-root FOLDER"), {"fast": True}),
    ),
]
NAMES = cases_of(
    "names",
    RUN,
    ("another folder", "--name ../x", "--name", {"fast": True}),
    ("empty", ("--name", ""), "--name"),
)
PATHS = cases_of(
    "paths",
    "study",
    ("no such study", "status nosuch", "nosuch", {"fast": True}),
    ("a study that is a file", "status s", "s", {"prepare": made.file("studies/s", "x"), "fast": True}),
)
NUMBERS = cases_of(
    "numbers",
    RUN,
    ("no trials", "--samples 0", "--samples", {"fast": True}),
    ("not whole", "--samples 1.5", "--samples"),
)
URLS = cases_of("urls", RUN, ("address", "--address x", "--address", {"fast": True}))

CASES = [*OPTIONS, *NAMES, *PATHS, *NUMBERS, *URLS]
