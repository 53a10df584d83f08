"""Faults in what is said of bad input and in what a terminal gets. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

INPUT: list[Mutant] = [
    *of(
        "terminal",
        "dcreid/commandline.py",
        "tests/dcreid/test_commandline.py",
        ("codes of eight bits reach the terminal", r'"[\x00-\x1f\x7f-\x9f', r'"[\x00-\x1f\x7f'),
        ("what turns text round reaches the terminal", r"\u2028-\u202e", r"\u2028-\u2029"),
        ("a page is one line", 'map(visible, page.split("\\n"))', "[visible(page)]"),
        (
            "a full disk behind the output is kept quiet",
            "or isinstance(self._error, BrokenPipeError)",
            "or isinstance(self._error, OSError)",
        ),
        (
            "a reader that went away is an error",
            "if self._error is None or isinstance(self._error, BrokenPipeError):",
            "if self._error is None:",
        ),
        ("a wrong path is the disk's fault", "return 2 if error.errno in _WRONG_PATH else 1", "return 1"),
        ("output that is lost hides what the work said", "return status or lost", "return lost"),
    ),
    *of(
        "terminal",
        "study/show/terminal.py",
        "tests/study/show/test_terminal.py",
        ("text is Rich's markup", "markup=False", "markup=True"),
    ),
]
