"""Faults in what becomes tracklets of a video. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

VIDEO: list[Mutant] = [
    *of(
        "tracklets from video",
        "dcreid/video/tracks.py",
        "tests/dcreid/video/test_tracks.py",
        ("boxes in the file's order", 'table[np.argsort(table[:, 0], kind="stable")]', "table[:]"),
        ("half a frame is one", "np.floor(values)))", "values))"),
        ("lines of any length", "if len(cells) != columns:", "if len(cells) > columns + 99:"),
        ("boxes without a size", "wrong |= values == 0", "wrong |= values < 0"),
        (
            "a box twice is let pass",
            "np.diff(table[order, :2], axis=0) == 0",
            "np.diff(table[order, :2], axis=0) < 0",
        ),
        ("a gap one frame shorter cuts", "prepend=0) > max_gap + 1)", "prepend=0) > max_gap)"),
        ("a gap that is a little too long", "> max_gap + 1)", "> max_gap + 2)"),
        (
            "pieces all alike in name",
            "piece = np.arange(len(of)) - first[of] + 1",
            "piece = np.arange(len(of)) + 1",
        ),
    ),
    *of(
        "tracklets from video",
        "dcreid/video/frames.py",
        "tests/dcreid/video/test_frames.py",
        ("damaged pictures are cut from", "if frame.is_corrupt:", "if frame.is_corrupt and not frame.width:"),
        ("pictures turned the other way", "round(frame.rotation / 90))", "-round(frame.rotation / 90))"),
        (
            "photographs as the sensor lay",
            'ImageOps.exif_transpose(image).convert("RGB")',
            'image.convert("RGB")',
        ),
        ("frames in the order of a listing", "in_order(name for name", "sorted(name for name"),
    ),
    *of(
        "tracklets from video",
        "dcreid/video/cut.py",
        "tests/dcreid/video/test_cut.py",
        ("frames count from 0", "enumerate(frames, start=1):", "enumerate(frames):"),
        (
            "a box in the picture by half its share",
            "rules.inside * box[2:].prod()",
            "rules.inside * box[2:].max()",
        ),
        (
            "the size of what is not seen",
            "if bottom - top < rules.min_height",
            "if box[3] < rules.min_height",
        ),
        (
            "an unknown confidence is none",
            "if 0 <= confidence < rules",
            "if confidence < rules",
            "tests/dcreid/video/test_cut.py::test_what_is_left_out",
        ),
        (
            "every k-th of a camera",
            "usable[of] += 1\n                if (usable[of] - 1) %",
            "usable[of] += 1\n                if (usable.sum() - 1) %",
        ),
        ("the second of every k", "if (usable[of] - 1) % rules.every:", "if usable[of] % rules.every:"),
        (
            "short by boxes, not by frames",
            "short = (written > 0) & (written < rules.min_frames)",
            "short = (written > 0) & (usable < rules.min_frames)",
        ),
        ("colours at half the resolution", 'subsampling="4:4:4"', 'subsampling="4:2:0"'),
        (
            "what a camera had goes first",
            "    if there and not replace:",
            "    if there and replace:",
            "tests/dcreid/commands/test_tracklets.py",
        ),
        ("frames of later videos count from 1", "time = source.start + number - 1", "time = number"),
        ("frames of later videos count one too many", "source.start + number - 1", "source.start + number"),
        ("empty folders stay", "for above in new:", "for above in new[:0]:"),
    ),
    *of(
        "tracklets from video",
        "dcreid/commands/tracklets.py",
        "tests/dcreid/commands/test_tracklets.py",
        ("all cameras are the first", "list(range(1, videos + 1))", "list(range(1, 2)) * videos"),
        (
            "a number for two cameras",
            "if len(set(zip(cameras, starts, strict=True))) < videos:",
            "if len(cameras) < videos:",
        ),
    ),
]
