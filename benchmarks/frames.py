"""Frames: the packed store against decoding JPEGs in a DataLoader on the same cores.

    python benchmarks/frames.py --quick              a look at drawn people, about half a minute
    python benchmarks/frames.py                      drawn people as 256×128 JPEGs
    python benchmarks/frames.py --data-root MARS     MARS's training tracklets (as many frames as --most)
    python benchmarks/frames.py --device cuda        ResNet-50 at 256×128

"training" draws a few frames of random tracklets, "features" reads long runs. Every loader ends with
a batch of uint8 frames on the device. The store has been built when the clock starts: what that
costs, once per machine, stands in the last table. Frames of both must be equal, bit for bit.
The DataLoader has as many worker processes as there are cores; with --clock cpu it works in this
process, and frames per CPU second are compared.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import exponent, in_turn, options, set_up, table, timed, write_json
from networks import FEATURE_BATCH, NetworkBench, config_of, drawn_people, network_options
from rivals_frames import DecodedFrames, DecodedTracklets, decode, paths_of
from torch import Tensor
from torch.utils.data import DataLoader

from dcreid.config import Config, DataConfig
from dcreid.data import load_dataset
from dcreid.data.loading import frame_runs, training_batches
from dcreid.data.sampling import batches_of, evenly_spaced
from dcreid.data.store import FrameStore, open_store
from dcreid.data.tracklets import JpegFrames, Split


def first_tracklets(split: Split, most_frames: int) -> Split:
    """The first tracklets of a split, as many as have `most_frames` frames together."""
    n = max(2, int(np.searchsorted(split.offsets, most_frames, side="right")) - 1)
    if n >= len(split):
        return split
    assert isinstance(split.frames, JpegFrames)
    offsets = split.offsets[: n + 1]
    frames = JpegFrames(split.frames.root, split.frames.paths[: int(offsets[-1])], offsets[:-1])
    identities = None if split.identities is None else split.identities[:n]
    return Split(split.name, frames, offsets, split.cameras[:n], identities, split.names[:n])


class Sink:
    """Takes batches as a network would: on a CPU every byte is read, on a GPU they have arrived."""

    def __init__(self) -> None:
        self.last = torch.empty(0, dtype=torch.uint8)

    def take(self, frames: Tensor) -> int:
        if frames.device.type == "cpu":
            if self.last.shape != frames.shape:
                self.last = torch.empty_like(frames, memory_format=torch.contiguous_format)
            self.last.copy_(frames)
        return frames.shape[:-3].numel()


class Loaders:
    """An epoch of training frames and a pass over all frames, from the store and from the files."""

    def __init__(self, split: Split, store: FrameStore, config: Config, args: argparse.Namespace):
        self.store, self.config, self.device, self.sink = store, config, torch.device(args.device), Sink()
        data, train = config.data, config.train
        size = data.height, data.width
        workers = 0 if args.clock == "cpu" else args.workers
        common: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
        common["pin_memory"] = args.device != "cpu"
        self.tracklets: DataLoader[Tensor] = DataLoader(
            DecodedTracklets(split, data.frames, *size), batch_size=train.batch_size, shuffle=True, **common
        )
        self.frames: DataLoader[Tensor] = DataLoader(
            DecodedFrames(split, *size), batch_size=min(FEATURE_BATCH, len(split.frames) // 4), **common
        )

    def training_from_store(self) -> int:
        data, rng = self.config.data, np.random.default_rng(0)
        batches = training_batches(
            self.store,
            batches_of(rng.permutation(len(self.store)), self.config.train.batch_size),
            frames=data.frames,
            sampling=data.frame_sampling,
            rng=rng,
            device=self.device,
        )
        return sum(self.sink.take(frames) for frames, _ in batches)

    def training_from_files(self) -> int:
        return sum(self.sink.take(frames.to(self.device, non_blocking=True)) for frames in self.tracklets)

    def features_from_store(self) -> int:
        rows, _ = evenly_spaced(self.store, 0)
        runs = frame_runs(self.store, rows, FEATURE_BATCH, self.device)
        return sum(self.sink.take(frames) for frames in runs)

    def features_from_files(self) -> int:
        return sum(self.sink.take(frames.to(self.device, non_blocking=True)) for frames in self.frames)


def check_equal(split: Split, store: FrameStore, config: Config) -> None:
    paths, size = paths_of(split), (config.data.height, config.data.width)
    for row in np.linspace(0, len(paths) - 1, 20).astype(int):
        assert torch.equal(decode(paths[row], *size), store.frames[row]), f"{paths[row]}: frames differ"


def against_rival(loaders: Loaders, args: argparse.Namespace) -> list[dict[str, Any]]:
    runs = {
        "training": (loaders.training_from_store, loaders.training_from_files),
        "features": (loaders.features_from_store, loaders.features_from_files),
    }
    found = []
    for kind, (ours, files) in runs.items():
        count = ours()
        seconds = in_turn({"store": ours, "DataLoader": files}, args.repeats, args.device)
        found.append({"kind": kind, "frames": count, "seconds": seconds})
    return found


def together(bench: NetworkBench, loaders: Loaders, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Loader alone, network alone, and both, for an epoch of training and a pass for features."""
    runs = {
        "training": (loaders.training_from_store, bench.epoch_without_loader, bench.epoch),
        "features": (loaders.features_from_store, bench.features_without_loader, bench.features),
    }
    found = []
    for kind, (loader, network, both) in runs.items():
        seconds = in_turn({"loader": loader, "network": network, "both": both}, args.repeats, args.device)
        found.append({"kind": kind, "frames": loader(), "seconds": seconds})
    return found


