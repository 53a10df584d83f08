"""What each choice of a plan is worth on development halves, over seeds and people.

    python benchmarks/halves.py --quick                   drawn people, a few short runs
    python benchmarks/halves.py --data-root MARS --weights FILE --backbone mobilenet_v2 \\
        --height 64 --width 32 --frames 2 --batch-size 32 --lr 0.02 --first-epochs 3 --lr-decay-epoch 2 \\
        --later-epochs 1 --merge-rate 0.1 --seeds 2 --processes 2 --runs runs.jsonl
    … --device cuda --processes 20                        on one GPU (faster yet with CUDA's MPS)

Every configuration of the plan (`search_spaces/paper.py`) is run on both halves of the training identities
and on every seed (`dcreid/data/halves.py`); no test split is looked at. A choice's worth is the mean
difference from the plan's first configuration, the base, run by run: same half, same seed; mAP at the last
step in percent, and of features normalised per camera. With three differences or more their 95 % interval
stands beside it (Student's t, as if runs were independent), else each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from measure import options, set_up, table, write_json
from scipy import stats

from dcreid.algorithm import Algorithm
from dcreid.config import Config, fields
from dcreid.data import load_dataset
from dcreid.data.halves import HALVES
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import PLANS, plan

METRICS = {"mAP": "mAP", "cam-norm mAP": "mAP_camera_normalised"}
_QUICK = {
    **{"data.synthetic.train_identities": 12, "data.synthetic.tracklets": 4, "data.synthetic.frames": 4},
    **{"merge.merge_rate": 0.3, "merge.max_steps": 2, "train.first_epochs": 1, "train.later_epochs": 1},
}


def run(job: tuple[dict[str, Any], Path | None, str, int]) -> dict[str, Any]:
    """One run to its end: its values at the last step, or why there are none."""
    values, root, device, threads = job
    torch.set_num_threads(threads)
    config = Config.from_dict(values)
    row: dict[str, Any] = {"config": config.difference()}
    try:
        for step in Algorithm(config, load_dataset(config.data, root), device=device):
            row |= {name: getattr(step, field) for name, field in METRICS.items()}
    except ArithmeticError as error:
        return row | dict.fromkeys(METRICS, 0.0) | {"diverged": str(error)}
    return row


def finished(jobs: list[Config], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of all jobs, those that --runs holds first."""
    there = args.runs is not None and args.runs.exists()
    known = [json.loads(line) for line in args.runs.read_text().splitlines()] if there else []
    wanted = [config.difference() for config in jobs]
    yield from (row for row in known if row["config"] in wanted)
    have = [row["config"] for row in known]
    left = [config for config in jobs if config.difference() not in have]
    threads = args.threads or 1
    with multiprocessing.get_context("spawn").Pool(args.processes, maxtasksperchild=8) as pool:
        given = [(config.to_dict(), args.data_root, args.device, threads) for config in left]
        for done, row in enumerate(pool.imap_unordered(run, given), start=1):
            if args.runs is not None:
                with args.runs.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"{done}/{len(left)} runs", end="\r", flush=True)
            yield row


def differences(
    rows: list[dict[str, Any]], config: Config, base: Config, args: argparse.Namespace, metric: str
) -> list[float]:
    """Of every half and seed, in points of percent."""
    found = []
    for run_of in ({"data.split": half, "seed": seed} for half in HALVES for seed in range(args.seeds)):
        one, other = (made.replace(**run_of).difference() for made in (config, base))
        value, held = (next(row[metric] for row in rows if row["config"] == key) for key in (one, other))
        found.append(100 * (value - held))
    return found


def worth(found: list[float]) -> str:
    """`+1.2 ± 0.4`, or of fewer than three each."""
    if len(found) < 3:
        return " ".join(f"{value:+.1f}" for value in found)
    mean, error = sum(found) / len(found), stats.sem(found)
    return f"{mean:+.1f} ± {stats.t.ppf(0.975, len(found) - 1) * error:.1f}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data-root", type=Path, metavar="MARS", help="MARS (default: the embedded data)")
    parser.add_argument("--plan", choices=PLANS, default="practice", metavar="NAME", help="[practice]")
    parser.add_argument("--preset", default="paper", help="what is varied [paper]")
    for name in ("backbone", "weights"):
        parser.add_argument(f"--{name}", help="as for study/run.py")
    for name in ("height", "width", "frames", "batch-size", "first-epochs", "lr-decay-epoch", "later-epochs"):
        parser.add_argument(f"--{name}", type=int, help="as for study/run.py")
    for name in ("lr", "merge-rate"):
        parser.add_argument(f"--{name}", type=float, help="as for study/run.py")
    parser.add_argument("--seeds", type=int, default=2, help="runs on each half [2]")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time [1]")
    parser.add_argument(
        "--runs", type=Path, default=Path("halves.jsonl"), help="where finished runs are kept"
    )
    args = parser.parse_args()
    set_up(args)
    base = base_of(args)
    items = plan(args.plan, base)[: 3 if args.quick else None]
    seeds = range(args.seeds)
    jobs = [
        item.config.replace(**{"data.split": half, "seed": seed})
        for seed in seeds
        for item in items
        for half in HALVES
    ]
    rows = list(finished(jobs, args))
    results = {
        item.label: {metric: differences(rows, item.config, base, args, metric) for metric in METRICS}
        for item in items[1:]
    }
    order = sorted(results, key=lambda label: -sum(results[label]["mAP"]))
    held = [100 * row["mAP"] for row in rows if _is(row, base, seeds)]
    table(
        f"{args.plan} on {base.data.dataset}, {args.seeds} seed(s) on each half; the base: mAP "
        + ", ".join(f"{value:.1f}" for value in held),
        ("choice", *METRICS),
        [(label, *(worth(results[label][metric]) for metric in METRICS)) for label in order],
    )
    write_json(args.json, "halves", {"worth": results}, args)


def _is(row: dict[str, Any], base: Config, seeds: range) -> bool:
    return any(
        row["config"] == base.replace(**{"data.split": half, "seed": seed}).difference()
        for half in HALVES
        for seed in seeds
    )


def base_of(args: argparse.Namespace) -> Config:
    settings = settings_of("synthetic" if args.data_root is None else "mars")
    leaves = {field.rsplit(".", 1)[-1]: field for field in fields() if "synthetic" not in field}
    given = {leaves[n]: value for n, value in vars(args).items() if n in leaves and value is not None}
    quick = _QUICK if args.quick else {}
    return laid_over(settings, args.preset, quick | given | {"evaluate.camera_normalise": True})


if __name__ == "__main__":
    main()
