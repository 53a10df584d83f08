"""Looks a data set over before anything is trained on it.

    python -m dcreid.data inspect /data/MARS                # guesses the layout, decodes 2,000 frames
    python -m dcreid.data inspect /data/MARS --frames all   # decodes every frame
    python -m dcreid.data inspect /data/MARS --split first_half   # one half of its training identities
    python -m dcreid.data inspect --dataset synthetic       # the embedded data set
    python -m dcreid.data sheet --dataset synthetic --out people.png   # what its people look like

Exit status: 0 when the data can be used, 2 when not (the reason is on stderr).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcreid.commandline import Parser, run, say, show, up_to
from dcreid.config import DataConfig
from dcreid.data import DataError, TrackletDataset, load_dataset
from dcreid.data.halves import HALVES
from dcreid.data.inspection import check_frames, report
from dcreid.data.readers.layout import check_layout, guess_layout
from dcreid.data.readers.walk import check_root, first_few, is_number
from dcreid.data.sheet import write_sheet
from dcreid.data.tracklets import GALLERIES
from dcreid.paths import user_path

_PROGRAM = "python -m dcreid.data"
_READ_AS = {
    "mars": "read as MARS, for the folders in it",
    "duke": "read as DukeMTMC-VideoReID, for the folders in it",
    "folder": "read as a user's own tracklets: MARS would have bbox_train/ or train_split/ here, "
    "DukeMTMC-VideoReID train/, query/ and gallery/",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run(_PROGRAM, lambda: _look(_parser().parse_args(arguments)))


def _look(options: argparse.Namespace) -> int:
    if options.command == "sheet":
        _sheet(options)
    else:
        _inspect(options)
    return 0


def _inspect(options: argparse.Namespace) -> None:
    data = _load(options, split=options.split, gallery=options.gallery)
    check = check_frames(data, options.frames, _show_progress if sys.stderr.isatty() else None)
    show(report(data, check))
    if check.lost:
        raise DataError(
            f"{len(check.lost):,} tracklet(s) without a single readable frame: {first_few(check.lost)}; "
            "restore their frames, or remove them"
        )


def _sheet(options: argparse.Namespace) -> None:
    out = user_path("--out", options.out)
    data = _load(options)
    split = data.train if options.split == "train" else data.test
    if split is None:
        raise DataError("--split test: the data set has no test split")
    write_sheet(out, split, options.people, options.height, options.width)
    private = "" if data.name == "synthetic" else "; it shows people: keep it as private as the frames"
    say(f"{out}: {split.name} split{private}")


def _load(
    options: argparse.Namespace, *, split: str = "official", gallery: str = "official"
) -> TrackletDataset:
    root = None if options.root is None else user_path("the folder of the data set", options.root)
    if options.dataset == "auto":
        return _load_guessed(root, split, gallery)
    if options.dataset == "synthetic" and root is not None:
        raise DataError(f"{root}: the embedded data set is drawn, not read; leave the folder out")
    return load_dataset(DataConfig(dataset=options.dataset, split=split, gallery=gallery), root)


def _load_guessed(root: Path | None, split: str, gallery: str) -> TrackletDataset:
    if root is None:
        raise DataError("inspect: give the folder of the data set, or --dataset synthetic")
    check_root(root)
    dataset = guess_layout(root)
    check_layout(root, dataset)
    try:
        data = load_dataset(DataConfig(dataset=dataset, split=split, gallery=gallery), root)
    except DataError as error:
        raise DataError(f"{error} ({_READ_AS[dataset]})") from None
    print(f"layout    {dataset} (guessed; --dataset overrides)")
    return data


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} frames decoded", end="\n" if done == total else "", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=_PROGRAM, description="Data sets of video tracklets.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    inspect = _command(commands, "inspect", "count, check and decode a data set")
    inspect.add_argument(
        "--split",
        default="official",
        choices=("official", *HALVES),
        help="train on half of the training identities, measure on the other (default: official)",
    )
    inspect.add_argument(
        "--gallery",
        default="official",
        choices=GALLERIES,
        help="gallery rows of the protocol (default: official)",
    )
    inspect.add_argument(
        "--frames",
        type=_frame_count,
        default=2000,
        metavar="N|all",
        help="frames to decode as a check, evenly spread (default: 2000)",
    )
    sheet = _command(commands, "sheet", "draw people and cameras, or tracklets, as one picture")
    sheet.add_argument("--out", required=True, metavar="PNG", help="the picture to write")
    sheet.add_argument("--split", choices=("train", "test"), default="train", help="default: train")
    sheet.add_argument(
        "--people", type=up_to(10_000), default=10, metavar="N", help="or tracklets (default: 10)"
    )
    sheet.add_argument(
        "--height", type=up_to(2048), default=128, metavar="N", help="of a frame (default: 128)"
    )
    sheet.add_argument("--width", type=up_to(2048), default=64, metavar="N", help="of a frame (default: 64)")
    return parser


def _command(commands: Any, name: str, what: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what.capitalize()}."
    )
    command.add_argument("root", nargs="?", help="folder of the data set (synthetic needs none)")
    command.add_argument(
        "--dataset",
        default="auto",
        choices=("auto", "mars", "duke", "folder", "synthetic"),
        help="how to read it (default: guessed from the folders in it)",
    )
    return command


def _frame_count(text: str) -> int | None:
    if text == "all":
        return None
    if not is_number(text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of frames nor all")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
