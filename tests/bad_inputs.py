"""Bad inputs through the real commands: what the answers must be like, and which are not.

    python tests/bad_inputs.py                       # every case as a command of its own; some minutes
    python tests/bad_inputs.py --area names          # those of an area (may be repeated)
    python tests/bad_inputs.py --only "no trials"    # those with these words in their names
    python tests/bad_inputs.py --fast                # those that the tests run, in forks of one process

They are stated in `bad_input/cases_*.py`; what an answer must be like stands in `bad_input/case.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this repository, not an installed copy

from bad_input.case import AREAS, Case
from bad_input.cases import CASES
from bad_input.run import as_commands, in_children

FORKED, ALONE = 20.0, 60.0  # seconds that a case may take; a busy machine imports for half a minute


def main(argv: Sequence[str] | None = None) -> int:
    """0 = every answer is what it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--area", action="append", choices=AREAS, metavar="|".join(AREAS))
    parser.add_argument("--only", metavar="WORDS", help="words of names")
    parser.add_argument("--fast", action="store_true", help="those that the tests run, in forks")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time [2]")
    parser.add_argument(
        "--limit", type=float, help=f"seconds for each case [{ALONE:g}; with --fast {FORKED:g}]"
    )
    given = parser.parse_args(argv)
    chosen = [case for case in CASES if _wanted(case, given)]
    if not chosen:
        parser.error("no such case")
    work = in_children if given.fast else as_commands
    short: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="dcreid-bad-inputs-") as scratch:
        limit = given.limit or (FORKED if given.fast else ALONE)
        for case, faults, output in work(chosen, Path(scratch), given.jobs, limit):
            if faults:
                short[case.area] += 1
                print(f"{case.area}, {case.name}: {'; '.join(faults)}")
                print("".join(f"    {line[:300]!r}\n" for line in output.splitlines()[-12:]), end="")
    _print_table(Counter(case.area for case in chosen), short)
    return 1 if short else 0


def _wanted(case: Case, given: argparse.Namespace) -> bool:
    return (
        (not given.area or case.area in given.area)
        and (given.only is None or given.only in case.name)
        and (case.fast or not given.fast)
    )


def _print_table(cases: Counter[str], short: Counter[str]) -> None:
    print(f"{'area':18}  cases  fell short")
    for area in AREAS:
        if cases[area]:
            print(f"{area:18}  {cases[area]:5}  {short[area]:10}")
    print(f"{'all':18}  {cases.total():5}  {short.total():10}")


if __name__ == "__main__":
    sys.exit(main())
