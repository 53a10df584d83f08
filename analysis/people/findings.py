"""Who a trained network takes for whom: rank lists of some queries and counts over all, kept in a small file.

The features take minutes on a CPU, so what a page shows of them is kept as JSON in the study's `analysis/`:
`people-0000-step-016-1a2b3c4d.json`, the last part being the run's digest. It says which trial,
configuration, data and step it is of; of others it is not used.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from analysis.data.results import Study
from analysis.people.network import Rebuilt
from analysis.people.rank_lists import (
    WRONG,
    CameraPair,
    RankList,
    by_difficulty,
    first_by_camera,
    in_between,
    nearest_elsewhere,
    rank_lists,
)
from dcreid.clustering.distances import cross_distances
from dcreid.data.tracklets import JUNK, Ints, Split
from dcreid.paths import write_whole
from study.record.ledger import TrialRecord

HARDEST, BETWEEN, EASIEST, EVENLY = "hardest", "in between", "easiest", "evenly chosen"
NEAR = "near"  # nobody knows whether it is right
QUERIES = 8  # of each kind
_FORMAT = 1
_log = logging.getLogger("dcreid.analysis")


@dataclass(frozen=True)
class Seen:
    """A tracklet in a list. camera, identity: None where nobody knows them."""

    tracklet: int
    name: str
    camera: int | None
    identity: int | None
    kind: str = ""  # right, wrong, ignored or near; "" of a query
    rank: int = 0


@dataclass(frozen=True)
class Listed:
    """A query with its nearest, and the first right one."""

    query: Seen
    group: str  # hardest, …
    hits: tuple[Seen, ...]
    average_precision: float | None
    first_right: int  # 0: none, or not known
    ignored: int


@dataclass(frozen=True)
class First:
    """What stands first for a query that has a match, and where that match ranks."""

    query: Seen
    hit: Seen
    first_right: int
    average_precision: float


@dataclass(frozen=True)
class Findings:
    """Of one network. Without labels `lists` alone: the nearest tracklets of other cameras."""

    trial: int
    step: int
    lists: tuple[Listed, ...]
    pairs: tuple[CameraPair, ...] = ()
    firsts: tuple[First, ...] = ()
    queries: int = 0  # all, those without a match too
    own_camera: float | None = (
        None  # share of the wrong gallery entries that the query's camera saw, over queries
    )

    @property
    def labelled(self) -> bool:
        """Whether anything is known to be right."""
        return bool(self.firsts)


def findings_of(rebuilt: Rebuilt) -> Findings:
    """What the network makes of the test tracklets; without labels of the training tracklets."""
    data = rebuilt.algorithm.data
    if data.labelled and rebuilt.test_store is not None:
        return _of_queries(rebuilt, rebuilt.test_features())
    return _of_neighbours(rebuilt)


def _of_queries(rebuilt: Rebuilt, v: Float[Tensor, "t d"]) -> Findings:
    data = rebuilt.algorithm.data
    assert data.test is not None and data.test.identities is not None
    test, query, gallery = data.test, data.query, data.gallery
    distances = cross_distances(v[query], v[gallery]).numpy()
    who, seen_by = data.test.identities, test.cameras
    sides = who[query], who[gallery], seen_by[query], seen_by[gallery]
    lists = rank_lists(distances, *sides)
    chosen = [
        *((HARDEST, one) for one in by_difficulty(lists, QUERIES, hardest=True)),
        *((BETWEEN, one) for one in in_between(lists, QUERIES)),
        *((EASIEST, one) for one in reversed(by_difficulty(lists, QUERIES, hardest=False))),
    ]
    unique = {one.query: (group, one) for group, one in reversed(chosen)}
    firsts = [
        First(
            _seen(test, int(query[one.query])),
            _hit(one, one.ranks.index(1), test, gallery),
            one.first_right,
            one.average_precision,
        )
        for one in lists
        if one.first_right
    ]
    return Findings(
        rebuilt.trial.number,
        rebuilt.step,
        tuple(_listed(group, one, test, query, gallery) for group, one in reversed(unique.values())),
        tuple(first_by_camera(distances, *sides)),
        tuple(firsts),
        len(query),
        _own_camera(*sides),
    )


def _own_camera(query_ids: Ints, gallery_ids: Ints, query_cams: Ints, gallery_cams: Ints) -> float:
    """Share of the gallery that the query's own camera saw, of what is not its person: by chance."""
    shares = []
    for who, camera in zip(query_ids.tolist(), query_cams.tolist(), strict=True):
        others = (gallery_ids != who) & (gallery_ids != JUNK)
        if others.any():
            shares.append(float((gallery_cams[others] == camera).mean()))
    return float(np.mean(shares)) if shares else math.nan


