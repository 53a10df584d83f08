"""Algorithm 1 on drawn people in MARS's numbers, for as long as there is time."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import table
from numpy.typing import NDArray

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import FrameSource, Ints, Split, TrackletDataset

# MARS has 12,180 test tracklets; drawn are 636 × 13 and strangers in MARS's share, 12,484.
MARS = {
    "data.dataset": "synthetic",
    "data.synthetic.shape": "mars",
    "data.synthetic.cameras": 6,
    "data.synthetic.test_identities": 636,
    "data.synthetic.tracklets": 13,
}
PARTS = ("train", "features", "merge", "evaluate")


class OutOfTimeError(Exception):
    """The minutes are over."""


@dataclass(frozen=True)
class Enlarged:
    """Frames drawn at a quarter of the size and enlarged: a GPU would wait for hours for full drawings."""

    drawn: FrameSource

    def __len__(self) -> int:
        return len(self.drawn)

    def read(self, frames: Ints, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        small, readable = self.drawn.read(frames, -(-height // 4), -(-width // 4))
        large = small.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
        return np.ascontiguousarray(large), readable

    def name(self, frame: int) -> str:
        return self.drawn.name(frame)

    def fingerprint(self) -> str:
        return f"enlarged-{self.drawn.fingerprint()}"


def full_size_data(config: Config) -> TrackletDataset:
    data = load_dataset(config.data, None)
    if config.data.height < 128:
        return data

    def enlarged(split: Split) -> Split:
        return dataclasses.replace(split, frames=Enlarged(split.frames))

    assert data.test is not None
    return dataclasses.replace(data, train=enlarged(data.train), test=enlarged(data.test))


def run_full_size(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Merge steps made before the minutes were over; a stage that does not fit is cut between epochs."""
    changes = MARS | {"data.synthetic.frames": args.mars_frames, "merge.merge_rate": 0.05}
    if args.device != "cpu":
        changes["train.precision"] = "auto"
    if args.first_epochs is not None:
        changes["train.first_epochs"] = args.first_epochs
    config = config.replace(**changes)
    data = full_size_data(config)
    epochs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        algorithm = Algorithm(
            config,
            data,
            device=args.device,
            cache=Path(folder),
            on_epoch=lambda stage, epoch, of: _note(epochs, until),
        )
        packed = time.perf_counter() - started
        began = time.perf_counter()
        until = began + 60 * args.minutes
        steps = []
        try:
            for made in algorithm:
                steps.append({part: getattr(made, f"seconds_{part}") for part in PARTS})
                steps[-1] |= {"step": made.step, "classes": made.classes_after, "mAP": made.mAP}
                if time.perf_counter() > until:
                    break
        except OutOfTimeError:
            pass
        return {
            "tracklets": len(data.train),
            "frames": len(data.train.frames),
            "test_tracklets": len(data.test or ()),
            "steps_of_a_trial": algorithm.total_steps,
            "packed": packed,
            "epochs": len(epochs),
            "training_frames": len(epochs) * len(data.train) * config.data.frames,
            "seconds": time.perf_counter() - began,
            "steps": steps,
        }


def _note(epochs: list[float], until: float) -> None:
    epochs.append(time.perf_counter())
    if epochs[-1] > until:
        raise OutOfTimeError


def show_full_size(found: dict[str, Any], config: Config) -> None:
    rows: list[tuple[object, ...]] = [
        (str(step["step"]), step["classes"], *(step[part] for part in PARTS), f"{100 * step['mAP']:.1f}")
        for step in found["steps"]
    ]
    rows.append(
        (f"{found['epochs']} epochs", found["training_frames"], found["seconds"], "", "", "", "in all")
    )
    table(
        f"Algorithm 1 on {found['tracklets']:,} tracklets ({found['frames']:,} frames; test "
        f"{found['test_tracklets']:,} tracklets), {found['steps_of_a_trial']} merge steps a trial, "
        f"{config.model.backbone}; frames drawn and packed in {found['packed']:.0f} s. Seconds:",
        ("merge step", "classes", *PARTS, "mAP, %"),
        rows,
    )
