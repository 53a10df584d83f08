"""What `python -m dcreid.data inspect` says about a data set: counts, protocol, frames that do not decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dcreid.commandline import visible
from dcreid.data.jpeg import explain, explain_all
from dcreid.data.readers.walk import first_few
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError, Ints, JpegFrames, Split, TrackletDataset

_AT_ONCE = 4096  # frames between two progress calls
_HEADER = ("split", "tracklets", "identities", "cameras", "frames", "length min", "median", "max")


@dataclass(frozen=True)
class Summary:
    """One row of the table; lengths are frames per tracklet, None means that the data does not say."""

    name: str
    tracklets: int
    identities: int | None  # without junk and distractors
    cameras: int | None
    frames: int
    shortest: int
    median: float
    longest: int


@dataclass(frozen=True)
class FrameCheck:
    """Outcome of decoding `checked` of the `total` frames that lie in files."""

    checked: int
    total: int
    unreadable: tuple[tuple[str, str], ...] = ()  # (frame, reason)
    lost: tuple[str, ...] = ()  # tracklets without a single readable frame: an error in training


def summarise(dataset: TrackletDataset) -> list[Summary]:
    """Train and, where there is one, query, gallery and the whole test split."""
    rows = [_summary("train", dataset.train, np.arange(len(dataset.train)))]
    if dataset.test is not None:
        rows.append(_summary("query", dataset.test, dataset.query))
        rows.append(_summary("gallery", dataset.test, dataset.gallery))
        rows.append(_summary("test", dataset.test, np.arange(len(dataset.test))))
    return rows


def _summary(name: str, split: Split, rows: Ints) -> Summary:
    lengths, cameras = split.lengths[rows], np.unique(split.cameras[rows])
    people = None if split.identities is None else np.unique(split.identities[rows])
    return Summary(
        name=name,
        tracklets=len(rows),
        identities=None if people is None else len(np.setdiff1d(people, (JUNK, DISTRACTOR))),
        cameras=len(cameras) if split.cameras_known else None,
        frames=int(lengths.sum()),
        shortest=int(lengths.min()),
        median=float(np.median(lengths)),
        longest=int(lengths.max()),
    )


def unmatched_queries(dataset: TrackletDataset) -> int:
    """Queries whose identity no other camera of the gallery shows: evaluation cannot count them."""
    if dataset.test is None or dataset.test.identities is None:
        return 0
    identities, cameras = dataset.test.identities.tolist(), dataset.test.cameras.tolist()
    seen: dict[int, set[int]] = {}
    for row in dataset.gallery:
        seen.setdefault(identities[row], set()).add(cameras[row])
    return sum(not seen.get(identities[row], set()) - {cameras[row]} for row in dataset.query)


def queries_left_out(dataset: TrackletDataset) -> str:
    """What to say of queries that evaluation cannot count; empty without any.

    Raises DataError where that are all of them: there is nothing to measure.
    """
    unmatched, total = unmatched_queries(dataset), len(dataset.query)
    if not unmatched:
        return ""
    if unmatched == total:
        raise DataError(
            f"{dataset.name}: no query can be counted ({total:,}): no other camera of the gallery shows its "
            "person; mend identities or cameras, or leave query/ and gallery/ out to train without measuring"
        )
    return (
        f"{unmatched:,} of {total:,} queries are not counted: no other camera of the gallery shows the person"
    )


def check_frames(
    dataset: TrackletDataset, count: int | None, progress: Callable[[int, int], None] | None = None
) -> FrameCheck:
    """Decodes `count` frames evenly spread over all tracklets (None: every frame).

    A tracklet with a bad frame is searched for a good one, so that a lost tracklet is never missed
    because only one frame of it was looked at. `progress` gets (done, of how many). Frames that are
    drawn rather than read from files are not checked.
    """
    files = [
        (split, split.frames)
        for split in (dataset.train, dataset.test)
        if split is not None and isinstance(split.frames, JpegFrames)
    ]
    total = sum(len(source) for _, source in files)
    count = total if count is None else min(count, total)
    chosen = np.linspace(0, total - 1, count).astype(np.int64)
    checked, start, unreadable, lost = 0, 0, [], []
    for split, source in files:
        bad = {}
        for frame, reason in _reasons(
            source, chosen[(chosen >= start) & (chosen < start + len(source))] - start
        ):
            checked += 1
            if reason:
                bad[frame] = reason
            if progress and (checked % _AT_ONCE == 0 or checked == count):
                progress(checked, count)
        unreadable += [(source.name(frame), reason) for frame, reason in bad.items()]
        lost += _lost(split, source, list(bad))
        start += len(source)
    return FrameCheck(checked, total, tuple(unreadable), tuple(lost))


def _reasons(source: JpegFrames, frames: Ints) -> Iterator[tuple[int, str | None]]:
    for start in range(0, len(frames), _AT_ONCE):
        some = frames[start : start + _AT_ONCE].tolist()
        yield from zip(some, explain_all([source.path(frame) for frame in some]), strict=True)


def _lost(split: Split, source: JpegFrames, bad: Sequence[int]) -> list[str]:
    """Names of the tracklets, among those of the bad frames, in which no frame decodes."""
    tracklets = np.unique(np.searchsorted(split.offsets, bad, side="right") - 1)
    return [
        f"{split.name} {split.names[row]}"
        for row in tracklets
        if all(explain(source.path(frame)) for frame in range(split.offsets[row], split.offsets[row + 1]))
    ]


def report(dataset: TrackletDataset, check: FrameCheck) -> str:
    """The page that `inspect` prints: table, protocol, frames, problems."""
    parts = [
        _table(summarise(dataset)),
        _paragraph("protocol", _protocol_lines(dataset)),
        _paragraph("time", [_time_line(dataset.train)]),
        _paragraph("decoding", _decoding_lines(check)),
        _paragraph("problems", list(dataset.problems) or ["none in folders, names and tables"]),
    ]
    return f"{visible(dataset.name)}, fingerprint {dataset.fingerprint()}\n\n" + "\n".join(parts).rstrip()


def _table(rows: Sequence[Summary]) -> str:
    lines = [_HEADER] + [
        (
            row.name,
            f"{row.tracklets:,}",
            "-" if row.identities is None else f"{row.identities:,}",
            "-" if row.cameras is None else str(row.cameras),
            f"{row.frames:,}",
            f"{row.shortest:,}",
            f"{row.median:,g}",
            f"{row.longest:,}",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    return "".join(
        "  ".join(
            [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
        )
        + "\n"
        for line in lines
    )


def _protocol_lines(dataset: TrackletDataset) -> list[str]:
    lines = [dataset.protocol]
    if dataset.test is None or dataset.test.identities is None:
        return [*lines, "clustering only: retrieval needs query/ and gallery/ with identities"]
    identities = dataset.test.identities[dataset.gallery]
    junk, distractors = int((identities == JUNK).sum()), int((identities == DISTRACTOR).sum())
    lines.append(
        f"gallery rows: {junk:,} junk (ignored), {distractors:,} distractors (match no query), "
        f"{len(identities) - junk - distractors:,} of known people"
    )
    if left_out := queries_left_out(dataset):
        lines.append(left_out)
    return lines


def _time_line(train: Split) -> str:
    if train.times is None:
        return "the names of the training frames do not tell when a camera saw them"
    pairs = 0
    for camera in np.unique(train.cameras):
        begin, end = train.times[train.cameras == camera].T
        ended_before = np.searchsorted(np.sort(end), begin)
        pairs += len(begin) * (len(begin) - 1) // 2 - int(ended_before.sum())
    return f"in the frames' names: {pairs:,} pairs of training tracklets that one camera saw at the same time"


def _decoding_lines(check: FrameCheck) -> list[str]:
    if not check.total:
        return ["frames are drawn when they are needed; no files to decode"]
    if not check.checked:
        return [f"none of {check.total:,} frames decoded"]
    how = "" if check.checked == check.total else ", evenly spread (--frames all decodes every one)"
    lines = [
        f"{check.checked:,} of {check.total:,} frames decoded{how}: "
        + (f"{len(check.unreadable):,} cannot be read" if check.unreadable else "all readable")
    ]
    for reason in sorted({reason for _, reason in check.unreadable}):
        names = [name for name, why in check.unreadable if why == reason]
        lines.append(f"{len(names):,} {reason}: {first_few(names, show=10)}")
    if check.unreadable and not check.lost:
        lines.append("usable all the same: training and evaluation leave these frames out")
    return lines


def _paragraph(title: str, lines: Sequence[str]) -> str:
    return "".join(f"{title if not place else '':<10}{visible(line)}\n" for place, line in enumerate(lines))
