"""python -m dcreid tracklets: what a tracker found in videos, as tracklets that a study reads."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from dcreid.checked import ConfigError, allowed, number, shown, type_hints
from dcreid.commandline import say, show, visible
from dcreid.errors import InputError
from dcreid.video.rules import Rules

if TYPE_CHECKING:
    from dcreid.video.cut import Outcome, Source

EXAMPLE = "python -m dcreid tracklets VIDEO --tracks FILE --out DIR        # a tracker's boxes, cut out"
_DESCRIPTION = """\
Cuts a tracker's boxes out of videos: DIR/train/c1/0007/c1_f0000123.jpg is camera 1, track 7, frame 123.

  python -m dcreid tracklets door.mp4 yard.mp4 --tracks door.txt yard.txt --out DIR
  python -m dcreid tracklets MOT17-02/img1 --tracks MOT17-02/gt/gt.txt --min-confidence 1 --out DIR
  python -m dcreid tracklets hall.mp4 --tracks hall.txt --camera 3 --out DIR    # one more camera
  python -m dcreid tracklets door-2.mp4 --tracks door-2.txt --camera 1 --start 90001 --out DIR    # later

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
        "--camera", nargs="+", type=_from(0), metavar="N", help="the number of each VIDEO's camera [1 2 ...]"
    )
    parser.add_argument(
        "--start",
        nargs="+",
        type=_from(1),
        metavar="N",
        help="where a camera has several videos: the number of each VIDEO's first frame in all that the "
        "camera recorded [1]",
    )
    parser.add_argument("--force", action="store_true", help="cut videos anew that are in DIR already")
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
    from dcreid.video.cut import Source, check_place, cut_video
    from dcreid.video.frames import opened
    from dcreid.video.tracks import read_tracks

    rules = Rules(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Rules)})
    out = user_path("--out", options.out)
    videos = [user_path("VIDEO", video) for video in options.videos]
    files = [user_path("--tracks", file) for file in options.tracks]
    cameras, starts = _numbers(options, len(videos))
    for video in videos:
        with opened(video):
            pass
    all_tracks = [read_tracks(file) for file in files]
    sources = [Source(*each) for each in zip(videos, all_tracks, cameras, starts, strict=True)]
    check_place(out, sources, options.force)
    for source in sources:
        outcome = cut_video(source, out, rules, _progress(source))
        show(_told(source, outcome))
    place = shlex.quote(str(out))
    say(f"private   {place} shows people: keep it as private as the videos")
    say(f"next      python -m dcreid.data inspect {place}")
    say(f"          python study/run.py --dataset folder --data-root {place}")


def _numbers(options: argparse.Namespace, videos: int) -> tuple[list[int], list[int]]:
    """Camera and first frame of each video."""
    cameras = options.camera or list(range(1, videos + 1))
    starts = options.start or [1] * videos
    for option, given in (("--tracks", options.tracks), ("--camera", cameras), ("--start", starts)):
        if len(given) != videos:
            raise InputError(f"{option}: {len(given)} for {videos} VIDEO(s); give one for each, in order")
    if len(set(zip(cameras, starts, strict=True))) < videos:
        raise InputError(
            "--camera: a number stands there twice; where a camera has several videos, --start says where "
            "each begins"
        )
    return cameras, starts


def _from(low: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= low):
            raise argparse.ArgumentTypeError(f"{shown(text)}: must be a whole number from {low} on")
        return int(text)

    return whole


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


def _progress(source: Source) -> Callable[[int], object] | None:
    if not sys.stderr.isatty():
        return None
    name, last = visible(source.video.name), int(source.tracks.frames[-1])

    def tell(frame: int) -> None:
        if frame % 100 == 0:
            print(f"{name}: frame {frame:,} of {last:,}", end="\r", file=sys.stderr)

    return tell


def _told(source: Source, outcome: Outcome) -> str:
    """What became of the boxes in a video."""
    from dcreid.video.cut import MISSING
    from dcreid.video.frames import left_out_numbers

    tracks = source.tracks
    lines = [
        f"{source.video}: {len(tracks):,} boxes of {len(set(tracks.ids.tolist())):,} tracks",
        f"{outcome.tracklets:,} tracklets of {outcome.frames:,} frames written",
        *(f"left out: {count:,} boxes {why}" for why, count in outcome.left_out.most_common()),
    ]
    if outcome.broken_off:
        lines.append(f"the video breaks off after frame {outcome.seen:,} ({outcome.broken_off})")
    elif outcome.left_out[MISSING]:
        lines.append(f"the video ends with frame {outcome.seen:,}, the tracks with {tracks.frames[-1]:,}")
    lines += filter(None, [left_out_numbers(source.video)])
    head = f"camera {source.camera}"
    return "\n".join(f"{head if not k else '':<10}{visible(line)}" for k, line in enumerate(lines))
