"""python -m dcreid tracklets: what a tracker found in videos, as tracklets that a study reads."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcreid.checked import ConfigError, allowed, number, shown, type_hints
from dcreid.commandline import say, show, visible
from dcreid.errors import InputError
from dcreid.video.rules import Rules

if TYPE_CHECKING:
    from dcreid.video.cut import Outcome
    from dcreid.video.tracks import Tracks

EXAMPLE = "python -m dcreid tracklets VIDEO --tracks FILE --out DIR        # a tracker's boxes, cut out"
_DESCRIPTION = """\
Cuts a tracker's boxes out of videos: DIR/train/c1/0007/c1_f0000123.jpg is camera 1, track 7, frame 123.

  python -m dcreid tracklets door.mp4 yard.mp4 --tracks door.txt yard.txt --out DIR
  python -m dcreid tracklets MOT17-02/img1 --tracks MOT17-02/gt/gt.txt --min-confidence 1 --out DIR
  python -m dcreid tracklets hall.mp4 --tracks hall.txt --camera 3 --out DIR    # one more camera

FILE is text as in MOT Challenge (ByteTrack, BoxMOT and others write it), a line a box, frames from 1:
  frame,id,left,top,width,height,confidence,...
"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "tracklets",
        help="cut a tracker's boxes out of videos, into folders that a study reads",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="a video, or a folder of frames, of each camera"
    )
    parser.add_argument(
        "--tracks", nargs="+", required=True, metavar="FILE", help="the tracker's file of each VIDEO"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the data set; other cameras in it are kept"
    )
    parser.add_argument(
        "--camera", nargs="+", type=_camera, metavar="N", help="the number of each VIDEO's camera [1 2 ...]"
    )
    parser.add_argument("--force", action="store_true", help="cut cameras anew that are in DIR already")
    for field in dataclasses.fields(Rules):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=partial(_rule, field),
            default=field.default,
            metavar="N" if type_hints(Rules)[field.name] is int else "X",
            help=f"{field.metadata['help']} [{field.default:g}]",
        )
    return parser


def work(options: argparse.Namespace) -> None:
    """Checks everything that is given, then cuts one camera after another."""
    from dcreid.paths import user_path
    from dcreid.video.cut import check_place, cut_camera
    from dcreid.video.frames import opened
    from dcreid.video.tracks import read_tracks

    rules = Rules(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Rules)})
    out = user_path("--out", options.out)
    videos = [user_path("VIDEO", video) for video in options.videos]
    files = [user_path("--tracks", file) for file in options.tracks]
    cameras = _cameras(options, len(videos))
    check_place(out, cameras, options.force)
    for video in videos:
        with opened(video):
            pass
    all_tracks = [read_tracks(file) for file in files]
    for video, tracks, camera in zip(videos, all_tracks, cameras, strict=True):
        outcome = cut_camera(video, tracks, out, camera, rules, _progress(camera, tracks))
        show(_told(camera, video, tracks, outcome))
    place = shlex.quote(str(out))
    say(f"private   {place} shows people: keep it as private as the videos")
    show(
        f"next      python -m dcreid.data inspect {place}\n"
        f"          python study/run.py --dataset folder --data-root {place}"
    )


def _cameras(options: argparse.Namespace, videos: int) -> list[int]:
    """A number for each video."""
    if len(options.tracks) != videos:
        raise InputError(
            f"--tracks: {len(options.tracks)} file(s) for {videos} VIDEO(s); give one for each, in order"
        )
    cameras: list[int] = options.camera or list(range(1, videos + 1))
    if len(cameras) != videos:
        raise InputError(f"--camera: {len(cameras)} number(s) for {videos} VIDEO(s); give one for each")
    if len(set(cameras)) < videos:
        raise InputError("--camera: a number stands there twice; every VIDEO is a camera of its own")
    return cameras


def _camera(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _rule(field: dataclasses.Field[Any], text: str) -> int | float:
    try:
        value = number(type_hints(Rules)[field.name], text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    try:
        Rules(**{field.name: value})  # type: ignore[arg-type]
    except ConfigError:
        raise argparse.ArgumentTypeError(f"{shown(text)}: must be {allowed(field)}") from None
    return value


def _progress(camera: int, tracks: Tracks) -> Callable[[int], object] | None:
    if not sys.stderr.isatty():
        return None
    last = int(tracks.frames[-1])

    def tell(frame: int) -> None:
        if frame % 100 == 0:
            print(f"camera {camera}: frame {frame:,} of {last:,}", end="\r", file=sys.stderr)

    return tell


def _told(camera: int, video: Path, tracks: Tracks, outcome: Outcome) -> str:
    """What became of a camera's boxes."""
    from dcreid.video.cut import MISSING

    ids = len(set(tracks.ids.tolist()))
    lines = [
        f"{video}: {len(tracks):,} boxes of {ids:,} tracks",
        f"{outcome.tracklets:,} tracklets of {outcome.frames:,} frames written",
        *(f"left out: {count:,} boxes {why}" for why, count in outcome.left_out.most_common()),
    ]
    if outcome.broken_off:
        lines.append(f"the video breaks off after frame {outcome.seen:,} ({outcome.broken_off})")
    elif outcome.left_out[MISSING]:
        lines.append(f"the video ends with frame {outcome.seen:,}, the tracks with {tracks.frames[-1]:,}")
    head = f"camera {camera}"
    return "\n".join(f"{head if not k else '':<10}{visible(line)}" for k, line in enumerate(lines))