def _of_neighbours(rebuilt: Rebuilt) -> Findings:
    train = rebuilt.algorithm.data.train
    known = train.cameras_known and len(np.unique(train.cameras)) > 1
    chosen = np.linspace(0, len(train) - 1, min(3 * QUERIES, len(train))).astype(int).tolist()
    found = nearest_elsewhere(rebuilt.train_features().numpy(), chosen, train.cameras if known else None)
    lists = [
        Listed(
            _seen(train, tracklet),
            EVENLY,
            tuple(_seen(train, near, NEAR, rank) for rank, near in enumerate(nearest.tolist(), start=1)),
            None,
            0,
            0,
        )
        for tracklet, nearest in found
    ]
    return Findings(rebuilt.trial.number, rebuilt.step, tuple(lists))


def _listed(group: str, one: RankList, test: Split, query: Ints, gallery: Ints) -> Listed:
    hits = tuple(_hit(one, place, test, gallery) for place in range(len(one.gallery)))
    asked = _seen(test, int(query[one.query]))
    return Listed(asked, group, hits, one.average_precision, one.first_right, one.ignored)


def _hit(one: RankList, place: int, test: Split, gallery: Ints) -> Seen:
    return _seen(test, int(gallery[one.gallery[place]]), one.kinds[place], one.ranks[place])


def _seen(split: Split, tracklet: int, kind: str = "", rank: int = 0) -> Seen:
    camera = int(split.cameras[tracklet]) if split.cameras_known else None
    identity = None if split.identities is None else int(split.identities[tracklet])
    return Seen(tracklet, str(split.names[tracklet]), camera, identity, kind, rank)


# --- what goes wrong most


def wrong_firsts(found: Findings) -> list[First]:
    """Queries whose first rank is another person."""
    return [one for one in found.firsts if one.hit.kind == WRONG]


def takers(found: Findings) -> list[tuple[int, list[First]]]:
    """(identity, the queries whose first rank it wrongly takes), most first; distractors one by one."""
    taken: dict[tuple[int, int], list[First]] = {}
    for one in wrong_firsts(found):
        identity = one.hit.identity or 0
        key = (identity, -1) if identity > 0 else (identity, one.hit.tracklet)
        taken.setdefault(key, []).append(one)
    order = sorted(taken.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(identity, queries) for (identity, _), queries in order]


# --- the file


def file_name(trial: TrialRecord, step: int) -> str:
    """Where findings are kept, in the study's `analysis/` or in a folder that several studies may share."""
    return f"people-{trial.number:04d}-step-{step:03d}-{trial.digest[:8]}.json"


def keep(found: Findings, study: Study, trial: TrialRecord, folder: Path) -> Path:
    """Writes the file. Raises OSError."""
    path = folder / file_name(trial, found.step)
    content = {"of": _stamp(study, trial, found.step), "found": dataclasses.asdict(found)}
    write_whole(path, json.dumps(content).encode())
    return path


def kept(study: Study, trial: TrialRecord, step: int, folders: Iterable[Path]) -> Findings | None:
    """What `keep` has written in the first of the folders that has it; of another network it is not used."""
    for folder in folders:
        path = folder / file_name(trial, step)
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["of"] == _stamp(study, trial, step):
                return _restored(content["found"])
            why = "is of another configuration or data"
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            why = f"cannot be read ({type(error).__name__})"
        _log.warning("%s %s and is not used", path, why)
    return None


def _stamp(study: Study, trial: TrialRecord, step: int) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "trial": trial.number,
        "step": step,
        "configuration": trial.digest,
        "data": study.data["fingerprint"],
    }


def _restored(stored: dict[str, Any]) -> Findings:
    lists = tuple(
        Listed(**one | {"query": Seen(**one["query"]), "hits": _all_seen(one["hits"])})
        for one in stored["lists"]
    )
    firsts = tuple(
        First(**one | {"query": Seen(**one["query"]), "hit": Seen(**one["hit"])}) for one in stored["firsts"]
    )
    pairs = tuple(CameraPair(**one) for one in stored["pairs"])
    return Findings(**stored | {"lists": lists, "firsts": firsts, "pairs": pairs})


def _all_seen(stored: Sequence[dict[str, Any]]) -> tuple[Seen, ...]:
    return tuple(Seen(**one) for one in stored)
