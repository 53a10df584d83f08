"""What each choice of a plan is worth on development halves, over seeds and people.

    python benchmarks/halves.py --quick                   drawn people, a few short runs
    python benchmarks/halves.py --dataset mars --data-root MARS --weights FILE --backbone mobilenet_v2 \\
        --height 64 --width 32 --frames 2 --batch-size 32 --lr 0.02 --first-epochs 3 --lr-decay-epoch 2 \\
        --later-epochs 1 --merge-rate 0.1 --seeds 2 --processes 2 --runs runs.jsonl
    … --device cuda --processes 20                        on one GPU (faster yet with CUDA's MPS)

Every configuration of the plan (`search_spaces/paper.py`) is run on both halves of the training identities
and on every seed (`dcreid/data/halves.py`); no test split is looked at. The base is the preset with the
options of the method that are given, those of study/run.py; --plan fig3 is the base alone. A choice's worth
is the mean difference from the base, run by run: same half, same seed; mAP at the last step in percent, and
of features normalised per camera. With three differences or more their 95 % interval stands beside it
(Student's t, as if runs were independent), else each. What --runs holds of the same configuration and data
is not run again; another version of the code needs another file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
from pathlib import Path
from typing import Any

import torch
from measure import options, set_up, table, write_json

from dcreid.algorithm import Algorithm
from dcreid.config import Config, fields
from dcreid.data import load_dataset
from dcreid.data.halves import HALVES
from dcreid.presets import PRESETS, laid_over, settings_of
from search_spaces.paper import PLANS, plan
from study.command.method_options import add_method_options
from study.record.intervals import estimate

METRICS = {"mAP": "mAP", "cam-norm mAP": "mAP_camera_normalised"}
_QUICK = {
    **{"data.synthetic.train_identities": 12, "data.synthetic.tracklets": 4, "data.synthetic.frames": 4},
    **{"merge.merge_rate": 0.3, "merge.max_steps": 2, "train.first_epochs": 1, "train.later_epochs": 1},
}


def run(job: tuple[dict[str, Any], Path | None, str, int]) -> dict[str, Any]:
    """One run to its end: the digest of its configuration, and its values at the last step."""
    values, root, device, threads = job
    torch.set_num_threads(threads)
    config = Config.from_dict(values)
    row: dict[str, Any] = {"digest": config.digest(), "config": config.difference()}
    try:
        for step in Algorithm(config, load_dataset(config.data, root), device=device):
            row |= {name: getattr(step, field) for name, field in METRICS.items()}
    except ArithmeticError as error:
        return row | dict.fromkeys(METRICS, 0.0) | {"diverged": str(error)}
    return row


def on_halves(config: Config, seeds: int) -> list[Config]:
    """The configuration on every seed and both halves."""
    each = itertools.product(range(seeds), HALVES)
    return [config.replace(**{"seed": seed, "data.split": half}) for seed, half in each]


def finished(configs: list[Config], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What every run found, by the digest of its configuration; those that --runs holds are not run again."""
    data = [load_dataset(config.data, args.data_root).fingerprint() for config in on_halves(configs[0], 1)]
    there = args.runs is not None and args.runs.exists()
    lines = args.runs.read_text().splitlines() if there else []
    rows = {row["digest"]: row for row in map(json.loads, lines) if row["data"] == data}
    left = [config for config in configs if config.digest() not in rows]
    given = [(config.to_dict(), args.data_root, args.device, args.threads or 1) for config in left]
    with multiprocessing.get_context("spawn").Pool(args.processes, maxtasksperchild=8) as pool:
        for done, row in enumerate(pool.imap_unordered(run, given), start=1):
            rows[row["digest"]] = row
            if args.runs is not None:
                with args.runs.open("a") as file:
                    file.write(json.dumps({"data": data, **row}) + "\n")
            print(f"{done}/{len(left)} runs", end="\r", flush=True)
    return rows


def percents(rows: dict[str, dict[str, Any]], config: Config, seeds: int, metric: str) -> list[float]:
    """A metric in percent on every seed and both halves."""
    return [100 * rows[one.digest()][metric] for one in on_halves(config, seeds)]


def differences(found: list[float], base: list[float]) -> list[float]:
    """Run by run: same seed, same half."""
    return [value - held for value, held in zip(found, base, strict=True)]


def worth(found: list[float]) -> str:
    """`+1.2 ± 0.4`, or of fewer than three each."""
    return estimate(found).text(signed=True)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--plan", choices=PLANS, default="practice", metavar="NAME", help="[practice]")
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="what is varied [paper]")
    parser.add_argument("--seeds", type=int, default=2, help="runs on each half [2]")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time [1]")
    parser.add_argument("--runs", type=Path, metavar="FILE", help="keeps finished runs, and takes them over")
    add_method_options(parser)
    args = parser.parse_args()
    for name, option in {"seed": "--seed", "data.split": "--split"}.items():
        if getattr(args, name) is not None:
            parser.error(
                f"{option} has no effect: all run on both halves, with seeds 0, 1, … (--seeds); leave it out"
            )
    args.data_root = None if args.data_root is None else Path(args.data_root)
    set_up(args)
    base = base_of(args)
    items = plan(args.plan, base)[: 3 if args.quick else None]
    rows = finished([one for item in items for one in on_halves(item.config, args.seeds)], args)
    held = {metric: percents(rows, items[0].config, args.seeds, metric) for metric in METRICS}
    results = {
        item.label: {
            metric: differences(percents(rows, item.config, args.seeds, metric), held[metric])
            for metric in METRICS
        }
        for item in items[1:]
    }
    order = sorted(results, key=lambda label: -sum(results[label]["mAP"]))
    table(
        f"{args.plan} on {base.data.dataset}, {args.seeds} seed(s); the base, both halves seed by seed: "
        + "; ".join(f"{metric} {', '.join(f'{v:.1f}' for v in values)}" for metric, values in held.items()),
        ("choice", *METRICS),
        [(label, *(worth(results[label][metric]) for metric in METRICS)) for label in order],
    )
    write_json(args.json, "halves", {"worth": results}, args)


def base_of(args: argparse.Namespace) -> Config:
    given = {name: value for name, value in vars(args).items() if name in fields() and value is not None}
    settings = settings_of(given.pop("data.dataset", "synthetic"))
    quick = _QUICK if args.quick else {}
    return laid_over(settings, args.preset, quick | given | {"evaluate.camera_normalise": True})


if __name__ == "__main__":
    main()
