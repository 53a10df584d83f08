"""Faults that a colleague could make, one line each, and which tests have to notice them.

    python tests/mutants.py                     # all of them, two at a time; some minutes
    python tests/mutants.py merging claims      # those of these areas, or with these words in their names
    python tests/mutants.py --check             # that each is a fault of meaning: types, the embedded study
    python tests/mutants.py --list

They are stated in `mutation/faults_*.py`: an area, a file and its tests, then name, text and replacement.
How they are run, and what counts as killed, is in `mutation/run.py`. A mutant whose line has been rewritten
fails the run: state the same fault in the new code. One that survives tells of a test that is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutation.check import check
from mutation.faults_analysis import ANALYSIS
from mutation.faults_bound import BOUND
from mutation.faults_cameras import CAMERAS
from mutation.faults_clustering import CLUSTERING
from mutation.faults_exports import EXPORTS
from mutation.faults_input import INPUT
from mutation.faults_method import METHOD
from mutation.faults_models import MODELS
from mutation.faults_network import NETWORK
from mutation.faults_over_people import OVER_PEOPLE
from mutation.faults_paper import PAPER
from mutation.faults_people import PEOPLE
from mutation.faults_presets import PRESETS
from mutation.faults_python import PYTHON
from mutation.faults_records import RECORDS
from mutation.faults_reports import REPORTS
from mutation.faults_search import SEARCH
from mutation.faults_selection import SELECTION
from mutation.faults_study import STUDY
from mutation.faults_trainable import TRAINABLE
from mutation.faults_trials import TRIALS
from mutation.faults_video import VIDEO
from mutation.faults_without_labels import WITHOUT_LABELS
from mutation.forked import import_heavy
from mutation.run import Mutant, run

MUTANTS: tuple[Mutant, ...] = (
    *METHOD,
    *NETWORK,
    *CLUSTERING,
    *STUDY,
    *RECORDS,
    *ANALYSIS,
    *INPUT,
    *CAMERAS,
    *PRESETS,
    *PYTHON,
    *SEARCH,
    *SELECTION,
    *BOUND,
    *TRAINABLE,
    *WITHOUT_LABELS,
    *EXPORTS,
    *TRIALS,
    *VIDEO,
    *OVER_PEOPLE,
    *PEOPLE,
    *MODELS,
    *REPORTS,
    *PAPER,
)


def main(argv: Sequence[str] | None = None) -> int:
    """0 = every mutant is killed (with --check: is a fault of meaning)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wanted", nargs="*", help="areas, or words of names [all]")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time [2]")
    parser.add_argument("--list", action="store_true", help="print names, areas, files and tests")
    parser.add_argument(
        "--check", action="store_true", help="mypy, and the embedded study, instead of the tests"
    )
    given = parser.parse_args(argv)
    chosen = [m for m in MUTANTS if not given.wanted or any(w == m.area or w in m.name for w in given.wanted)]
    if not chosen:
        parser.error(f"no mutant called {', '.join(given.wanted)}")
    if given.list:
        for mutant in chosen:
            print(f"{mutant.name}  [{mutant.area}, {mutant.file}: {' '.join(mutant.tests)}]")
        return 0
    import_heavy()
    with tempfile.TemporaryDirectory(prefix="dcreid-mutants-") as scratch:
        work = check if given.check else run
        return work(chosen, Path(__file__).resolve().parents[1], Path(scratch), jobs=given.jobs)


if __name__ == "__main__":
    sys.exit(main())
