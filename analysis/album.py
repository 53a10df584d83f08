"""One HTML page of the classes that a trial has made: who is in them, how sure that is, and how they grew.

python analysis/album.py STUDY [--trial N] [--step S] [--out DIR]

Classes after one merge step, the largest first, with some of their tracklets and a tree of what joined when;
with or without labels. The page opens from a disk, without network or server. It shows people: keep it with
the study, and share it only as the data set's terms allow (--without-pictures writes one with names alone).
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from markupsafe import Markup

from analysis import command
from analysis.data.folder import ResultsError
from analysis.data.results import Study, load
from analysis.page import frame
from analysis.page.frame import Pictures, Section, page, paragraph, render
from analysis.page.typeset import number
from analysis.people.growth import tree
from analysis.people.history import Branch, History, evenly, grown, history_of, together
from analysis.people.network import by_preference, choose, data_of
from analysis.people.shown import Portraits, cameras_of, how_chosen, share
from analysis.people.tiles import Thumbnails, people
from dcreid.commandline import READABLE, say
from dcreid.data.tracklets import DataError, Ints, TrackletDataset
from dcreid.paths import write_whole
from study.record.ledger import TrialRecord

_OF_A_CLASS = (3, 12)  # fewest and most pictures
_PICTURES = 3000  # of all classes together, about four megabytes
_ALONE = 60  # pictures of those that are a class of their own
_MIXED, _PURE, _ACROSS, _ONE = "mixed", "pure", "across", "one"


@dataclass(frozen=True)
class ShownClass:
    """A class for the template; purity and sure are NaN where they are not known."""

    size: int
    purity: float
    sure: float
    cameras: list[int]
    kinds: str
    heading: str
    tiles: Markup
    growth: Markup | None
    summary: str
    others: str  # names of those without a picture


def album(
    study: Study,
    trial: TrialRecord,
    step: int,
    history: History,
    data: TrackletDataset | None,
    pictures: Pictures,
    missing: Sequence[str] = (),
) -> str:
    """The page. data: None where it is not at hand, `missing` says why."""
    split = None if data is None else data.train
    names = [f"tracklet {i}" for i in range(history.labels.shape[1])] if split is None else list(split.names)
    portraits = Portraits(names, split, Thumbnails(split, pictures, str(study.data["fingerprint"])))
    classes = history.members(step)
    several = [one for one in classes if len(one) > 1]
    alone = [int(one[0]) for one in classes if len(one) == 1]
    most = max(_OF_A_CLASS[0], min(_OF_A_CLASS[1], _PICTURES // max(len(several), 1)))
    shown, left = [], _PICTURES
    for members in several:
        shown.append(_class(members, step, history, portraits, most if left > 0 else 0))
        left -= min(most, len(members))
    parts = [_opening(study, trial, step, history, classes, portraits, missing), _listed(shown, portraits)]
    if alone:
        parts.append(_alone(alone, portraits))
    section = Section("classes", f"Classes after merge step {step}", Markup().join(parts[1:]))
    return page(f"Classes of {study.name}", [section], lead=parts[0], pictures=pictures)


def _opening(
    study: Study,
    trial: TrialRecord,
    step: int,
    history: History,
    classes: Sequence[Ints],
    portraits: Portraits,
    missing: Sequence[str],
) -> Markup:
    n, split = history.labels.shape[1], portraits.split
    said = (
        f"{number(n, 'tracklet')} are in {number(len(classes), 'class', 'classes')} after merge "
        f"step {step} of trial {trial.number}{how_chosen(trial, step)}."
    )
    facts: list[str] = [f"The largest class has {number(len(classes[0]), 'tracklet')}."]
    if split is not None and split.identities is not None:
        persons = [np.unique(split.identities[one]) for one in classes]
        mixed = sum(len(one) > 1 for one in persons)
        in_several = np.unique(np.concatenate(persons), return_counts=True)[1]
        purity = sum(_purity(one, split.identities) * len(one) for one in classes) / n
        facts.append(
            f"{share(mixed, len(classes), 'classes')} hold more than one person, and "
            f"{share(int((in_several > 1).sum()), len(in_several), 'persons')} "
            f"are in more than one class; purity {100 * purity:.1f} %."
        )
    words = ["python", "analysis/album.py", str(study.folder), "--data-root", "DIR"]
    sure = history.confidence[step]
    if np.isfinite(sure).all():
        facts.append(
            f"{share(int((sure == 0).sum()), n, 'tracklets')} have none of their five nearest in their class."
        )
    return render(
        "album-lead.html",
        said=said,
        facts=facts,
        missing=[one.rstrip(".") for one in missing],
        command=frame.command(shlex.join(words)) if missing and study.plan.root is not None else "",
    )


def _listed(shown: Sequence[ShownClass], portraits: Portraits) -> Markup:
    if not shown:
        return paragraph("Every tracklet is a class of its own.")
    orders = [("size down", "largest first"), ("size up", "smallest first")]
    kinds = []
    split = portraits.split
    if all(math.isfinite(one.sure) for one in shown):
        orders += [("sure up", "least sure first"), ("sure down", "surest first")]
    if split is not None and split.identities is not None:
        orders += [("purity up", "most mixed first")]
        kinds += [(_MIXED, "with several persons"), (_PURE, "with one person")]
    if split is not None and split.cameras_known:
        orders += [("cameras down", "most cameras first")]
        kinds += [(_ACROSS, "seen by several cameras"), (_ONE, "seen by one camera")]
    cameras = sorted({camera for one in shown for camera in one.cameras})
    marks = []
    if split is not None and split.identities is not None:
        marks.append("✓ green: the class's commonest person; × red and dashed: another.")
    if split is not None and split.cameras_known:
        marks.append("c: camera.")
    if any(math.isfinite(one.sure) for one in shown):
        marks.append(
            "Percent: how many of a tracklet's five nearest are in its class; the surest stand first."
        )
    return render(
        "album-classes.html",
        classes=shown,
        orders=orders,
        kinds=kinds,
        cameras=cameras,
        marks=" ".join(marks),
    )


def _class(members: Ints, step: int, history: History, portraits: Portraits, most: int) -> ShownClass:
    split, sure = portraits.split, history.confidence[step, members]
    known = bool(np.isfinite(sure).all())
    order = members[np.argsort(-sure, kind="stable")] if known else members
    shown = evenly(order, most)
    kinds = portraits.kinds(members)
    tiles = [
        portraits.tile(
            one, kinds.get(one, ""), f"\n{100 * history.confidence[step, one]:.0f} %" if known else ""
        )
        for one in shown
    ]
    others = sorted({*members.tolist()} - {*shown})
    identities = None if split is None else split.identities
    purity = math.nan if identities is None else _purity(members, identities)
    cameras = cameras_of(split, members)
    told = [number(len(members), "tracklet")]
    if cameras:
        told.append(number(len(cameras), "camera"))
    if identities is not None:
        persons = len(np.unique(identities[members]))
        told.append(f"{number(persons, 'person')}, purity {100 * purity:.0f} %")
    if known:
        told.append(f"{100 * float(sure.mean()):.0f} % of the five nearest inside")
    marks = [] if identities is None else [_PURE if purity == 1 else _MIXED]
    marks += [] if not cameras else [_ACROSS if len(cameras) > 1 else _ONE]
    growth, summary = _growth(members, step, history, portraits)
    return ShownClass(
        size=len(members),
        purity=purity,
        sure=float(sure.mean()),
        cameras=cameras,
        kinds=" ".join(marks),
        heading=", ".join(told),
        tiles=render("people-some.html", tiles=people(tiles), left=f"{len(others):,}" if others else ""),
        growth=growth,
        summary=summary,
        others=", ".join(portraits.names[one] for one in others),
    )


def _growth(members: Ints, step: int, history: History, portraits: Portraits) -> tuple[Markup, str]:
    """How a class grew as a tree, and in a line; a curve where classes do not come out of one another."""
    found = grown(history, members, step)
    if found is None:
        shares = together(history, members, step)
        since = next(at for at in range(step + 1) if all(one == 1 for one in shares[at:]))
        drawn = frame.sparkline(
            shares, alt="largest share that was in one class, by merge step", limits=(0, 1)
        )
        return drawn, f"how it came about: all together since merge step {since}"

    def name(leaf: Branch) -> str:
        if leaf.classes > 1:
            return f"{leaf.classes} smaller classes, {number(len(leaf.members), 'tracklet')}"
        first = int(leaf.members[0])
        text = f"{portraits.names[first]} {portraits.who(first)}".strip()
        return text if len(leaf.members) == 1 else f"{text} and {len(leaf.members) - 1} more"

    identities = None if portraits.split is None else portraits.split.identities
    return tree(found, step, name, identities), f"how it grew, {_merges(found)}"


def _merges(branch: Branch) -> str:
    steps = sorted(_steps_of(branch))
    if not steps:
        return "in one go"
    when = f"at step {steps[0]}" if steps[0] == steps[-1] else f"from step {steps[0]} to {steps[-1]}"
    return f"in {number(len(steps), 'merge')} {when}"


def _steps_of(branch: Branch) -> list[int]:
    return [step for part in branch.parts for step in _steps_of(part)] + [branch.step] * bool(branch.parts)


def _purity(members: Ints, identities: Ints) -> float:
    return float(np.unique(identities[members], return_counts=True)[1].max() / len(members))


def _alone(alone: Sequence[int], portraits: Portraits) -> Markup:
    shown = (
        people([portraits.tile(one) for one in alone[:_ALONE]]) if portraits.thumbnails.shown else Markup()
    )
    said = (
        f"{number(len(alone), 'tracklet')} in a class of its own"
        if len(alone) == 1
        else f"{len(alone):,} tracklets in classes of their own"
    )
    return render("album-alone.html", said=said, tiles=shown, names=[portraits.names[one] for one in alone])


def step_shown(trial: TrialRecord, history: History, wanted: int | None) -> int:
    """The step that is wanted, else the selected one, else the best, else the last. Raises ResultsError."""
    if wanted is None:
        return by_preference(trial, range(1, history.steps + 1))[0]
    if not 0 <= wanted <= history.steps:
        raise ResultsError(
            f"--step {wanted}: trial {trial.number} has classes of merge steps 0 (each tracklet "
            f"alone) to {history.steps}"
        )
    return wanted


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study, trial or data set that cannot be read."""
    made = command.parser("analysis/album.py", __doc__, several=False)
    made.add_argument("--trial", type=int, metavar="N", help="number of the trial [the chosen one]")
    made.add_argument(
        "--step", type=int, metavar="S", help="merge step, 1 the first [the selected one, else the best]"
    )
    made.add_argument("--without-pictures", action="store_true", help="names in place of pictures")
    made.add_argument("--data-root", metavar="DIR", help="folder of the data set [as in the study]")
    return command.run("analysis/album.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    study = load([given.study], finished=False).studies[0]
    trial = choose(study, given.trial)
    history = history_of(study, trial)
    if history is None or not history.steps:
        why = f"was taken over ({trial.reused})" if trial.reused else "has kept none that can be read"
        raise ResultsError(
            f"{study.folder}: no classes of trial {trial.number}: it {why}; name another --trial"
        )
    step, missing, data = step_shown(trial, history, given.step), [], None
    try:
        data = data_of(study, trial, given.data_root)
    except (DataError, ResultsError) as error:
        if given.data_root is not None:
            raise
        missing.append(f"pictures, names and cameras: {error}")
    text = album(study, trial, step, history, data, Pictures(shown=not given.without_pictures), missing)
    path = command.out_folder(given) / f"album-{trial.number:04d}-step-{step:03d}.html"
    content = text.encode(errors=READABLE)
    write_whole(path, content)
    say(f"{path} ({len(content) / 2**20:.1f} MiB)")


if __name__ == "__main__":
    sys.exit(main())
