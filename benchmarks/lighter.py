"""What `eval_every` and `eval_frames` save, and what they do to the result.

    python benchmarks/lighter.py --quick                  drawn people, one short run each
    python benchmarks/lighter.py --seeds 3                the embedded data
    python benchmarks/lighter.py --data-root MARS --weights FILE --backbone mobilenet_v2 \\
        --set train.first_epochs=2 --set train.later_epochs=1 --set merge.merge_rate=0.2

A run of Algorithm 1 for every setting and seed. `eval_every` leaves the run as it is (this is checked:
the last mAP must be the same, bit for bit on a CPU). `eval_frames` decides on which frames tracklets
are compared before a merge, so classes and training differ. The last mAP is always that of all frames.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import tempfile
from pathlib import Path
from typing import Any

from measure import options, set_up, table, write_json

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.presets import settings_of

PARTS = ("train", "features", "merge", "evaluate")
SETTINGS = ((1, 0), (5, 0), (1, 1), (1, 2), (1, 4), (5, 2))  # eval_every, eval_frames


def run(config: Config, root: Path | None, cache: Path, device: str) -> dict[str, Any]:
    """Seconds by part, over all merge steps, and what came out."""
    algorithm = Algorithm(config, load_dataset(config.data, root), device=device, cache=cache)
    steps = list(algorithm)
    last = steps[-1]
    seconds = {part: sum(getattr(step, f"seconds_{part}") for step in steps) for part in PARTS}
    return {"seconds": seconds, "mAP": last.mAP, "rank1": last.rank1, "ari": last.ari, "steps": len(steps)}


def measured(
    settings: list[tuple[int, int]], config: Config, args: argparse.Namespace
) -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for every, frames in settings:
            changes = {"evaluate.eval_every": every, "data.eval_frames": frames}
            runs = [
                run(config.replace(**changes, seed=seed), args.data_root, Path(folder), args.device)
                for seed in range(args.seeds)
            ]
            found.append({"eval_every": every, "eval_frames": frames, "runs": runs})
    if args.device == "cpu":
        check_same_result(found)
    return found


def check_same_result(found: list[dict[str, Any]]) -> None:
    results = {}
    for row in found:
        got = [(run["mAP"], run["ari"]) for run in row["runs"]]
        assert results.setdefault(row["eval_frames"], got) == got, "eval_every has changed the result"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data-root", type=Path, metavar="MARS", help="MARS (default: the embedded data)")
    parser.add_argument("--backbone", help="torchvision network (default: that of the data set's settings)")
    parser.add_argument("--weights", help="imagenet, none or a state dict (default: the settings')")
    parser.add_argument("--seeds", type=int, default=1, help="runs of every setting (default: 1)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the Config; repeatable"
    )
    args = parser.parse_args()
    set_up(args)
    config = config_of(args)
    settings = SETTINGS[:4:3] if args.quick else SETTINGS
    results = {"settings": measured(list(settings), config, args)}
    show(results["settings"], config)
    write_json(args.json, "lighter", results, args)


def config_of(args: argparse.Namespace) -> Config:
    small = settings_of("synthetic")
    if args.data_root is not None:  # MARS in frames that two cores can train
        small = small.replace(**{"data.dataset": "mars", "merge.merge_rate": 0.05, "train.batch_size": 32})
    given = {"model.backbone": args.backbone, "model.weights": args.weights}
    changes = {name: value for name, value in given.items() if value is not None}
    if args.quick:
        changes |= {"train.first_epochs": 1, "train.later_epochs": 1, "merge.merge_rate": 0.3}
        changes |= {"data.synthetic.train_identities": 6, "data.synthetic.test_identities": 4}
    for text in args.set:
        name, _, value = text.partition("=")
        changes[name] = _value(value)
    return small.replace(**changes)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a word
        return text


def show(found: list[dict[str, Any]], config: Config) -> None:
    def mean(row: dict[str, Any], *names: str) -> float:
        values = [run["seconds"][names[1]] if len(names) > 1 else run[names[0]] for run in row["runs"]]
        return statistics.mean(values)

    whole = sum(mean(found[0], "seconds", part) for part in PARTS)
    rows: list[tuple[object, ...]] = []
    for row in found:
        spent = [mean(row, "seconds", part) for part in PARTS]
        apart = max(run["mAP"] for run in row["runs"]) - min(run["mAP"] for run in row["runs"])
        quality = (f"{100 * mean(row, 'mAP'):.1f}", f"{100 * apart:.1f}", f"{mean(row, 'ari'):.3f}")
        name = f"{row['eval_every']}, {row['eval_frames'] or 'all'}"
        rows.append((name, *spent, sum(spent) / whole, *quality))
    table(
        f"{config.model.backbone} on {config.data.dataset}, {found[0]['runs'][0]['steps']} merge steps, "
        f"{len(found[0]['runs'])} seed(s): seconds, and mAP (%) and ARI after the last merge",
        ("eval_every, eval_frames", *PARTS, "of the first", "mAP", "seeds apart", "ARI"),
        rows,
    )


if __name__ == "__main__":
    main()
