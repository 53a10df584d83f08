"""Data folders, images, MARS's tables, and what `python -m dcreid.data` is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeAlias

from bad_input import made
from bad_input.case import Case, cases_of
from bad_input.made_data import (
    animated,
    cameras,
    dangling,
    device,
    fifo,
    frame,
    image,
    in_cameras,
    in_duke,
    in_mars,
    in_place,
    large_jpeg,
    loop,
    mars,
    mat,
    png,
    tracklet,
    unix_socket,
)

DATA, RUN = "dcreid.data", "study/run.py"
STUDY = "--dataset folder --data-root d --weights none --backbone shufflenet_v2_x0_5 --height 32 --width 16"
# Name, what is made, what is said; then the command where it is another, and "fast".
Told: TypeAlias = tuple[object, ...]


def looked_at(area: str, status: int, *cases: Told, command: str = "inspect d") -> list[Case]:
    """What `python -m dcreid.data` answers: status 2 = refused, 0 = left out and named, or no fault."""
    made_cases = []
    for name, prepare, says, *rest in cases:
        words = [word for word in rest if word != "fast"]
        told = (says,) if isinstance(says, str) else says
        arguments = tuple((words or [command])[0].split())
        made_cases.append(
            Case(name, area, DATA, arguments, told, prepare, status=status, fast="fast" in rest)  # type: ignore[arg-type]
        )
    return made_cases


def nothing(here: Path) -> None:
    """An empty folder."""


def gone(name: str) -> made.Make:
    """Without a folder."""
    return lambda here: shutil.rmtree(here / name)


def odd(folder: str, name: bytes) -> made.Make:
    """A tracklet whose name is these bytes."""

    def make(here: Path) -> None:
        (here / folder).mkdir(parents=True, exist_ok=True)
        shutil.copytree(here / "d/train/a", here / folder / name.decode(errors="surrogateescape"))

    return make


FOLDERS = [
    *looked_at(
        "data folders",
        2,
        ("no such folder", nothing, "d: no such folder", "fast"),
        ("a file", made.file("d", "x"), "d: not a folder"),
        ("a pipe", in_place("d", fifo), "d: not a folder"),
        ("an empty folder", made.folder("d"), "d: empty", "fast"),
        ("nobody's home", nothing, "no home folder", "inspect ~nosuch/x"),
        ("no frames", made.file("d/train/a/notes.txt", "x"), "without frames", "fast"),
        ("frames a level too high", tracklet("d/train"), "lie where folders should"),
        ("no gallery", in_cameras(gone("d/gallery")), "missing gallery/", "fast"),
        ("no query", in_cameras(gone("d/query")), "missing query/"),
        ("no train", in_cameras(gone("d/train")), "missing train/"),
        (
            "no camera",
            in_cameras(tracklet("d/gallery/9/x")),
            ("gallery/9/x", "no camera in the name"),
            "fast",
        ),
        (
            "a camera of 200 digits",
            in_cameras(tracklet(f"d/gallery/9/C{'1' * 200}")),
            "add it to either, as C1",
        ),
        (
            "an empty gallery",
            in_cameras(gone("d/gallery"), made.folder("d/gallery")),
            "gallery: no tracklets",
        ),
        (
            "one camera",
            in_cameras(gone("d/gallery"), tracklet("d/gallery/1/C1_9"), tracklet("d/gallery/2/C1_9")),
            "no query can be counted (2)",
            "fast",
        ),
        (
            "a link to a folder above",
            in_cameras(in_place("d/train/a/b", loop)),
            ("d/train/a/b", "link"),
            "fast",
        ),
        ("another data set", mars, "holds mars, not duke", "inspect m --dataset duke"),
        ("a folder too deep", mars, "m holds mars", "inspect m/info"),
        ("a folder too high", mars, "m holds mars", "inspect ."),
        (
            "an identity of 30 digits",
            in_duke(frame(image, f"d/gallery/{'1' * 30}/1/0001C1F1X1.jpg")),
            ("1" * 30, "by number"),
        ),
        (
            "a frame of another pattern",
            in_duke(tracklet("d/gallery/0001/1")),
            ("001.jpg", "is not like"),
            "fast",
        ),
        (
            "a camera of 30 digits",
            in_duke(frame(image, f"d/gallery/0001/1/0001C{'2' * 30}F1X1.jpg")),
            "2" * 30,
        ),
        (
            "halves of tracklets that nobody labelled",
            in_cameras(),
            ("--split first_half", "nobody has labelled"),
            "inspect d --split first_half",
            "fast",
        ),
        (
            "halves of few people",
            mars,
            ("--split second_half", "training identities", "4 or more"),
            "inspect m --split second_half",
        ),
        (
            "digits of another alphabet",
            in_duke(frame(image, "d/query/0001/1/0001C１F2X2.jpg")),
            "is not like",
            "inspect d --dataset duke",
        ),
    ),
    *looked_at(
        "data folders",
        0,
        ("identities that are names", in_cameras(tracklet(f"d/gallery/{'1' * 30}/C1")), "gallery"),
        (
            "hidden and other files",
            in_cameras(*(made.file(f"d/train/{f}", "x") for f in (".DS_Store", "a/Thumbs.db", "a/.0.jpg"))),
            ("all readable", "none in folders"),
        ),
        ("deep folders", in_cameras(tracklet("d/train/monday/cam 1/0007")), "all readable"),
        ("no frames in one", in_cameras(made.folder("d/train/e")), ("left out", "train/e"), "fast"),
        (
            "a folder named as a frame",
            in_cameras(made.folder("d/train/e/1.jpg")),
            ("left out", "train/e/1.jpg"),
        ),
        (
            "an escape sequence",
            in_cameras(made.folder("d/train/\x1b]0;t\x07")),
            r"train/\x1b]0;t\x07",
            "fast",
        ),
        ("a line break", in_cameras(made.folder("d/train/a\nb")), r"train/a\nb"),
        ("text turned round", in_cameras(made.folder("d/train/\u202egpj")), r"train/\u202egpj"),
        ("a name that is no UTF-8", in_cameras(odd("d/train", b"caf\xe9")), "all readable", "fast"),
        ("an empty one that is no UTF-8", in_cameras(made.folder("d/train/caf\udce9")), r"train/caf\xe9"),
        ("spaces and other alphabets", in_cameras(tracklet("d/train/Kamera 1 ñ 漢")), "all readable"),
    ),
    *cases_of(
        "data folders",
        RUN,
        ("study: no such folder", STUDY, "d: no such folder"),
        ("study: nobody's home", "--dataset folder --data-root ~nosuch", "--data-root"),
        ("study: no frames", STUDY, "nothing but", {"prepare": made.file("d/train/a/x", "")}),
        (
            *("study: one camera", STUDY, "no query can be counted (2)"),
            {"prepare": in_cameras(gone("d/gallery"), tracklet("d/gallery/1/C1_9"))},
        ),
        (
            *("study: halves that nobody labelled", f"{STUDY} --split second_half", "--split second_half"),
            {"prepare": in_cameras()},
        ),
        ("study: one tracklet", STUDY, "nothing to cluster", {"prepare": tracklet("d/a")}),
    ),
    *cases_of(
        "data folders",
        RUN,
        (
            *("study: what is left out", f"{STUDY} --dry-run", ("left out", r"train/\x1b")),
            {"prepare": in_cameras(made.folder("d/train/\x1b"))},
        ),
        (
            *("study: a name that is no UTF-8", f"{STUDY} --dry-run", "4 training tracklets"),
            {"prepare": in_cameras(odd("d/train", b"caf\xe9"))},
        ),
        status=0,
    ),
]

IMAGES = [
    *looked_at(
        "images",
        0,
        ("a pipe", in_cameras(in_place("d/train/a/001.jpg", fifo)), ("1 not a file", "a/001.jpg"), "fast"),
        (
            "a device",
            in_cameras(in_place("d/train/a/001.jpg", device)),
            ("1 not a file", "a/001.jpg"),
            "fast",
        ),
        ("a socket", in_cameras(in_place("d/train/a/001.jpg", unix_socket)), ("1 not a file", "a/001.jpg")),
        (
            "a link to nothing",
            in_cameras(in_place("d/train/a/001.jpg", dangling)),
            ("1 missing", "a/001.jpg"),
        ),
        ("empty", frame(b""), ("1 zero bytes", "a/001.jpg"), "fast"),
        ("cut", frame(lambda: image()[:200]), ("1 truncated JPEG", "a/001.jpg")),
        ("two bytes", frame(b"\xff\xd8"), ("truncated JPEG", "a/001.jpg")),
        ("noise after the start", frame(b"\xff\xd8" + bytes(range(256)) * 4), ("JPEG", "a/001.jpg")),
        ("a page", frame(b"<html>404 Not Found</html>"), ("1 neither JPEG nor PNG", "a/001.jpg")),
        ("a GIF that moves", frame(animated), ("1 neither JPEG nor PNG", "a/001.jpg")),
        ("a huge JPEG", frame(large_jpeg), ("JPEG of 65,000 × 65,000 pixels", "a/001.jpg"), "fast"),
        ("a huge PNG", frame(lambda: png(65_000, 65_000)), ("PNG of 65,000 × 65,000 pixels", "a/001.jpg")),
        ("a PNG of 2³¹ columns", frame(lambda: png(2**31 - 1, 2)), ("PNG of 2,147,483,647 × 2", "a/001.jpg")),
        ("a PNG without pixels", frame(lambda: png(0, 0)), ("damaged PNG", "a/001.jpg")),
        ("16 bits", frame(lambda: png(4, 1, 16)), ("more than 8 bits", "a/001.jpg")),
        ("a PNG called .jpg", frame(lambda: image("PNG")), "all readable"),
        ("CMYK", frame(lambda: image(mode="CMYK")), "all readable"),
        ("grey", frame(lambda: image(mode="L")), "all readable"),
        ("a palette with transparency", frame(lambda: image("PNG", "LA")), "all readable"),
        ("turned by EXIF", frame(lambda: image(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")), "all readable"),
        ("names in capitals", frame(lambda: image(), "d/train/a/009.JPEG"), "all readable"),
        ("an escape sequence", frame(b"", "d/train/a/\x1b[2J.jpg"), r"a/\x1b[2J.jpg", "fast"),
    ),
    *looked_at(
        "images",
        2,
        (
            "none of a tracklet",
            in_cameras(*(made.file(f"d/train/a/00{n}.jpg", "x") for n in (1, 2, 3))),
            ("without a single readable frame: train a", "restore"),
            "fast",
        ),
    ),
]


def info(name: str, content: object) -> made.Make:
    """MARS with another table."""
    return in_mars(mat(f"m/info/{name}", content))


TRAIN, TEST, QUERY = "tracks_train_info.mat", "tracks_test_info.mat", "query_IDX.mat"
MAT = [
    *looked_at(
        ".mat",
        2,
        ("a pipe", in_mars(in_place(f"m/info/{QUERY}", fifo)), (QUERY, "not a file"), "fast"),
        (
            "a list that is a pipe",
            in_mars(in_place("m/info/test_name.txt", fifo)),
            ("test_name.txt", "not a file"),
        ),
        ("a folder", in_mars(in_place(f"m/info/{TEST}", Path.mkdir)), (TEST, "not a file")),
        ("missing", in_mars(lambda here: (here / "m/info" / QUERY).unlink()), f"missing info/{QUERY}"),
        ("empty", in_mars(made.file(f"m/info/{TRAIN}", b"")), (TRAIN, "not a readable .mat file"), "fast"),
        ("a page", in_mars(made.file(f"m/info/{TEST}", "<html>" * 99)), (TEST, "not a readable .mat file")),
        ("noise", in_mars(made.file(f"m/info/{TEST}", bytes(range(256)) * 9)), TEST),
        ("MATLAB 7.3", in_mars(made.file(f"m/info/{QUERY}", b"MATLAB 7.3".ljust(124) + b"\0\2IM")), "-v7"),
        ("two variables", info(QUERY, {"a": [1], "b": [1]}), (QUERY, "found a, b")),
        ("words", info(QUERY, "three"), (QUERY, "whole numbers")),
        ("cells", info(QUERY, {"q": [{"a": 1}]}), (QUERY, "whole numbers"), "fast"),
        ("fractions", info(QUERY, [[1.5]]), (QUERY, "whole numbers")),
        ("infinity", info(QUERY, [[float("inf")]]), (QUERY, "whole numbers")),
        ("numbers beyond 64 bits", info(TRAIN, [[1, 3, 1e300, 1]]), (TRAIN, "whole numbers")),
        ("row 0", info(QUERY, [[0]]), (QUERY, "entry 1 is 0"), "fast"),
        ("a row too many", info(QUERY, [[1, 7]]), (QUERY, "entry 2 is 7", "1 to 6")),
        ("no query", info(QUERY, [[]]), (QUERY, "lists no query")),
        ("a square of queries", info(QUERY, [[1, 2], [3, 4]]), (QUERY, "shape (2, 2)")),
        ("three columns", info(TEST, [[1, 2, 3]]), (TEST, "shape (1, 3)")),
        ("a cube", info(TEST, [[[1, 2, 3, 4]]]), (TEST, "shape (1, 1, 4)")),
        ("beyond the list", info(TRAIN, [[1, 99, 1, 1]]), (TRAIN, "row 1", "1 to 99")),
        ("from end to start", info(TRAIN, [[3, 1, 1, 1]]), (TRAIN, "row 1", "empty")),
        ("every frame everywhere", info(TRAIN, [[1, 9, 1, 1]] * 99), (TRAIN, "891 frames", "list of 9")),
        ("other people", info(TRAIN, [[1, 3, 9, 1], [4, 5, 1, 2], [6, 9, 3, 1]]), (TRAIN, "0001C1T0001F001")),
        (
            "a list of other names",
            in_mars(made.file("m/info/train_name.txt", "a.jpg\n\x1b.jpg\n")),
            ("train_name.txt", "line 1", "'a.jpg'"),
        ),
        (
            "a list that is no text",
            in_mars(made.file("m/info/test_name.txt", b"\xff\xfe\0")),
            "test_name.txt",
        ),
        command="inspect m",
    ),
    *looked_at(
        ".mat",
        0,
        ("a query twice", info(QUERY, [[3, 5, 3]]), (QUERY, "more than once", "row 3"), "fast"),
        command="inspect m",
    ),
]

SHEET = [
    *looked_at(
        "sheet and inspect",
        2,
        ("no command", nothing, "command", ""),
        ("no folder", nothing, "give the folder", "inspect"),
        ("a folder to draw", cameras, "drawn, not read", "inspect d --dataset synthetic", "fast"),
        ("frames below none", cameras, "--frames", "inspect d --frames -1"),
        ("half a frame", cameras, "--frames", "inspect d --frames 1.5"),
        ("frames of 400 digits", cameras, "--frames", f"inspect d --frames {'9' * 400}"),
        ("another gallery", cameras, "--gallery", "inspect d --gallery best"),
        (
            "a height without end",
            nothing,
            "--height",
            "sheet --dataset synthetic --out s.png --height 100000",
        ),
        ("no width", nothing, "--width", "sheet --dataset synthetic --out s.png --width 0"),
        ("all people", nothing, "--people", "sheet --dataset synthetic --out s.png --people 99999999"),
        (
            *("too large", nothing, ("--people, --height, --width", "pixels")),
            "sheet --dataset synthetic --out s.png --height 2048 --width 2048 --people 10",
        ),
        ("no test split", tracklet("d/a"), "--split test", "sheet d --out s.png --split test", "fast"),
        (
            "a folder that is not there",
            nothing,
            "--out x/s.png",
            "sheet --dataset synthetic --out x/s.png",
            "fast",
        ),
        ("a folder for a file", made.folder("s"), "--out s", "sheet --dataset synthetic --out s"),
        ("nobody's file", nothing, "--out", "sheet --dataset synthetic --out ~nosuch/s.png"),
        ("a pipe for data", in_place("d", fifo), "d: not a folder", "sheet d --out s.png"),
    ),
    Case("an empty folder name", "sheet and inspect", DATA, ("inspect", ""), ("an empty path",)),
    Case(
        *("unreadable frames are grey", "sheet and inspect", DATA, ("sheet", "d", "--out", "s.png")),
        *(("1 frame(s) cannot be read and are grey", "a/001.jpg"), frame(b"")),
        status=0,
    ),
    Case(
        *(
            "a full disk",
            "sheet and inspect",
            DATA,
            ("sheet", "--dataset", "synthetic", "--out", "/dev/full"),
        ),
        *(("/dev/full: No space left on device",), nothing),
        status=1,
    ),
]

CASES = [*FOLDERS, *IMAGES, *MAT, *SHEET]
