"""The bound: identities as classes, behind a fence, and no other way for them into training."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import comparable, dataset, run, tiny

import dcreid
from dcreid import algorithm as loop
from dcreid.algorithm import Algorithm
from dcreid.bound import check_identities, identity_labels
from dcreid.clustering import merge_labels
from dcreid.config import Config, ConfigError
from dcreid.data.tracklets import DataError, Ints, TrackletDataset

OPEN: dict[str, Any] = {"train.leak_audit": True}
BOUND: dict[str, Any] = OPEN | {"merge.method": "identities", "train.first_epochs": 0}

_BY_CLASS: dict[str, Any] = {"train.sampler": "classes", "train.tracklets_per_class": 2}


def numbered(identities: list[int]) -> list[int]:
    """0, 1, … in order of the first row of each identity."""
    seen: list[int] = []
    for identity in identities:
        if identity not in seen:
            seen.append(identity)
    return [seen.index(identity) for identity in identities]


def listed(data: TrackletDataset, identities: Ints | None) -> TrackletDataset:
    """The same tracklets, of other people or of nobody knows whom."""
    return dataclasses.replace(data, train=dataclasses.replace(data.train, identities=identities))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_from_the_first_merge_step_on_the_labels_are_the_identities(shuffle: bool, seed: int) -> None:
    config = tiny(
        **BOUND, **{"train.later_epochs": 0, "merge.max_steps": 3, "data.shuffle_tracklets": shuffle}
    )
    config = config.replace(seed=seed)
    data = dataset(config)
    identities = np.random.default_rng(seed).permutation(np.repeat([70, 3, 41, 8, 900], [5, 1, 4, 6, 2]))
    algorithm = run(config, listed(data, identities))
    assert (algorithm.order.tolist() != list(range(18))) == shuffle
    expected = numbered([int(identities[i]) for i in algorithm.order])
    assert [labels.tolist() for labels in algorithm.labels_history] == [expected] * 3
    assert [(s.classes_before, s.classes_after) for s in algorithm.history] == [(18, 5), (5, 5), (5, 5)]
    assert [(s.purity, s.nmi) for s in algorithm.history] == [(1.0, pytest.approx(1.0))] * 3
    assert [len(joins.a) for joins in algorithm.joins] == [0, 0, 0]


def test_rows_are_labelled_in_their_own_order() -> None:
    labels = identity_labels(np.array([7, 7, 2, 5]), np.array([3, 1, 2, 0]))
    assert labels.tolist() == [0, 1, 2, 1] and labels.dtype == torch.int64


def test_the_bound_has_as_many_steps_as_the_same_run_without_identities() -> None:
    bound = tiny(**BOUND, **{"train.later_epochs": 0})
    assert len(run(bound).history) == len(run(bound.replace(**{"merge.method": "once"})).history) == 5


@pytest.mark.parametrize("rows", ["members", "carry"])
def test_it_trains_as_any_run_does_that_finds_these_classes(
    rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identities change the labels alone: bit for bit a run whose merges find these by themselves."""
    config = tiny(
        **BOUND,
        **_BY_CLASS,
        **{"merge.max_steps": 3, "train.camera_proxies": True, "train.memory_init": rows},
    )
    data = dataset(config)
    bound = run(config, data)
    assert data.train.identities is not None
    found = torch.tensor(numbered(data.train.identities[bound.order].tolist()))
    monkeypatch.setattr(loop, "merge_labels", lambda *_, **__: found)
    lucky = run(config.replace(**{"merge.method": "exact"}), data)
    assert comparable(bound.history) == comparable(  # the bound merges nothing
        [dataclasses.replace(step, join_reliability=None) for step in lucky.history]
    )
    for name, value in lucky.network.backbone.state_dict().items():
        assert torch.equal(value, bound.network.backbone.state_dict()[name]), name


def test_what_identities_are_called_plays_no_part() -> None:
    config = tiny(**BOUND, **_BY_CLASS, **{"merge.max_steps": 2})
    data = dataset(config)
    assert data.train.identities is not None
    renamed = run(config, listed(data, 1000 - data.train.identities))
    assert comparable(renamed.history) == comparable(run(config, data).history)


def test_it_is_refused_without_the_fence_and_without_identities() -> None:
    with pytest.raises(ConfigError, match=r"method = 'identities'.*only with leak_audit = true"):
        tiny(**{"merge.method": "identities"})
    data = dataset(tiny())
    blind = listed(data, None)
    for refuses in (check_identities, Algorithm):
        with pytest.raises(DataError, match=r"no identities.*identities \(--plan bound\)"):
            refuses(tiny(**BOUND), blind)
    assert [_refused(*wanted) for wanted in ((tiny(**OPEN), blind), (tiny(**BOUND), data))] == [False, False]
    with pytest.raises(ValueError, match="merges nothing"):
        merge_labels(torch.eye(3), torch.arange(3), tiny(**BOUND).merge, 1)


def _refused(config: Config, data: TrackletDataset) -> bool:
    try:
        check_identities(config, data)
    except DataError:
        return True
    return False


def test_no_room_is_looked_for_that_merges_would_need(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(loop, "check_memory", lambda merge, device, n: asked.append(merge.method))
    for config in (tiny(**BOUND), tiny()):
        Algorithm(config, dataset(config))
    assert asked == ["once"]


_OTHERS: dict[str, dict[str, Any]] = {
    **{method: {"merge.method": method} for method in ("once", "star", "exact", "anew")},
    "rows by index": {"train.memory_init": "previous_rows"},
    "old classes": {"train.memory_init": "old_classes"},
}


@pytest.mark.parametrize("changes", _OTHERS.values(), ids=_OTHERS.keys())
def test_an_open_fence_alone_lets_no_identity_in(changes: dict[str, Any]) -> None:
    config = tiny(
        **OPEN,
        **_BY_CLASS,
        **changes,
        **{"merge.max_steps": 2, "train.camera_proxies": True, "train.first_epochs": 1},
    )
    data = dataset(config)
    assert data.train.identities is not None
    seeing = run(config, data)
    for identities in (
        np.random.default_rng(4).permutation(data.train.identities),
        None,
    ):  # of others, of nobody
        other = run(config, listed(data, identities))
        assert [s.loss for s in seeing.history] == [s.loss for s in other.history]
        found = ([labels.tolist() for labels in one.labels_history] for one in (seeing, other))
        assert next(found) == next(found)
        assert (other.history[-1].purity is None) == (identities is None)


def _readers() -> set[tuple[str, str]]:
    """(module, function) of `dcreid` that read an `identities`, apart from data sets and measures."""
    found, root = set(), Path(dcreid.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).as_posix()
        if not module.startswith(("data/", "evaluation/")):
            functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
            for function in functions:
                if any(isinstance(n, ast.Attribute) and n.attr == "identities" for n in ast.walk(function)):
                    found.add((module, function.name))
    return found


def test_nothing_else_reads_identities() -> None:
    """`_partition` and `_retrieval` are of the reports; the rest is of networks that are trained already."""
    assert _readers() == {
        ("hits.py", "judged"),
        ("hits.py", "match"),
        ("hits.py", "summary"),
        ("vectors.py", "write_vectors"),
        ("algorithm.py", "_merged"),
        ("algorithm.py", "_partition"),
        ("algorithm.py", "_retrieval"),
        ("bound.py", "check_identities"),
    }


def test_only_the_method_identities_makes_a_run_the_bound() -> None:
    assert Config().replace(**BOUND).trains_with_identities
    assert not any(Config().replace(**OPEN, **changes).trains_with_identities for changes in _OTHERS.values())
