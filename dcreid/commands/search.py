"""python -m dcreid search: the gallery tracklets nearest to each query, as a table."""

from __future__ import annotations

import argparse
from typing import Any

from dcreid.commandline import Parser, say, up_to
from dcreid.commands.embed import PLACES, add_use_options

EXAMPLE = "python -m dcreid search MODEL QUERY GALLERY --top 10 --out hits.csv  # who looks like whom"
_MOST = 10_000


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Its options."""
    parser: Parser = commands.add_parser(
        "search",
        help="find the nearest tracklets of a gallery",
        description="The gallery tracklets nearest to each query, by the distance of their features (exact).",
    )
    parser.add_argument("model", metavar="MODEL", help="a study's models/selected.safetensors or the like")
    parser.add_argument("query", metavar="QUERY", help=PLACES)
    parser.add_argument("gallery", metavar="GALLERY", help="the same")
    parser.add_argument("--top", type=up_to(_MOST), default=10, metavar="K", help="hits for each query [10]")
    parser.add_argument("--out", default="hits.csv", metavar="FILE", help="the table to write [hits.csv]")
    parser.add_argument(
        "--other-cameras", action="store_true", help="leave out what the query's own camera saw"
    )
    add_use_options(parser)
    return parser


def work(options: argparse.Namespace) -> None:
    """Reads, searches, writes."""
    from dcreid.data.given import read_tracklets  # here, so that --help answers at once
    from dcreid.hits import find
    from dcreid.model import Model, device_named
    from dcreid.paths import check_file_place, user_path

    out = user_path("--out", options.out)
    check_file_place("--out", out)
    model = Model.load(user_path("MODEL", options.model), device_named(options.device))
    queries, gallery = (
        read_tracklets(given, model.config.data.synthetic) for given in (options.query, options.gallery)
    )
    hits = find(
        model,
        queries,
        gallery,
        options.top,
        other_cameras=options.other_cameras,
        camera_normalise=options.camera_normalise,
    )
    hits.write(out)
    known = queries.cameras_known and gallery.cameras_known
    how = "normalised per camera" if model.normalises(known, options.camera_normalise) else "as they are"
    say(f"{out}: the {options.top} nearest of {len(gallery):,} for {len(queries):,} queries, features {how}")
    if hits.judged:
        say(hits.summary())
