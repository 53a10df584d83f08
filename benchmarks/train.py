"""Training and features: frames per second, as a share of what the device can do, against a plain loop.

    python benchmarks/train.py --quick --threads 1       a small network on one core, about a minute
    python benchmarks/train.py                           the embedded data's network on a CPU
    python benchmarks/train.py --device cuda             ResNet-50 at 256×128
    python benchmarks/train.py --device cuda --mars-size --minutes 20   and Algorithm 1 itself
    python benchmarks/train.py --memory                  what a batch takes, no more: half a minute

Rows are precisions (fp32, tf32, bf16), compiled or not, of the library's own training stage and
feature pass, loader included, on noise in memory. The rival is a loop as public code of this family
has it: JPEGs through PIL in a DataLoader, the plain optimiser, the loss read in every iteration, the
memory moved one sample at a time, features one tracklet at a time. Shares are of the matrix
rate and the memory bandwidth measured in the same run: counted are the multiplications of
convolutions and products (training: three times forward), and every layer's input read and output
written once.

--mars-size draws a data set of MARS's size (8,298 tracklets, MARS's counts; fewer frames each) and
runs Algorithm 1 on it until --minutes are over. The projection says what a paper trial and a study
of 50 take at the rates measured, see `extrapolation.py`.

--memory counts the bytes of a training pass over the paper's batch, without and with checkpointed
activations, on any machine: tensors are made without their contents. What CUDA and cuDNN take for
themselves comes on top. The time that checkpointing costs is measured at the device's size.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from extrapolation import TEST_TRACKLETS, TRACKLETS, Rates, study_seconds, trial_seconds
from full_size import run_full_size, show_full_size
from measure import in_turn, options, peak_bytes, set_up, table, timed, write_json
from merge import make_features, step
from networks import NetworkBench, config_of, drawn_people, network_options, random_store
from rivals_frames import TransformedTracklets, tracklet_features, train_epoch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from dcreid.clustering.distances import cross_distances, pairwise_distances
from dcreid.config import Config
from dcreid.evaluation.retrieval import evaluate
from dcreid.network.backbone import Backbone, build_backbone
from dcreid.precision import autocast

QUERIES = 1_980  # of MARS
_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2}


def matrix_rate(precision: str, device: str, size: int, repeats: int) -> float:
    """Operations per second of a square matrix product."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    seconds = in_turn({"product": lambda: a @ b}, repeats, device)["product"]
    return 2.0 * size**3 / seconds


def bandwidth(device: str, size: int, repeats: int) -> float:
    """Bytes per second, read and written, of a copy."""
    source = torch.ones(size, device=device)
    target = torch.empty_like(source)
    seconds = in_turn({"copy": lambda: target.copy_(source)}, repeats, device)["copy"]
    return 2.0 * source.nbytes / seconds


def work_per_frame(backbone: Backbone, height: int, width: int, device: str) -> tuple[float, float]:
    """Operations of a forward pass, and the numbers that its layers read and write."""
    moved = 0

    def count(layer: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        nonlocal moved
        moved += sum(x.numel() for x in (*given, result) if isinstance(x, Tensor))

    hooks = [m.register_forward_hook(count) for m in backbone.modules() if not list(m.children())]
    backbone.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 3, height, width, device=device))
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), float(moved)


