"""Rank lists, camera pairs and merge steps as parts of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from analysis.page.frame import render
from analysis.page.typeset import number
from analysis.people.findings import Findings, Listed, Seen
from analysis.people.history import (
    History,
    Join,
    commonest,
    counts,
    evenly,
    joins_shown,
    new_classes,
)
from analysis.people.rank_lists import CameraPair
from analysis.people.tiles import Thumbnails, Tile, people
from analysis.stats.joins import CAUSES
from dcreid.data.tracklets import Ints, Split
from dcreid.evaluation.joins import RIGHT, WRONG
from study.record.ledger import TrialRecord

FEW = 10  # queries: a share of fewer is marked
_JOINS, _ROWS = 10, 170  # joins shown of a step, and of all steps together
_OF_A_SIDE = 3  # tracklets
_OF_A_CLASS = 8
_PEOPLE = {-1: "junk", 0: "distractor"}
CAUSE_WORDS = {
    "inter": "the features put two persons nearer together",
    "intra": "the strangers were tighter classes",
    "size": "the strangers were smaller classes",
    "none": "no class of either person was left to join",
}


def who(camera: int | None, identity: int | None) -> str:
    """`16 c1`; what is not known is left out."""
    person = [] if identity is None else [_PEOPLE.get(identity, str(identity))]
    return " ".join(person + ([] if camera is None else [f"c{camera}"]))


def share(part: int, whole: int, what: str = "") -> str:
    """`3 of 12 queries (25 %)`"""
    text = f"{part:,} of {whole:,} {what}".rstrip()
    return text + (f" ({100 * part / whole:.0f} %)" if whole else "")


def how_chosen(trial: TrialRecord, step: int) -> str:
    """`, the step with the highest score without labels`; empty for any other step."""
    if step == trial.selected_step:
        return ", the step with the highest score without labels"
    return (
        ", the step with the highest mAP, chosen with test labels"
        if step == trial.highest_step("mAP")
        else ""
    )


# --- rank lists


@dataclass(frozen=True)
class Row:
    """A query in a list: its group and camera for the filters, a heading, its tiles."""

    group: str
    camera: str
    heading: str
    tiles: Markup


def lists(rows: Sequence[Row], *, ignored: bool, limits: tuple[float, float] | None = None) -> Markup:
    """Rows with what filters them. ignored: whether any entry is hidden until it is asked for."""
    groups = list(dict.fromkeys(row.group for row in rows))
    cameras = sorted({row.camera for row in rows if row.camera}, key=lambda one: (len(one), one))
    return render(
        "people-lists.html", rows=rows, groups=groups, cameras=cameras, ignored=ignored, limits=limits
    )


def rank_lists(found: Findings, thumbnails: Thumbnails) -> Markup:
    """The lists of a network."""
    rows = [
        Row(
            one.group,
            "" if one.query.camera is None else str(one.query.camera),
            _heading(one),
            _tiles(one, thumbnails),
        )
        for one in found.lists
    ]
    return lists(rows, ignored=any(one.ignored for one in found.lists))


def _heading(one: Listed) -> str:
    whose = who(one.query.camera, one.query.identity)
    text = f"{one.query.name}" + (f" ({whose})" if whose else "")
    if one.average_precision is None:
        return f"tracklet {text}"
    ignored = f", {one.ignored} ignored" if one.ignored else ""
    return (
        f"{one.group}: {text}, average precision {100 * one.average_precision:.1f} %, first match at rank "
        f"{one.first_right}{ignored}"
    )


def _tiles(one: Listed, thumbnails: Thumbnails) -> Markup:
    tiles, last = [tile(one.query, thumbnails, kind="query")], 0
    for hit in one.hits:
        tiles.append(tile(hit, thumbnails, gap=hit.rank > last + 1))
        last = hit.rank or last
    return people(tiles)


def tile(seen: Seen, thumbnails: Thumbnails, *, kind: str = "", gap: bool = False) -> Tile:
    """A tracklet of a list, with its rank where it has one."""
    text = who(seen.camera, seen.identity)
    picture = thumbnails(seen.tracklet, f"{seen.name} {text}".strip())
    return Tile(kind or seen.kind, seen.name, f"{seen.rank}.\n{text}" if seen.rank else text, picture, gap)


# --- camera pairs


@dataclass(frozen=True)
class _Cell:
    queries: int
    right: int

    @property
    def share(self) -> float:
        return self.right / self.queries

    @property
    def few(self) -> bool:
        return self.queries < FEW


def camera_pairs(pairs: Sequence[CameraPair]) -> Markup:
    """The matrix of query cameras and gallery cameras."""
    columns = sorted({pair.gallery_camera for pair in pairs})
    cells = {(pair.query_camera, pair.gallery_camera): _Cell(pair.queries, pair.right) for pair in pairs}
    rows = [
        (camera, [cells.get((camera, column)) for column in columns])
        for camera in sorted({pair.query_camera for pair in pairs})
    ]
    caption = (
        "Of the queries of a row's camera whose person a column's camera has seen: how many have "
        "that person as the "
        "nearest of what that camera saw, junk left out (rank-1 with one gallery camera at a time). "
        "Within one camera "
        f"nothing is measured: a query's own person there is ignored. Italics: fewer than {FEW} queries."
    )
    return render("people-pairs.html", columns=columns, rows=rows, caption=caption)


# --- merge steps


@dataclass(frozen=True)
class ShownJoin:
    """For the template: two classes that were joined, or (b None) a class that was made."""

    kind: str
    heading: str
    a: Markup
    b: Markup | None
    size: str


@dataclass(frozen=True)
class ShownStep:
    """For the template."""

    number: int
    said: str
    joins: list[ShownJoin]


def merge_steps(
    history: History,
    names: Sequence[str],
    split: Split | None,
    thumbnails: Thumbnails,
    step: int,
    *,
    exact: bool,
) -> Markup:
    """A slider over all merge steps, at `step` first; names: of the tracklets.

    exact: of joins, the classes are those before each join (`History`).
    """
    most = min(_JOINS, max(3, _ROWS // max(history.steps, 1)))
    made = {} if history.joins is None else {int(s) for s in history.joins["step"]}
    portrait = Portraits(names, split, thumbnails)
    steps = [
        _joined(history, at, most, portrait, exact) if at in made else _anew(history, at, most, portrait)
        for at in range(1, history.steps + 1)
    ]
    return render("people-steps.html", steps=steps, start=step - 1)


@dataclass(frozen=True)
class Portraits:
    """Training tracklets as tiles; split: None where nobody has the data."""

    names: Sequence[str]
    split: Split | None
    thumbnails: Thumbnails

    def tiles(self, members: Ints, most: int, kinds: dict[int, str] | None = None) -> Markup:
        """Some of these, evenly, and how many are left."""
        shown = evenly(members, most)
        made = [self.tile(one, (kinds or {}).get(one, "")) for one in shown]
        left = len(members) - len(shown)
        return render("people-some.html", tiles=people(made), left=f"{left:,}" if left else "")

    def tile(self, tracklet: int, kind: str = "", more: str = "") -> Tile:
        """One of them."""
        name, text = self.names[tracklet], self.who(tracklet)
        return Tile(kind, name, f"{text} {more}".strip(), self.thumbnails(tracklet, f"{name} {text}".strip()))

    def who(self, tracklet: int) -> str:
        """Person and camera, as far as these are known."""
        if self.split is None:
            return ""
        camera = int(self.split.cameras[tracklet]) if self.split.cameras_known else None
        identity = None if self.split.identities is None else int(self.split.identities[tracklet])
        return who(camera, identity)

    def kinds(self, members: Ints) -> dict[int, str]:
        """Of a class: right is the commonest person, wrong another; nothing where nobody knows."""
        if self.split is None or self.split.identities is None:
            return {}
        identities = self.split.identities[members]
        most = commonest(identities)
        return {
            int(one): "right" if identity == most else "wrong"
            for one, identity in zip(members, identities.tolist(), strict=True)
        }

    def persons(self, members: Ints) -> str:
        """`, 2 persons` where identities are known."""
        if self.split is None or self.split.identities is None:
            return ""
        return f", {number(len(np.unique(self.split.identities[members])), 'person')}"


def _joined(history: History, step: int, most: int, portrait: Portraits, exact: bool) -> ShownStep:
    joins = joins_shown(history, step, most, exact=exact)
    whole, right, wrong = counts(history, step)
    said = f"{number(whole, 'join')}, {_classes(history, step)}"
    if right + wrong:
        said = (
            f"{number(whole, 'join')}: {right:,} right, {wrong:,} wrong{_causes(history, step)}; "
            f"{_classes(history, step)}"
        )
    if len(joins) < whole:
        bad = sum(join.right == WRONG for join in joins)
        which = f" ({bad} of the wrong ones, {len(joins) - bad} of the right ones)" if right + wrong else ""
        said += f" Shown are {len(joins)}{which}, evenly over the step."
    return ShownStep(step, said, [_join(join, portrait) for join in joins])


def _causes(history: History, step: int) -> str:
    assert history.joins is not None
    of = history.joins[(history.joins["step"] == step) & (history.joins["right"] == WRONG)]
    found = of["cause"].value_counts()
    named = [f"{CAUSES[str(cause)][0]} {count:,}" for cause, count in found.items()]
    return f" (by {', '.join(named)})" if named else ""


def _classes(history: History, step: int) -> str:
    return f"{number(len(np.unique(history.labels[step])), 'class', 'classes')} left."


def _join(join: Join, portrait: Portraits) -> ShownJoin:
    kind = {RIGHT: "right", WRONG: "wrong"}.get(join.right, "")
    where = "one camera" if join.one_camera else "across cameras"
    said = {"right": "the same person", "wrong": "two persons"}.get(kind)
    heading = f"{len(join.a)} + {number(len(join.b), 'tracklet')}"
    if portrait.split is None or portrait.split.cameras_known:
        heading += f", {where}"
    if said:
        heading = f"{said}: {heading}" + (f"; {CAUSE_WORDS[join.cause]}" if join.cause else "")
    a, b = (portrait.tiles(side, _OF_A_SIDE) for side in (join.a, join.b))
    more = "" if join.size == len(join.a) + len(join.b) else "part of "
    return ShownJoin(kind, heading, a, b, f"{more}a class of {join.size}")


def _anew(history: History, step: int, most: int, portrait: Portraits) -> ShownStep:
    """A step without joins: what is new among its classes."""
    new = new_classes(history, step)
    whole = len(np.unique(history.labels[step]))
    if not new:
        return ShownStep(step, f"The classes stay as they were: {_classes(history, step)}", [])
    largest = [one for one in new if len(one) > 1][: max(4, most // 2)]
    said = (
        f"Classes are made anew: {whole:,}, of which {len(new):,} were not there before. Shown are the "
        f"{len(largest)} largest new ones."
    )
    made = [
        ShownJoin(
            "",
            f"{number(len(one), 'tracklet')}{portrait.persons(one)}",
            portrait.tiles(one, _OF_A_CLASS, portrait.kinds(one)),
            None,
            "",
        )
        for one in largest
    ]
    return ShownStep(step, said, made)


def cameras_of(split: Split | None, members: Iterable[int]) -> list[int]:
    """The cameras that saw these; empty where nobody knows."""
    if split is None or not split.cameras_known:
        return []
    return sorted({int(split.cameras[one]) for one in members})
