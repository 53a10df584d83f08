"""Models, tracklets and options of `python -m dcreid embed` and `search`, and of `python -m study export`."""

from __future__ import annotations

from bad_input import made
from bad_input.case import Case, cases_of
from bad_input.cases_exports import model
from bad_input.made_data import fifo, in_place, tracklet

M = model()
EMBED, SEARCH = "embed m t --out v.npz", "search m t t --out h.csv"
BOTH = {"prepare": made.both(M, tracklet("t/c1_a"))}
ONE = {"prepare": M}
FAST = {"fast": True}
CASES: list[Case] = [
    *cases_of(
        "models in use",
        "dcreid",
        ("no command", "", "command"),
        ("a command of another program", "status", "invalid choice: 'status'"),
        ("no file to write", "embed m t", "--out"),
        ("no such model", EMBED, "m: no such file", {"prepare": tracklet("t/c1_a")} | FAST),
        ("a checkpoint for a model", EMBED, "m: not a model's file", {"prepare": made.file("m", b"x" * 99)}),
        ("a pipe for a model", EMBED, "m: no such file", {"prepare": in_place("m", fifo)}),
        ("no gallery", "search m t", "GALLERY"),
        ("no such tracklets", EMBED, "t: no such folder or image", ONE | FAST),
        ("an empty folder", EMBED, "t: no tracklets", {"prepare": made.both(M, made.folder("t"))}),
        ("folders without images", EMBED, "t: no images", {"prepare": made.both(M, made.folder("t/a"))}),
        (
            "a text for tracklets",
            "embed m t.txt --out v.npz",
            "t.txt: not an image",
            {"prepare": made.both(M, made.file("t.txt", "x"))},
        ),
        (
            "an image that is none",
            "embed m t.jpg --out v.npz",
            ("without a frame", "t.jpg"),
            {"prepare": made.both(M, made.file("t.jpg", "x"))} | FAST,
        ),
        (
            "a whole data set",
            "embed m d --out v.npz",
            ("a whole data set", "d:train"),
            {"prepare": made.both(M, tracklet("d/train/a"))} | FAST,
        ),
        (
            "no such part",
            "embed m d:query --out v.npz",
            ("has no query part", "d:train"),
            {"prepare": made.both(M, tracklet("d/train/a"))},
        ),
        ("a part of nothing", "embed m d:query --out v.npz", "d", ONE),
        ("an unknown part of the embedded data", "embed m synthetic:test --out v.npz", "no such folder", ONE),
        ("a path of nothing", ("embed", "m", "", "--out", "v.npz"), "an empty path", ONE | FAST),
        ("nobody's folder", "embed m ~nosuch/t --out v.npz", "no home folder", ONE),
        (
            "a name that moves the cursor",
            ("embed", "m", "\x1b[2J", "--out", "v.npz"),
            r"\x1b[2J: no such",
            ONE,
        ),
        ("vectors in a picture", "embed m t --out v.png", "must end in .npz or .parquet", BOTH | FAST),
        ("vectors into nowhere", "embed m t --out d/v.npz", "d must be a folder", BOTH),
        (
            "vectors in place of a folder",
            EMBED,
            "the file none",
            {"prepare": made.both(M, tracklet("t/c1_a"), made.folder("v.npz"))},
        ),
        ("hits into nowhere", "search m t t --out d/h.csv", "d must be a folder", BOTH),
        ("no hits", f"{SEARCH} --top 0", "'0' is not a number from 1 to 10,000", BOTH),
        ("half a hit", f"{SEARCH} --top 1.5", "'1.5' is not a number", BOTH),
        ("too many hits", f"{SEARCH} --top 10001", "'10001' is not a number", BOTH),
        ("hits in other digits", f"{SEARCH} --top ٣", "is not a number", BOTH),
        ("a device of another maker", f"{EMBED} --device tpu", "--device tpu", BOTH | FAST),
        ("a GPU too many", f"{EMBED} --device cuda:99", "--device cuda:99", BOTH),
        ("a device of nothing", f"{EMBED} --device meta", "--device meta", BOTH),
        (
            "other cameras of nobody",
            f"{SEARCH} --other-cameras",
            "--other-cameras: some names have no camera",
            {"prepare": made.both(M, tracklet("t/a"))} | FAST,
        ),
        (
            "cameras of nobody",
            f"{EMBED} --camera-normalise",
            "camera_normalise: needs the camera",
            {"prepare": made.both(M, tracklet("t/a"))} | FAST,
        ),
    ),
    *cases_of(
        "models in use",
        "study",
        ("no model to write", "export s", "--out"),
        ("no such study", "export s --out m.safetensors", "STUDY s: no study.json", FAST),
        (
            "a step and a name for it",
            "export s --out m.safetensors --step 3 --which last",
            "not allowed with",
        ),
        ("a step of nothing", "export s --out m.safetensors --step x", "x"),
        ("an unknown step", "export s --out m.safetensors --which first", "invalid choice: 'first'"),
    ),
]