def sweep(split: Split, sizes: list[int], config: Config, args: argparse.Namespace) -> list[dict[str, float]]:
    """Seconds against the number of frames: building the store, opening it, reading all of it."""
    found = []
    for most in sizes:
        part = first_tracklets(split, most)
        with tempfile.TemporaryDirectory() as folder:

            def opened(part: Split = part, cache: Path = Path(folder)) -> FrameStore:
                return open_store(part, config.data.height, config.data.width, cache)

            def run(part: Split = part, opened: Callable[[], FrameStore] = opened) -> int:
                return Loaders(part, opened(), config, args).features_from_store()

            build, _ = timed(opened, 1)
            opening, store = timed(opened, args.repeats)
            loaders = Loaders(part, store, config, args)
            reading, count = timed(loaders.features_from_store, args.repeats, args.device)
            drawing, _ = timed(loaders.training_from_store, args.repeats, args.device)
            size = store.frames.nbytes / 1e9
            del loaders, store
            cold = math.nan if args.clock == "cpu" or not _forget(Path(folder)) else timed(run, 1)[0]
        row = {"frames": count, "tracklets": len(part), "gigabytes": size, "build": build, "open": opening}
        found.append(row | {"run": reading, "epoch": drawing, "run from disk": cold})
    return found


def _forget(cache: Path) -> bool:
    """Drops the store from the machine's page cache; returns whether that can be done here."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in cache.rglob("frames.bin"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def main() -> None:
    parser = options(__doc__)
    network_options(parser)
    parser.add_argument("--data-root", type=Path, metavar="MARS", help="MARS (default: drawn people)")
    parser.add_argument("--most", type=int, default=4000, help="frames used (default: 4,000)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="the DataLoader's processes (default: the cores)"
    )
    args = parser.parse_args()
    set_up(args)
    if args.quick:
        args.most = min(args.most, 600)
    config = config_of(args)
    with tempfile.TemporaryDirectory() as folder:
        split = _split(args, Path(folder) / "people")
        store = open_store(split, config.data.height, config.data.width, Path(folder) / "cache")
        check_equal(split, store, config)
        loaders = Loaders(split, store, config, args)
        results: dict[str, Any] = {"loaders": against_rival(loaders, args)}
        show_rival(results["loaders"], split, config, args)
        results["together"] = together(NetworkBench(config, store, args.device), loaders, args)
        show_together(results["together"], config)
        sizes = [args.most // 8, args.most // 4, args.most // 2, args.most]
        results["sweep"] = sweep(split, sizes, config, args)
        show_sweep(results["sweep"])
    write_json(args.json, "frames", results, args)


def _split(args: argparse.Namespace, folder: Path) -> Split:
    if args.data_root is not None:
        return first_tracklets(load_dataset(DataConfig(dataset="mars"), args.data_root).train, args.most)
    per_tracklet = 16
    return drawn_people(folder, max(8, args.most // per_tracklet), per_tracklet, 256, 128)


def show_rival(found: list[dict[str, Any]], split: Split, config: Config, args: argparse.Namespace) -> None:
    rows: list[tuple[object, ...]] = []
    for row in found:
        store, files = row["seconds"]["store"], row["seconds"]["DataLoader"]
        rows.append((row["kind"], row["frames"], row["frames"] / store, row["frames"] / files, files / store))
    workers = "in this process" if args.clock == "cpu" else f"with {args.workers} workers"
    table(
        f"{len(split):,} tracklets, {len(split.frames):,} JPEGs to {config.data.height}×{config.data.width}, "
        f"batches of {config.train.batch_size} × {config.data.frames}; DataLoader {workers}",
        ("frames for", "frames", "store, frames/s", "DataLoader, frames/s", "store faster, ×"),
        rows,
    )


def show_together(found: list[dict[str, Any]], config: Config) -> None:
    rows: list[tuple[object, ...]] = []
    for row in found:
        frames, seconds = row["frames"], row["seconds"]
        rates = [frames / seconds[part] for part in ("loader", "network", "both")]
        rows.append((row["kind"], *rates, f"{rates[2] / rates[1]:.0%}"))
    table(
        f"Frames per second with {config.model.backbone} at {config.data.height}×{config.data.width}",
        ("", "loader only", "network only", "together", "of network only"),
        rows,
    )


def show_sweep(found: list[dict[str, float]]) -> None:
    parts = ("build", "open", "run", "run from disk", "epoch")
    rows: list[tuple[object, ...]] = [
        (f"{row['frames']:,}", row["gigabytes"], *(row[part] for part in parts)) for row in found
    ]
    sizes = [int(row["frames"]) for row in found]
    rows.append(("exponent", "-", *(exponent(sizes, [row[part] for row in found]) for part in parts)))
    table(
        "Seconds against the number of frames: the store built, opened, read in a run, the same when the\n"
        "machine has forgotten it, read for an epoch of training",
        ("frames", "GB", *parts),
        rows,
    )


if __name__ == "__main__":
    main()
