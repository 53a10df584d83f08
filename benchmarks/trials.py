"""The study itself: what Ray Tune, Optuna and the driver cost beside the training.

    python benchmarks/trials.py --quick              a look, about two minutes
    python benchmarks/trials.py                      1, 4 and 16 trials at a time, 10,000 trials, a real study
    python benchmarks/trials.py --at-once 64 --only tune
    python benchmarks/trials.py --only real -- --samples 4 --backbone resnet18    options of study/run.py

tune    trials that report made-up rows at once, through Ray Tune and the real driver: session,
        ledger, Optuna's study, table. Twice, with few and with many reports, so that the cost of a
        trial and of a report come apart. Wall time is the machine's, all processes together; the
        driver's CPU seconds are its own, whatever else runs. Starting Ray is not in it.
driver  the same without Ray, for studies of up to 10,000 trials: CPU seconds per trial, the results
        table, opening the study again, and memory. Random draws, and Optuna's TPE, which reads the
        whole history for each draw.
real    python study/run.py on the embedded data: from the command to the first report, and what share
        of a trial's time is not training, features, merging or evaluation.

Needs Ray and Optuna.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `study` is the package, not this file

from measure import exponent, held_bytes, options, set_up, table, write_json
from played import (
    Stopwatch,
    made_up_row,
    open_session,
    play,
    quiet_display,
    reopening_seconds,
    small_plan,
    table_seconds,
)
from watched import Watched, run_study

_FEW, _MANY = 2, 42  # reports of a made-up trial
PARTS = ("tune", "driver", "real")


def reporting(job: dict[str, Any]) -> None:
    """A trainable that has its results ready. Pickled with what it needs: workers load nothing else."""
    from ray import tune

    for step in range(job["recorded"] + 1, job["reports"]):
        tune.report({**job["row"], "step": step, "total_steps": job["reports"] - 1})


def tune_costs(at_once: int, trials: int) -> dict[str, Any]:
    """Seconds per trial and per report with so many trials at a time."""
    found = {reports: _run_made_up(at_once, trials, reports) for reports in (_FEW, _MANY)}
    costs: dict[str, Any] = {"at_once": at_once, "trials": trials}
    for clock in ("wall", "driver_cpu"):
        few, many = found[_FEW][clock], found[_MANY][clock]
        per_report = (many - few) / (trials * (_MANY - _FEW))
        costs[f"{clock}_per_report"] = per_report
        costs[f"{clock}_per_trial"] = few / trials - _FEW * per_report
    return costs


def _run_made_up(at_once: int, trials: int, reports: int) -> dict[str, float]:
    import ray

    from study.on_ray.loop import _connect, run_session

    with tempfile.TemporaryDirectory() as folder:
        plan, data = small_plan(
            Path(folder),
            *("--samples", str(trials), "--sampler", "random", "--pruner", "none", "--no-share"),
            *("--cpus-per-trial", str((os.cpu_count() or 1) / at_once), "--concurrency", str(at_once)),
        )
        session = open_session(plan, data)
        job_of = session.job
        row = made_up_row(plan.base, 0, reports - 1)
        session.job = lambda trial: {**job_of(trial), "reports": reports, "row": row}
        _connect(plan)
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            run_session(session, quiet_display(session), reporting)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        finally:
            ray.shutdown()
        if session.error is not None:
            raise session.error
        ended = [trial for trial in session.ledger.trials.values() if trial.state == "complete"]
        if len(ended) < trials:
            reasons = {trial.reason for trial in session.ledger.trials.values()} | {session.stopping}
            raise RuntimeError(f"{len(ended)} of {trials} trials ended: {reasons}")
        assert all(len(trial.steps) == reports for trial in ended)
    return {"wall": wall, "driver_cpu": cpu}


def driver_costs(sampler: str, sizes: list[int], slots: int = 16) -> list[dict[str, float]]:
    """CPU seconds per trial while a study grows, and what its size costs then."""
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        plan, data = small_plan(Path(folder), "--samples", str(10**9), "--sampler", sampler, "--no-share")
        before = held_bytes()
        session, done = open_session(plan, data), 0
        for size in sizes:
            watch = Stopwatch()
            play(session, size, slots, watch)
            held = held_bytes() - before
            per_trial = {part: spent / (size - done) for part, spent in watch.seconds.items()}
            found.append({"trials": size, **per_trial, "table": table_seconds(session), "bytes": held})
            found[-1]["ledger_bytes"] = float((plan.folder / "ledger.jsonl").stat().st_size)
            done = size
        session.ledger.close()
        found[-1]["reopened"] = reopening_seconds(plan, data)
    return found


def real_costs(given: list[str]) -> dict[str, Any]:
    """Of `study/run.py` with these options."""
    with tempfile.TemporaryDirectory() as folder:
        ran = run_study(Path(folder), given)
    return {
        "options": given,
        "seconds": ran.seconds,
        "to_first_start": ran.first("start"),
        "to_first_report": ran.first("step"),
        "to_first_merge": ran.first("step", step=1),
        "cpu_seconds": ran.cpu_seconds,
        "trials": [spent for spent in map(lambda n: _trial_costs(ran, n), _ended(ran)) if spent],
    }


def _ended(ran: Watched) -> list[int]:
    return [entry["trial"] for entry in ran.events if entry["event"] == "end"]


def _trial_costs(ran: Watched, number: int) -> dict[str, float] | None:
    """Seconds of a trial from its start to its end, how long the first report took, and the work in it."""
    own = [entry for entry in ran.events if entry.get("trial") == number]
    start = next((entry["time"] for entry in own if entry["event"] == "start"), None)
    rows = [entry for entry in own if entry["event"] == "step"]
    if start is None or len(rows) < 2:
        return None
    work = sum(
        value or 0.0 for entry in rows for name, value in entry["row"].items() if name.startswith("seconds_")
    )
    first, last = rows[0]["time"], rows[-1]["time"]
    return {"trial": number, "starting": first - start, "running": last - first, "work": work}


def main() -> None:
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    parser = options(__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; repeatable (default: all)")
    parser.add_argument(
        "--at-once", type=int, action="append", metavar="K", help="trials at a time; repeatable [1 4 16]"
    )
    parser.add_argument("--trials", type=int, default=10_000, help="of the driver's part (default: 10,000)")
    parser.add_argument("--tpe-trials", type=int, default=2_000, help="drawn by TPE there (default: 2,000)")
    args = parser.parse_args(sys.argv[1 : len(sys.argv) - len(given) - bool(given)])
    set_up(args)
    results: dict[str, Any] = {}
    parts = args.only or PARTS
    if "tune" in parts:
        counts = args.at_once or ([2] if args.quick else [1, 4, 16])
        results["tune"] = [tune_costs(k, k * 2 if args.quick else max(8, 2 * k)) for k in counts]
        show_tune(results["tune"])
    if "driver" in parts:
        most = {"random": args.trials, "tpe": args.tpe_trials}
        results["driver"] = {
            sampler: driver_costs(sampler, [20, 40] if args.quick else [n // 8, n // 4, n // 2, n])
            for sampler, n in most.items()
        }
        for sampler, found in results["driver"].items():
            show_driver(sampler, found)
    if "real" in parts:
        quick = ["--samples", "1", "--first-epochs", "1", "--later-epochs", "1", "--merge-rate", "0.3"]
        results["real"] = real_costs(given or (quick if args.quick else ["--samples", "2"]))
        show_real(results["real"])
    write_json(args.json, "trials", results, args)


def show_tune(found: list[dict[str, Any]]) -> None:
    table(
        f"Trials of {_FEW} and {_MANY} made-up reports through Ray Tune, on {os.cpu_count()} cores",
        (
            "at a time",
            "trials",
            "s a trial",
            "ms a report",
            "driver CPU ms a trial",
            "driver CPU ms a report",
        ),
        [
            (
                row["at_once"],
                row["trials"],
                row["wall_per_trial"],
                1000 * row["wall_per_report"],
                1000 * row["driver_cpu_per_trial"],
                1000 * row["driver_cpu_per_report"],
            )
            for row in found
        ],
    )


def show_driver(sampler: str, found: list[dict[str, float]]) -> None:
    rows: list[tuple[object, ...]] = [
        (
            f"{row['trials']:,}",
            1000 * row["draw"],
            1000 * row["report"],
            row["table"],
            row["bytes"] / 1e6,
            row["ledger_bytes"] / 1e6,
        )
        for row in found
    ]
    sizes = [int(row["trials"]) for row in found]
    grow = [exponent(sizes, [row[part] for row in found]) for part in ("draw", "report", "table")]
    rows.append(("exponent", *grow, "", ""))
    table(
        f"The driver alone, sampler {sampler}; opening {sizes[-1]:,} trials again takes "
        f"{found[-1]['reopened']:.3g} s",
        ("trials", "ms to draw one", "ms for its reports", "s a table", "MB held", "MB ledger"),
        rows,
    )


def show_real(found: dict[str, Any]) -> None:
    rows: list[tuple[object, ...]] = [
        (
            f"trial {spent['trial']}",
            spent["starting"],
            spent["running"],
            spent["work"],
            f"{1 - spent['work'] / spent['running']:.1%}",
        )
        for spent in found["trials"]
    ]
    after = (found[f"to_first_{event}"] for event in ("start", "report", "merge"))
    first = ", ".join(
        f"{name} {s:.1f} s" for name, s in zip(("trial", "report", "merge"), after, strict=True)
    )
    table(
        f"python study/run.py {' '.join(found['options'])}: {found['seconds']:.1f} s; first {first}",
        ("seconds", "to its first report", "from there", "of which work", "not work"),
        rows,
    )
    output = ", ".join(f"{kind} {spent:.1f}" for kind, spent in found["cpu_seconds"].items())
    print(f"CPU seconds: {output}")


if __name__ == "__main__":
    main()
