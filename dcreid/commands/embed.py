"""python -m dcreid embed: a row for each tracklet, in a file that other programs read."""

from __future__ import annotations

import argparse
from typing import Any

from dcreid.commandline import say

EXAMPLE = "python -m dcreid embed MODEL FOLDER --out vectors.npz          # a feature for each tracklet"
PLACES = (
    "a folder of tracklets (folders of frames, at any depth), one tracklet, one image, or a part of a data "
    "set as FOLDER:train, FOLDER:query, FOLDER:gallery"
)


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "embed", help="write the feature of every tracklet", description="Features of tracklets, a row each."
    )
    parser.add_argument("model", metavar="MODEL", help="a study's models/selected.safetensors or the like")
    parser.add_argument("folder", metavar="FOLDER", help=PLACES)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help=".npz (NumPy) or .parquet (a row per tracklet)"
    )
    add_use_options(parser)
    return parser


def add_use_options(parser: argparse.ArgumentParser) -> None:
    """What every command has that computes features."""
    parser.add_argument(
        "--camera-normalise",
        action=argparse.BooleanOptionalAction,
        help="take out mean and deviation of each camera, over all tracklets given [as the model's card "
        "says, where the cameras are known]",
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 [auto: cuda if any]"
    )


def work(options: argparse.Namespace) -> None:
    """Reads, computes, writes."""
    from dcreid.data.given import read_tracklets  # here, so that --help answers at once
    from dcreid.model import Model, device_named
    from dcreid.paths import user_path
    from dcreid.vectors import check_vectors_file, write_vectors

    out = user_path("--out", options.out)
    check_vectors_file(out)
    model = Model.load(user_path("MODEL", options.model), device_named(options.device))
    split = read_tracklets(options.folder, model.config.data.synthetic)
    vectors = model.embed(split, camera_normalise=options.camera_normalise)
    write_vectors(out, vectors, split)
    normalised = model.normalises(split.cameras_known, options.camera_normalise)
    how = "normalised per camera" if normalised else "not normalised per camera"
    say(f"{out}: {len(vectors):,} tracklets ({len(split.frames):,} frames), {vectors.shape[1]} wide, {how}")
