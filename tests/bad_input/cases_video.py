"""Videos, trackers' files and options of `python -m dcreid tracklets`."""

from __future__ import annotations

from bad_input import made
from bad_input.case import Case, cases_of
from bad_input.made_data import device, fifo, in_place, large_jpeg, mars, tracklet

# Frames 16 pixels high and 8 wide, three of them.
FRAMES = tracklet("v")
SMALL = "--min-height 4 --min-width 2 --min-frames 1"
ONE = f"tracklets v --tracks t.txt --out d {SMALL}"
GOOD = "1,7,1,2,6,12,1,-1,-1,-1\n2,7,1,2,6,12,1,-1,-1,-1\n"


def told(content: str | bytes) -> made.Make:
    """Frames, and a tracker's file."""
    return made.both(FRAMES, made.file("t.txt", content))


def line(text: str) -> made.Make:
    """A wrong line behind two good ones."""
    return told(GOOD + text + "\n")


def two(options: str) -> str:
    """A command with two videos."""
    return f"tracklets v v --tracks t.txt t.txt --out d {SMALL} {options}"


GOOD_ONE = {"prepare": told(GOOD)}
FAST = {"fast": True}
CASES: list[Case] = [
    *cases_of(
        "tracklets from video",
        "dcreid",
        ("no video", "tracklets --tracks t.txt --out d", "VIDEO"),
        ("no tracker's file", "tracklets v --out d", "--tracks"),
        ("nowhere to put them", "tracklets v --tracks t.txt", "--out"),
        ("no such video", ONE, "v: no such file", FAST),
        ("a page for a video", ONE, "v: not a video that FFmpeg", {"prepare": made.file("v", "<html>" * 99)}),
        ("an empty video", ONE, "v: not a video that FFmpeg", {"prepare": made.file("v", b"")}),
        ("a pipe for a video", ONE, "v: not a file", {"prepare": in_place("v", fifo)} | FAST),
        ("a device for a video", ONE, "v: not a file", {"prepare": in_place("v", device)}),
        ("a playlist", ONE, "v: not a video", {"prepare": made.file("v", "#EXTM3U\nhttp://localhost/x\n")}),
        ("an address for a video", ONE.replace(" v ", " http://localhost/v.mp4 "), "no such file"),
        ("a folder without frames", ONE, "v: no frames", {"prepare": made.folder("v")}),
        ("a folder too high", ONE, "give v/img1", {"prepare": tracklet("v/img1")} | FAST),
        ("nobody's video", ONE.replace(" v ", " ~nosuch/v "), "no home folder"),
        (
            "an escape sequence in a name",
            ("tracklets", "\x1b[2J.mp4", *ONE.split()[2:]),
            r"\x1b[2J.mp4: no such file",
        ),
        ("no such tracker's file", ONE, "--tracks t.txt: cannot be read", {"prepare": FRAMES} | FAST),
        (
            *("a pipe for a tracker's file", ONE, "--tracks t.txt: not a file"),
            {"prepare": made.both(FRAMES, in_place("t.txt", fifo))},
        ),
        ("an empty tracker's file", ONE, "--tracks t.txt: holds no box", {"prepare": told("")} | FAST),
        ("only comments", ONE, "--tracks t.txt: holds no box", {"prepare": told("# nobody\n\n")}),
        ("a picture for a tracker's file", ONE, "t.txt: line 1", {"prepare": told(large_jpeg())}),
        (
            "a header",
            ONE,
            ("t.txt: line 1", "'frame' is not"),
            {"prepare": told("frame,id,l,t,w,h\n" + GOOD)},
        ),
        ("blanks for commas", ONE, ("t.txt: line 1", "frame,id"), {"prepare": told(GOOD.replace(",", " "))}),
        ("frame 0", ONE, ("line 3: frame 0", "add 1"), {"prepare": line("0,7,1,2,6,12,1,-1,-1,-1")} | FAST),
        ("half a frame", ONE, "line 3: frame 1.5", {"prepare": line("1.5,7,1,2,6,12,1,-1,-1,-1")}),
        ("no track", ONE, ("line 3: id -1", "left out"), {"prepare": line("3,-1,1,2,6,12,1,-1,-1,-1")}),
        ("NaN", ONE, "line 3: 'nan' is not", {"prepare": line("3,7,nan,2,6,12,1,-1,-1,-1")} | FAST),
        ("infinity", ONE, "line 3: 'inf' is not", {"prepare": line("3,7,1,inf,6,12,1,-1,-1,-1")}),
        ("beyond floats", ONE, "line 3: left inf", {"prepare": line("3,7,1e999,2,6,12,1,-1,-1,-1")}),
        ("no width", ONE, "line 3: width 0", {"prepare": line("3,7,1,2,0,12,1,-1,-1,-1")}),
        (
            "a negative height",
            ONE,
            "line 3: height -12",
            {"prepare": line("3,7,1,2,6,-12,1,-1,-1,-1")} | FAST,
        ),
        (
            "a line that was cut",
            ONE,
            ("line 3: 6 columns", "cut off"),
            {"prepare": line("3,7,1,2,6,1")} | FAST,
        ),
        ("four columns", ONE, "line 1: 4 column(s)", {"prepare": told("1,7,1,2\n")}),
        (
            "a box twice",
            ONE,
            "line 3: frame 2 has a box of id 7",
            {"prepare": line("2,7,1,2,6,9,1,-1,-1,-1")},
        ),
        ("an id of 400 digits", ONE, "line 3: id", {"prepare": line(f"3,{'9' * 400},1,2,6,12,1,-1,-1,-1")}),
        ("a line without end", ONE, "line 3: longer", {"prepare": line("3,7," * 99_999)}),
        (
            "an escape sequence",
            *(ONE, r"line 3: '\x1b[2J' is not a number"),
            {"prepare": line("3,7,\x1b[2J,2,6,12,1,-1,-1,-1")},
        ),
        (
            "fewer files than videos",
            f"tracklets v v --tracks t.txt --out d {SMALL}",
            "--tracks: 1 for 2",
            FAST,
        ),
        ("a camera too few", two("--camera 1"), "--camera: 1 for 2", FAST),
        ("a camera twice", two("--camera 2 2"), "--camera: a number stands there twice"),
        ("from frame 0 on", f"{ONE} --start 0", ("--start", "from 1 on")),
        ("a start too many", f"{ONE} --start 1 90001", "--start: 2 for 1 VIDEO"),
        ("a camera by name", two("--camera hall yard"), "--camera"),
        ("every none", f"{ONE} --every 0", ("--every", "must be >= 1"), FAST),
        ("more than all of a box", f"{ONE} --inside 1.01", ("--inside", "<= 1")),
        ("half a pixel", f"{ONE} --min-height 0.5", ("--min-height", "not a whole number")),
        ("a gap of 400 digits", f"{ONE} --max-gap {'9' * 400}", "--max-gap"),
        ("an unsure confidence", f"{ONE} --min-confidence nan", "--min-confidence"),
        (
            *("a file for a folder", ONE, "--out d: not a folder"),
            {"prepare": made.both(told(GOOD), made.file("d", "x"))} | FAST,
        ),
        (
            *("a folder in a file", ONE.replace("--out d", "--out t.txt/d"), "t.txt/d"),
            GOOD_ONE,
        ),
        (
            "another's data set",
            ONE.replace("--out d", "--out m"),
            "--out m: holds mars",
            {"prepare": made.both(told(GOOD), mars)},
        ),
        ("an empty name", ("tracklets", "v", "--tracks", "t.txt", "--out", ""), "--out '': an empty path"),
        (
            *("a camera that is there", ONE, ("d/train/c1 is there already", "--force")),
            {"prepare": made.both(told(GOOD), tracklet("d/train/c1/0007"))} | FAST,
        ),
        (
            "nothing left",
            f"{ONE} --min-height 13",
            "no tracklet is left of 2 boxes: 2 lower than",
            GOOD_ONE | FAST,
        ),
        (
            *("tracks of another video", ONE, "no tracklet is left of 1 boxes: 1 in frames behind the end"),
            {"prepare": told("99,7,1,2,6,12\n")},
        ),
    ),
    *cases_of(
        "tracklets from video",
        "dcreid",
        ("no fault", ONE, "1 tracklets of 2 frames written", GOOD_ONE),
        (
            *("frames that cannot be read", ONE, "left out: 1 boxes in frames that cannot be read"),
            {"prepare": made.both(told(GOOD), made.file("v/002.jpg", "")), "fast": True},
        ),
        (
            *("a frame that is a pipe", ONE, "left out: 1 boxes in frames that cannot be read"),
            {"prepare": made.both(told(GOOD), in_place("v/002.jpg", fifo))},
        ),
        (
            *("a frame of too many pixels", ONE, "left out: 1 boxes in frames that cannot be read"),
            {"prepare": made.both(told(GOOD), made.file("v/002.jpg", large_jpeg()))},
        ),
        (
            *(
                "fewer frames than tracks",
                ONE,
                ("left out: 1 boxes in frames behind the end", "with frame 3"),
            ),
            {"prepare": line("4,7,1,2,6,12,1,-1,-1,-1")},
        ),
        (
            "a box beside the picture",
            ONE,
            "left out: 1 boxes",
            {"prepare": line("3,7,-50,2,6,12,1,-1,-1,-1")},
        ),
        (
            *("a camera cut anew", f"{ONE} --force", "1 tracklets of 2 frames written"),
            {"prepare": made.both(told(GOOD), tracklet("d/train/c1/0007"))},
        ),
        (
            "an escape sequence in the folder",
            *(("tracklets", "v", "--tracks", "t.txt", "--out", "\x1b[2J", *SMALL.split()), r"\x1b[2J"),
            GOOD_ONE,
        ),
        status=0,
    ),
]
