"""Shared stages: `--plan paper`, with and without taking stages over.

    python benchmarks/sharing.py --quick               Table 1 on a few drawn people, about a minute
    python benchmarks/sharing.py                       the whole plan on the embedded data
    python benchmarks/sharing.py -- OPTION ...         the same with more options of study/run.py

Runs the same study twice, as `study/run.py` would be run, `--no-share` being the rival. Both must
come to the same results in every trial and merge step, bit for bit. Trial-seconds are the sums over
trials of the seconds spent on training, features, merging and evaluation; wall time is the whole
command's. Needs Ray and Optuna.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from measure import options, set_up, table, write_json

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
    *("--first-epochs", "4", "--later-epochs", "1", "--height", "32", "--width", "16", "--plan", "table1"),
)


def study(folder: Path, extra: list[str]) -> tuple[pd.DataFrame, float]:
    """The results of one study, and the seconds its command took."""
    command = [sys.executable, str(REPOSITORY / "study" / "run.py"), "--plan", "paper", *extra]
    command += ["--name", "study", "--cache", str(folder.parent / "cache")]
    folder.mkdir()
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nended with {done.returncode}")
    return pd.read_parquet(folder / "studies" / "study" / "results.parquet"), time.perf_counter() - started


def same_results(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether every trial and merge step came to the same numbers, clocks apart; trials go by digest."""
    clocks = [name for name in one if "seconds" in name or name == "frames_per_second"]

    def plain(results: pd.DataFrame) -> pd.DataFrame:
        kept = results.drop(columns=[*clocks, "trial"])
        return kept.sort_values(["digest", "step"], ignore_index=True)

    return plain(one).equals(plain(other))


def trial_seconds(results: pd.DataFrame) -> float:
    return float(results.filter(like="seconds_").sum().sum())


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("rest", nargs="*", metavar="OPTION", help="options of study/run.py, after --")
    args = parser.parse_args()
    set_up(args)
    extra = [*(TINY if args.quick else ()), *args.rest]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        # The frames are drawn and packed before either is timed.
        study(
            Path(scratch) / "warm-up", [*extra, "--plan", "fig3", "--max-steps", "1", "--first-epochs", "0"]
        )
        for name in ("--no-share", "--share"):
            results, wall = study(Path(scratch) / name.strip("-"), [*extra, name])
            found[name] = {"results": results, "wall": wall, "trial_seconds": trial_seconds(results)}
    apart, shared = found["--no-share"], found["--share"]
    if not same_results(apart["results"], shared["results"]):
        sys.exit("the two studies differ in their results")
    rows = [
        [name, one["results"]["trial"].nunique(), one["trial_seconds"], one["wall"]]
        for name, one in found.items()
    ]
    ratios = {key: apart[key] / shared[key] for key in ("trial_seconds", "wall")}
    rows.append(["ratio", "", ratios["trial_seconds"], ratios["wall"]])
    table("the same results, bit for bit", ["study", "trials", "trial-seconds", "wall s"], rows)
    print(f"taken over: {shared['results']['saved_seconds'].sum():,.0f} s of trial time")
    numbers = {name: {key: one[key] for key in ("trial_seconds", "wall")} for name, one in found.items()}
    write_json(args.json, "sharing", numbers | {"ratios": ratios}, args)


if __name__ == "__main__":
    main()
