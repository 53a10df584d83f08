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


def _with_data(option: str, value: str) -> tuple[str, ...]:
    """An option's value as one word, and a data set that is read where the option says where it is."""
    return (*(("--dataset", "folder") if option == "--data-root" else ()), f"{option}={value}")


_PATHS = (
    *("--data-root", "--cache", "--studies", "--storage", "--weights", "--space", "--resume", "--reuse"),
)
PATHS = cases_of(
    "paths",
    "study",
    ("no such study", "status nosuch", "nosuch", {"fast": True}),
    ("a study that is a file", "status s", "s", {"prepare": made.file("studies/s", "x"), "fast": True}),
    ("a study in a home that is not", "status ~nosuch/s", "STUDY ~nosuch/s: ~nosuch is no home"),
    ("studies in a home that is not", "status s --studies ~nosuch/s", "--studies ~nosuch/s", {"fast": True}),
    ("an empty study", ("status", ""), "STUDY '': an empty path", {"fast": True}),
) + [
    case
    for option in _PATHS
    for case in cases_of(
        "paths",
        RUN,
        (
            f"{option} in a home that is not",
            _with_data(option, "~nosuch/x"),
            f"{option} ~nosuch/x: ~nosuch is",
        ),
        (f"{option} empty", _with_data(option, ""), f"{option} '': an empty path", {"fast": True}),
        (f"{option} too long", _with_data(option, "x" * 300), f"{option} xxx"),
    )
]
NUMBERS = cases_of(
    "numbers",
    RUN,
    ("no trials", "--samples 0", "--samples", {"fast": True}),
    ("not whole", "--samples 1.5", "--samples"),
)
_NOBODY = {"RAY_ADDRESS": "127.0.0.1:1"}
URLS = cases_of(
    "urls",
    RUN,
    ("address", "--address x", "--address", {"fast": True}),
    (
        "an address without a cluster",
        "--address 127.0.0.1:1",
        "--address 127.0.0.1:1: no Ray cluster",
        {"fast": True},
    ),
    ("an address of no machine", "--address nosuch.invalid:6379", "--address nosuch.invalid:6379: no Ray"),
    (
        "no cluster here",
        "--address auto",
        "--address auto: no Ray cluster",
        {"environment": _NOBODY, "fast": True},
    ),
    ("Ray Client without a server", "--address ray://127.0.0.1:1", "--address ray://127.0.0.1:1: "),
)

CASES = [*OPTIONS, *NAMES, *PATHS, *NUMBERS, *URLS]
