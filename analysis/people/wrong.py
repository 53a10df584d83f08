"""What goes wrong most, in sentences with numbers and a few pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from analysis.page.typeset import number
from analysis.people.findings import Findings, takers, wrong_firsts
from analysis.people.history import History
from analysis.people.shown import CAUSE_WORDS, FEW, Portraits, share, tile
from analysis.people.tiles import Thumbnails, people
from analysis.stats.joins import CAUSES
from dcreid.data.tracklets import Ints
from dcreid.evaluation.joins import RIGHT, WRONG
from dcreid.evaluation.unlabelled import same_camera

_FAR = 20  # a first match below this rank is far
_EXAMPLES = 3
_LARGEST = 2  # classes that are shown
_OF_A_CLASS = 6  # tracklets of these


@dataclass(frozen=True)
class Item:
    """A sentence, with (heading, tiles) of examples."""

    said: str
    people: list[tuple[str, Markup]] = field(default_factory=list)


def of_first_ranks(found: Findings, thumbnails: Thumbnails) -> list[Item]:
    """Wrong first ranks: how many, of which cameras, who takes them; and how far the right ones are."""
    items = [*_wrong_firsts(found, thumbnails), *_hardest_pairs(found)]
    measured = len(found.firsts)
    if far := [one for one in found.firsts if one.first_right > _FAR]:
        last = max(far, key=lambda one: one.first_right)
        items.append(
            Item(
                f"For {share(len(far), measured, 'queries')} the first match ranks beyond {_FAR}; "
                f"the furthest is "
                f"at rank {last.first_right:,} (query {last.query.name})."
            )
        )
    if found.queries > measured:
        without = share(found.queries - measured, found.queries, "queries")
        items.append(Item(f"{without} have no match in the gallery and are not counted."))
    return items


def _wrong_firsts(found: Findings, thumbnails: Thumbnails) -> list[Item]:
    wrong = wrong_firsts(found)
    if not wrong:
        return []
    own = sum(one.hit.camera == one.query.camera for one in wrong)
    said = (
        f"Another person stands first for {share(len(wrong), len(found.firsts), 'queries')}. Of "
        f"these wrong first "
        f"ranks {share(own, len(wrong))} were seen by the query's own camera"
    )
    if found.own_camera is not None:
        said += f"; of all other persons' tracklets {100 * found.own_camera:.0f} % were"
    often = takers(found)[:_EXAMPLES]
    if len(often[0][1]) < 2:
        return [Item(f"{said}. Nobody stands first for more than one query of another person.")]
    shown = []
    for identity, taken in often:
        whom = f"person {identity}" if identity > 0 else f"distractor {taken[0].hit.name}"
        others = number(len({one.query.identity for one in taken}), "other person")
        taker = dataclasses.replace(taken[0].hit, rank=0)  # it is first for each: no rank needs to be shown
        examples = [tile(taker, thumbnails)]
        examples += [tile(one.query, thumbnails, kind="query") for one in taken[:4]]
        heading = f"{whom} stands first for {number(len(taken), 'query', 'queries')} of {others}"
        shown.append((heading, people(examples)))
    return [Item(f"{said}."), Item("Those who stand first for others most often:", shown)]


def _hardest_pairs(found: Findings) -> list[Item]:
    """The pairs of cameras with the lowest shares; those of few queries only where there are no others."""
    pairs = [pair for pair in found.pairs if pair.queries >= FEW] or list(found.pairs)
    worst = sorted(pairs, key=lambda pair: (pair.right / pair.queries, -pair.queries))[:_EXAMPLES]
    named = [
        f"queries of camera {pair.query_camera} in camera {pair.gallery_camera}, right for "
        f"{share(pair.right, pair.queries)}"
        for pair in worst
    ]
    return [Item(f"Hardest from camera to camera: {'; '.join(named)}.")] if named else []


def of_joins(history: History) -> list[Item]:
    """Wrong joins by cause, over all merge steps; nothing where nobody knows or nothing is joined."""
    if history.joins is None:
        return []
    right = history.joins["right"]
    wrong, known = history.joins[right == WRONG], int(right.isin((RIGHT, WRONG)).sum())
    if not known:
        return []
    named = []
    for cause, count in wrong["cause"].value_counts().items():
        term = "" if cause == "none" else f" ({CAUSES[str(cause)][0]})"
        named.append(f"in {100 * count / len(wrong):.0f} % {CAUSE_WORDS[str(cause)]}{term}")
    causes = f": {'; '.join(named)}" if named else ""
    return [Item(f"{share(len(wrong), known, 'joins')} were wrong{causes}.")]


def of_classes(history: History, step: int, portraits: Portraits) -> list[Item]:
    """The classes after a merge step: how many, how large, how sure, and how far they follow cameras."""
    split, classes, labels = portraits.split, history.members(step), history.labels[step]
    alone = sum(len(one) == 1 for one in classes)
    said = (
        f"{number(len(labels), 'training tracklet')} are in "
        f"{number(len(classes), 'class', 'classes')}; the largest "
        f"has {len(classes[0]):,}, and {alone or 'none'} stand{'s' * (alone < 2)} alone."
    )
    if split is not None and split.identities is not None:
        mixed = sum(len(np.unique(split.identities[one])) > 1 for one in classes)
        said += f" {share(mixed, len(classes), 'classes')} hold more than one person."
    shown = [
        (
            f"{number(len(one), 'tracklet')}{portraits.persons(one)}",
            portraits.tiles(one, _OF_A_CLASS, portraits.kinds(one)),
        )
        for one in classes[:_LARGEST]
    ]
    items = [Item(said, shown)]
    if split is not None and split.cameras_known:
        items += _of_cameras(labels, split.cameras)
    sure = history.confidence[step]
    if np.isfinite(sure).all():
        unsure = share(int((sure == 0).sum()), len(sure), "tracklets")
        items.append(Item(f"{unsure} have none of their five nearest in their class."))
    return items


def _of_cameras(labels: Ints, cameras: Ints) -> list[Item]:
    inside, everywhere = same_camera(labels, cameras), same_camera(np.zeros_like(labels), cameras)
    if inside is None or everywhere is None or everywhere == 1:
        return []
    return [
        Item(
            f"Of two tracklets in one class {100 * inside:.0f} % were seen by the same camera, of any two "
            f"{100 * everywhere:.0f} %."
        )
    ]