def rates_of(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Frames per second of the library's training and features in one precision, compiled or not."""
    data, precision = config.data, config.train.precision
    store = random_store(args.tracklets, 2 * data.frames, data.height, data.width)
    bench = NetworkBench(config, store, args.device, classes=TRACKLETS)
    seconds = in_turn({"train": bench.epoch, "features": bench.features}, args.repeats, args.device)
    flops, moved = work_per_frame(bench.network.backbone, data.height, data.width, args.device)
    return {
        "precision": precision,
        "compiled": config.train.compile,
        "train": args.tracklets * data.frames / seconds["train"],
        "features": len(store.frames) / seconds["features"],
        "flops_per_frame": flops,
        "bytes_per_frame": moved * _BYTES[precision],
        "peak_bytes": peak_bytes(bench.epoch, args.device) if args.device != "cpu" else None,
    }


def rival_rates(config: Config, args: argparse.Namespace) -> dict[str, float]:
    """The same of a plain loop over JPEGs, in PyTorch's default precision."""
    data, train, device = config.data, config.train, torch.device(args.device)
    n = min(args.tracklets, 4 * train.batch_size)
    workers = 0 if args.clock == "cpu" else args.workers
    common: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    with tempfile.TemporaryDirectory() as folder:
        split = drawn_people(Path(folder), n, 2 * data.frames, 256, 128)
        size = data.frames, data.height, data.width
        drawn: DataLoader[Any] = DataLoader(
            TransformedTracklets(split, *size, train=True),
            batch_size=train.batch_size,
            shuffle=True,
            **common,
        )
        whole: DataLoader[Any] = DataLoader(TransformedTracklets(split, *size, train=False), **common)
        backbone = NetworkBench(
            config.replace(**{"train.channels_last": False, "train.precision": "fp32"}),
            random_store(2, 1, data.height, data.width),
            args.device,
        ).network.backbone
        torch.backends.cudnn.allow_tf32 = True  # so is PyTorch's default
        optimiser = torch.optim.SGD(
            backbone.parameters(), train.lr, train.momentum, weight_decay=train.weight_decay, nesterov=True
        )
        rows = nn.functional.normalize(torch.randn(TRACKLETS, backbone.dim), dim=1).to(device)
        seconds = in_turn(
            {
                "train": lambda: train_epoch(backbone, optimiser, drawn, rows, device, train.temperature),
                "features": lambda: tracklet_features(backbone, whole, device),
            },
            args.repeats,
            args.device,
        )
    frames = len(split.frames)
    return {"train": n * data.frames / seconds["train"], "features": frames / seconds["features"]}


def merge_and_evaluate(dim: int, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds of a merge and of an evaluation at MARS's size (--quick: a twentieth of it), features given."""
    n, t, q = (TRACKLETS, TEST_TRACKLETS, QUERIES) if not args.quick else (415, 609, 99)
    features, tested = make_features(n, dim, args.device), make_features(t, dim, args.device, seed=1)
    labels = torch.arange(n, device=args.device)
    rng = np.random.default_rng(0)
    ids, cameras = rng.integers(-1, 636, t), rng.integers(1, 7, t)

    def retrieval() -> None:
        distances = cross_distances(tested[:q], tested)
        evaluate(distances, ids[:q], ids, cameras[:q], cameras)

    merging, _ = timed(lambda: step(pairwise_distances(features), labels, n // 20), args.repeats, args.device)
    evaluating, _ = timed(retrieval, args.repeats, args.device)
    return merging, evaluating


class _Alive(TorchDispatchMode):
    """Bytes of the tensors that were made inside and are alive, and the most that ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self._seen:
                self._note(tensor.untyped_storage())
        self.most = max(self.most, self.now)
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()

        def gone(_: object) -> None:
            self.now -= size
            del self._seen[place]

        self._seen[place] = weakref.ref(storage, gone)
        self.now += size


def memory_of(config: Config, checkpointed: bool) -> dict[str, float]:
    """Bytes per frame kept for the backward pass and at its worst, and of all that training holds then."""
    data, frames = config.data, config.train.batch_size * config.data.frames
    backbone = build_backbone(config.model.backbone, "none", height=data.height, width=data.width)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if checkpointed:
        backbone.checkpoint_activations()
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(frames, 3, data.height, data.width).to(memory_format=torch.channels_last)
        with _Alive() as alive:
            with autocast(torch.device("cpu"), config.train.precision):
                features = backbone(x)
            kept = alive.now
            features.float().sum().backward()
    weights = sum(weight.nbytes for weight in backbone.parameters())  # and momentum; `most` has gradients
    return {"kept": kept / frames, "most": alive.most / frames, "all": alive.most + x.nbytes + 2 * weights}


def memory_and_slowdown(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Memory at the paper's size, seconds of an epoch of two batches at the device's; or at sizes given."""
    paper = config_of(argparse.Namespace(**vars(args) | {"device": "cuda"}))
    memory = {
        precision + ", checkpointed" * checkpointed: memory_of(
            paper.replace(**{"train.precision": precision}), checkpointed
        )
        for precision in args.precision or ("fp32", "bf16")
        for checkpointed in (False, True)
    }
    data, b = config.data, config.train.batch_size
    store = random_store(2 * b, data.frames, data.height, data.width)
    benches = {name: NetworkBench(config, store, args.device) for name in ("plain", "checkpointed")}
    benches["checkpointed"].network.backbone.checkpoint_activations()
    seconds = in_turn({name: each.epoch for name, each in benches.items()}, args.repeats, args.device)
    table(
        f"memory: {_size(paper)}",
        ("", "kept, MB/frame", "at its worst, MB/frame", "all of training, GB"),
        [(name, row["kept"] / 1e6, row["most"] / 1e6, row["all"] / 1e9) for name, row in memory.items()],
    )
    table(
        f"time: {_size(config)}, two batches",
        ("", "seconds", "× plain"),
        [(name, spent, spent / seconds["plain"]) for name, spent in seconds.items()],
    )
    return {"memory": memory, "seconds": seconds}


def _size(config: Config) -> str:
    data = config.data
    batches = f"batches of {config.train.batch_size} × {data.frames}"
    return f"{config.model.backbone} at {data.height}×{data.width}, {batches}"


def projected(rates: Rates) -> dict[str, float]:
    """Hours of device time."""
    hours = {
        "one trial, the paper's settings": trial_seconds(rates),
        "50 trials": study_seconds(rates, pruning=False),
        "50 trials, λ1 and λ2 searched, stages shared": study_seconds(rates, pruning=False, sharing=2),
        "50 trials, pruned by ASHA": study_seconds(rates, pruning=True),
        "50 trials, pruned and shared": study_seconds(rates, pruning=True, sharing=2),
    }
    return {name: seconds / 3600 for name, seconds in hours.items()}


def main() -> None:
    parser = options(__doc__)
    network_options(parser)
    parser.add_argument("--tracklets", type=int, help="tracklets of an epoch (default: eight batches)")
    parser.add_argument(
        "--precision", action="append", choices=tuple(_BYTES), help="only this one; repeatable"
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled rows")
    parser.add_argument("--memory", action="store_true", help="memory with and without checkpointing only")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the rival (default: cores)")
    parser.add_argument("--mars-size", action="store_true", help="run Algorithm 1 at MARS's size as well")
    parser.add_argument("--minutes", type=float, default=10.0, help="of --mars-size (default: 10)")
    parser.add_argument("--mars-frames", type=int, default=8, help="frames a tracklet has there (default: 8)")
    parser.add_argument("--first-epochs", type=int, help="of the first stage there (default: the paper's 30)")
    args = parser.parse_args()
    set_up(args)
    config = config_of(args)
    if args.memory:
        return write_json(args.json, "train", memory_and_slowdown(config, args), args)
    args.tracklets = args.tracklets or (2 if args.quick else 8) * config.train.batch_size
    cuda = args.device != "cpu"
    size = 8192 if cuda else 1024 if args.quick else 2048
    precisions = args.precision or (["fp32", "tf32", "bf16"] if cuda else ["fp32", "bf16"])
    machine = {name: matrix_rate(name, args.device, size, args.repeats) for name in precisions}
    moving = bandwidth(args.device, (1 << 28) if cuda else (1 << 25), args.repeats)
    rows = []
    for precision in precisions:
        for compiled in (False,) if args.no_compile or args.quick else (False, True):
            changes = {"train.precision": precision, "train.compile": compiled}
            rows.append(rates_of(config.replace(**changes), args))
    rival = rival_rates(config, args)
    results = {"matrix_rate": machine, "bandwidth": moving, "rows": rows, "rival": rival}
    show_rates(results, config)
    best = min(rows, key=lambda row: trial_seconds(Rates(row["train"], row["features"], 0.0, 0.0)))
    bench = NetworkBench(config, random_store(2, 1, config.data.height, config.data.width), args.device)
    dim = bench.network.backbone.dim
    results["projection"] = project_and_show(best, *merge_and_evaluate(dim, args), args)
    if args.mars_size:
        results["mars_size"] = run_full_size(config, args)
        show_full_size(results["mars_size"], config)
    write_json(args.json, "train", results, args)


def project_and_show(
    row: dict[str, Any], merge: float, evaluation: float, args: argparse.Namespace
) -> dict[str, Any]:
    rates = Rates(row["train"], row["features"], merge, evaluation)
    hours = projected(rates)
    note = "merge and evaluation of a twentieth of it" if args.quick else "merge and evaluation measured"
    table(
        f"At MARS's size with {row['precision']}{', compiled' if row['compiled'] else ''}: {note}, "
        f"{merge:.2g} s and {evaluation:.2g} s a step",
        ("device time", "hours"),
        list(hours.items()),
    )
    return {"rates": vars(rates), "hours": hours}


def show_rates(results: dict[str, Any], config: Config) -> None:
    rival, data = results["rival"], config.data
    output = ", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in results["matrix_rate"].items())
    print(f"\nmatrix rate {output}; bandwidth {results['bandwidth'] / 1e9:.3g} GB/s")
    for kind, passes in (("train", 3), ("features", 1)):
        rows: list[tuple[object, ...]] = []
        for row in results["rows"]:
            rate, frames = results["matrix_rate"][row["precision"]], row[kind]
            matrix = passes * frames * row["flops_per_frame"] / rate
            moved = passes * frames * row["bytes_per_frame"] / results["bandwidth"]
            name = f"{row['precision']}{', compiled' if row['compiled'] else ''}"
            rows.append((name, frames, f"{matrix:.0%}", f"{moved:.0%}", frames / rival[kind]))
        rows.append(("plain loop", rival[kind], "", "", 1.0))
        batches = f", batches of {config.train.batch_size} × {data.frames}" if kind == "train" else ""
        table(
            f"{kind}: {config.model.backbone} at {data.height}×{data.width}{batches}",
            ("precision", "frames/s", "of the matrix rate", "of the bandwidth", "× plain loop"),
            rows,
        )


if __name__ == "__main__":
    main()
