"""Algorithm 1 on small drawn data: the loop, merges by every option, the memory's rows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import reference
import torch
from tiny_runs import dataset, run, tiny
from torch.nn.functional import normalize

from dcreid.algorithm import Algorithm
from dcreid.clustering import merging
from dcreid.config import ConfigError, MergeConfig
from dcreid.evaluation.unlabelled import (
    camera_excess,
    exclusivity,
    join_reliability,
    same_camera,
    self_retrieval,
    silhouette,
    size_balance,
    stability,
)
from dcreid.network.tracklets import TrackletFeatures, l2_normalize
from dcreid.parallel import Ranks
from dcreid.training import DivergedError


def test_the_loop_counts_as_algorithm_1_does() -> None:
    config = tiny()
    algorithm = run(config)
    n = len(algorithm.store)
    m = math.floor(n * 0.2)
    before = n
    for i, step in enumerate(algorithm.history, start=1):
        assert step.step == i
        assert step.classes_before == before > m  # trained while C > m
        assert step.classes_after == before - m
        assert step.alpha == pytest.approx(min(1.0, i * 0.2) * 0.5)
        assert step.class_size_max >= step.class_size_median >= 1
        frames = (2 if i == 1 else 1) * n * config.data.frames
        assert step.frames_per_second == pytest.approx(frames / step.seconds_train)
        assert step.mAP is not None and 0 <= step.mAP_trapezoid <= step.mAP <= 1  # type: ignore[operator]
        before = step.classes_after
    assert before <= m
    assert len(algorithm.history) == algorithm.total_steps
    assert algorithm.finished
    with pytest.raises(RuntimeError):
        algorithm.step()


_MERGING: dict[str, dict[str, Any]] = {
    "distances alone": {"merge.lambda1": 0.0, "merge.lambda2": 0.0},
    "as printed": {},
    "pairs": {"merge.intra": "pairs"},
    "squared": {"merge.distance": "squared"},
    "exact": {"merge.method": "exact"},
    "exact, pairs": {"merge.method": "exact", "merge.intra": "pairs"},
    "neighbourhoods": {"merge.distance": "jaccard", "merge.k1": 6, "merge.k2": 3},
    "smaller neighbourhoods": {"merge.distance": "jaccard", "merge.k1": 4, "merge.k2": 3},
    "without cameras": {"merge.camera_normalise": True},
    "nearest": {"merge.linkage": "nearest"},
    "star": {"merge.method": "star"},
    "exact, nearest": {"merge.method": "exact", "merge.linkage": "nearest"},
    "anew": {"merge.method": "anew"},
    "anew, nearest": {"merge.method": "anew", "merge.linkage": "nearest"},
}


def _distances(v: np.ndarray, merging: MergeConfig, cameras: list[int]) -> np.ndarray:
    if merging.camera_normalise:
        v = reference.camera_normalised(v, cameras)
    distances = reference.distances(v)
    if merging.distance == "jaccard":
        return reference.jaccard(distances**2, merging.k1, merging.k2)
    return distances ** (2 if merging.distance == "squared" else 1)


def _merged(v: np.ndarray, labels: list[int], m: int, merging: MergeConfig, cameras: list[int]) -> list[int]:
    distances = _distances(v, merging, cameras)
    how = merging.lambda1, merging.lambda2, merging.intra, merging.linkage
    if merging.method in ("exact", "anew"):
        gone = m if merging.method == "exact" else len(v) - len(set(labels)) + m
        before = labels if merging.method == "exact" else list(range(len(v)))
        return reference.merge_exact(distances, before, gone, *how)
    join = reference.merge_star if merging.method == "star" else reference.merge
    return join(labels, reference.merge_cost(distances, labels, *how), m)


def features_of(pooled: np.ndarray) -> TrackletFeatures:
    """Tracklets whose parts are all alike."""
    v = l2_normalize(torch.from_numpy(pooled).float())
    return TrackletFeatures(torch.from_numpy(pooled).float(), torch.stack([v, v]), torch.stack([v, v]))


def test_merges_by_every_option_are_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """On random features that change from step to step, for which all options have different results."""
    rng = np.random.default_rng(21)
    drawn = rng.normal(size=(18, 4)) + rng.normal(size=(4, 18, 4)) / 2
    monkeypatch.setattr(Algorithm, "_features", lambda algorithm: features_of(drawn[algorithm.steps_done]))
    unit = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
    base = tiny(
        **{"train.first_epochs": 0, "train.later_epochs": 0, "evaluate.eval_every": 9},
        **{"merge.lambda1": 0.3, "merge.lambda2": 0.02},
    )
    algorithm, found = Algorithm(base, dataset(base)), {}
    assert algorithm.cameras is not None
    cameras = algorithm.cameras.tolist()
    start = algorithm.state_dict()
    for name, changes in _MERGING.items():
        algorithm.config = base.replace(**changes)
        algorithm.load_state_dict(start)
        labels, steps = list(range(18)), []
        for v in unit:
            algorithm.step()
            labels = _merged(v, labels, 3, algorithm.config.merge, cameras)
            assert algorithm.labels.tolist() == labels, name
            steps.append(tuple(labels))
        found[name] = tuple(steps)
    assert len(set(found.values())) == len(found), found


@pytest.mark.parametrize("method", ["once", "star", "exact", "anew"])
def test_every_method_counts_as_algorithm_1_does(method: str) -> None:
    config = tiny(**{"merge.method": method, "train.first_epochs": 0, "train.later_epochs": 0})
    algorithm = run(config)
    steps = [(step.classes_before, step.classes_after) for step in algorithm.history]
    assert steps == [(18, 15), (15, 12), (12, 9), (9, 6), (6, 3)]
    assert [len(joins.a) for joins in algorithm.joins] == [0 if method == "anew" else 3] * 5
    short = run(config.replace(**{"merge.max_steps": 2}))
    assert [labels.tolist() for labels in short.labels_history] == [
        labels.tolist() for labels in algorithm.labels_history[:2]
    ]


@pytest.mark.parametrize("method", ["once", "star", "exact", "anew"])
def test_a_run_ends_with_exactly_as_many_classes_as_are_wanted(method: str) -> None:
    """The last merge joins fewer where need be; before it nothing differs, and what follows keeps them."""
    config = tiny(
        **{"merge.method": method, "train.first_epochs": 0, "train.later_epochs": 0},
        **{"evaluate.eval_every": 99, "merge.max_steps": 1},
    )
    algorithm = run(config.replace(**{"merge.classes": 7, "merge.regroup_steps": 1}))
    assert algorithm.total_steps == 5
    assert [step.classes_after for step in algorithm.history] == [15, 12, 9, 7, 7]
    assert [len(torch.unique(labels)) for labels in algorithm.labels_history] == [15, 12, 9, 7, 7]
    other = run(config.replace(**{"merge.classes": 0, "merge.max_steps": 3}))
    for ours, theirs in zip(algorithm.labels_history[:3], other.labels_history, strict=True):
        assert torch.equal(ours, theirs)


def test_more_classes_than_tracklets_allow_are_refused() -> None:
    config = tiny(**{"merge.classes": 18})
    with pytest.raises(
        ConfigError, match=r"merge.classes = 18: must be less than the number of .* tracklets, 18"
    ):
        Algorithm(config, dataset(config))


def test_after_the_last_merge_classes_are_made_again_as_many_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(22)
    drawn = rng.normal(size=(18, 4)) + rng.normal(size=(4, 18, 4)) / 2
    monkeypatch.setattr(Algorithm, "_features", lambda algorithm: features_of(drawn[algorithm.steps_done]))
    config = tiny(
        **{"train.first_epochs": 0, "train.later_epochs": 0, "evaluate.eval_every": 9},
        **{"merge.method": "anew", "merge.max_steps": 2, "merge.regroup_steps": 2},
    )
    algorithm = run(config)
    counts = [(step.classes_before, step.classes_after) for step in algorithm.history]
    assert counts == [(18, 15), (15, 12), (12, 12), (12, 12)]
    found = [labels.tolist() for labels in algorithm.labels_history]
    unit = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
    assert found == [
        _merged(v, list(range(18)), 18 - classes, config.merge, [])
        for v, (_, classes) in zip(unit, counts, strict=True)
    ]
    assert found[2] != found[1] and found[3] != found[2]


def test_every_step_keeps_how_sure_its_classes_are_of_each_tracklet() -> None:
    """The classes that it has made, in the features that it made them from; against plain loops."""
    config = tiny(**{"merge.max_steps": 2, "train.first_epochs": 0, "train.later_epochs": 0})
    algorithm = Algorithm(config, dataset(config))
    for step in (1, 2):
        algorithm.train()
        algorithm.measure()
        assert algorithm.stage is not None and algorithm.stage.pooled is not None
        v = l2_normalize(algorithm.stage.pooled).double().numpy()
        algorithm.merge()
        labels, distances = algorithm.labels.numpy(), np.linalg.norm(v[:, None] - v, axis=2)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.argsort(axis=1)[:, :5]
        expected = (labels[nearest] == labels[:, None]).mean(axis=1)
        assert 0 < expected.mean() < 1
        assert algorithm.confidence[step].tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("method", ["once", "anew"])
def test_scores_of_a_step_are_those_of_its_features_and_its_classes(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted features in the order on disk; each score's function has its own tests."""
    config = tiny(**{"merge.max_steps": 2, "train.first_epochs": 0, "train.later_epochs": 0})
    config = config.replace(**{"merge.method": method, "merge.lambda1": 0.0, "merge.lambda2": 0.0})
    data = dataset(config)
    times = np.arange(18)[:, None] // 4 * 10 + np.array([0, 9])
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, times=times))
    algorithm = Algorithm(config, data)
    rng = np.random.default_rng(3)
    people = rng.normal(size=(6, 8))[np.arange(18) // 3]
    drawn = []
    for _ in range(3):  # the untrained network, and two steps
        whole = people + rng.normal(size=(18, 8))
        halves, ends = (
            normalize(torch.from_numpy(whole + rng.normal(size=(2, 18, 8))), dim=2) for _ in range(2)
        )
        drawn.append(TrackletFeatures(torch.from_numpy(whole), halves, ends))
    given = iter(drawn)
    monkeypatch.setattr(algorithm.network, "tracklet_features", lambda *_, **__: next(given))
    steps = [algorithm.step(), algorithm.step()]

    order, cameras, before = algorithm.order, algorithm.cameras, torch.arange(18)
    assert cameras is not None and not np.array_equal(order, np.arange(18))
    untrained = l2_normalize(drawn[0].pooled)[order]
    for step, features, labels in zip(steps, drawn[1:], algorithm.labels_history, strict=True):
        halves = features.halves[:, order]
        v, distances = l2_normalize(features.pooled)[order], [reference.distances(h.numpy()) for h in halves]
        # As many joins as the step made, on from its classes, or as lead to them from single tracklets.
        joined = [
            reference.merge(before.tolist(), reference.merge_cost(d, before.tolist(), 0.0, 0.0), 3)
            if method == "once"
            else reference.merge_exact(d, list(range(18)), 3 * step.step, 0.0, 0.0)
            for d in distances
        ]
        start = before if method == "once" else torch.arange(18)
        expected = {
            "self_retrieval": self_retrieval(features.ends[0, order], features.ends[1, order], cameras),
            "stability": stability(halves, cameras),
            "camera_excess": camera_excess(v, cameras),
            "join_reliability": join_reliability(start.numpy(), *map(np.array, joined)),
            "size_balance": size_balance(np.bincount(labels)),
            "silhouette": silhouette(untrained, labels),
            "exclusivity": exclusivity(labels.numpy(), cameras.numpy(), times[order]),
            "same_camera": same_camera(labels.numpy(), cameras.numpy()),
        }
        expected["unlabelled"] = expected["self_retrieval"] * expected["stability"]
        found = {name: getattr(step, name) for name in expected}
        assert found == pytest.approx(expected, abs=2e-3)  # untrained features are kept in half precision
        before = labels
    first = algorithm.untrained_scores
    assert first.stability == pytest.approx(stability(drawn[0].halves[:, order], cameras))


def test_a_merge_without_room_is_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(**{"merge.method": "anew"})
    needed = 4 * 3 * 18**2
    monkeypatch.setattr(merging, "free_bytes", lambda device: float(needed))
    Algorithm(config, dataset(config))
    monkeypatch.setattr(merging, "free_bytes", lambda device: needed - 1.0)
    with pytest.raises(MemoryError, match=r"merge\.method = anew .* for 18 tracklets"):
        Algorithm(config, dataset(config))
    Algorithm(config, dataset(config), ranks=Ranks(1, 2))  # rank 0 merges
    Algorithm(tiny(), dataset(config))  # in blocks


@pytest.mark.parametrize("kind", ["members", "zeros", "carry", "old_classes", "previous_rows"])
def test_memory_rows_after_a_merge(kind: str) -> None:
    leaks = {"train.leak_audit": True} if kind == "previous_rows" else {}
    config = tiny(**{"train.memory_init": kind, "merge.merge_rate": 0.3} | leaks)
    algorithm = Algorithm(config, dataset(config))
    algorithm.step()
    algorithm.train()
    assert algorithm.memory is not None
    before, labels = algorithm.memory.rows.clone(), algorithm.labels
    algorithm.merge()
    pooled = algorithm.network.pooled_features(algorithm.store)
    v = l2_normalize(pooled)[torch.from_numpy(algorithm.order)]
    means = torch.stack([v[algorithm.labels == c].mean(dim=0) for c in range(algorithm.n_classes)])
    merged = [labels[algorithm.labels == c].unique() for c in range(algorithm.n_classes)]
    sizes = torch.bincount(labels)[:, None]
    expected = {
        "members": l2_normalize(means),
        "zeros": torch.zeros_like(means),
        "carry": l2_normalize(
            torch.stack([(sizes * before[: len(sizes)])[classes].sum(dim=0) for classes in merged])
        ),
        "old_classes": l2_normalize(
            torch.stack([v[labels == c].mean(dim=0) for c in range(int(labels.max()) + 1)])
        ),
        "previous_rows": before[: algorithm.n_classes],
    }
    torch.testing.assert_close(algorithm.memory.rows, expected[kind], rtol=1e-4, atol=1e-5)


def test_a_data_set_that_does_not_fill_a_batch_is_refused_where_other_batches_are_left_out() -> None:
    config = tiny(**{"train.drop_last": True, "train.batch_size": 19})
    data = dataset(config)
    with pytest.raises(ConfigError, match=r"^train\.drop_last: the 18 training tracklets .*batch_size = 19"):
        Algorithm(config, data)
    Algorithm(config.replace(**{"train.batch_size": 18}), data)
    Algorithm(config.replace(**{"train.drop_last": False}), data)


def test_where_cameras_are_unknown_there_are_no_proxies_and_batches_do_not_look_at_them() -> None:
    config = tiny(
        **{"train.camera_proxies": True, "train.sampler": "classes", "train.tracklets_per_class": 2}
    )
    known = dataset(config)
    nobody_knows = {"unknown_cameras": 2, "cameras": np.zeros_like(known.train.cameras)}
    unknown = dataclasses.replace(known, train=dataclasses.replace(known.train, **nobody_knows))
    plain = Algorithm(config.replace(**{"train.camera_proxies": False}), unknown)
    without, proxied = Algorithm(config, unknown), Algorithm(config, known)
    for algorithm in (plain, without, proxied):
        algorithm.step()
    assert without.proxies is None and proxied.proxies is not None
    assert without.history[0].loss == plain.history[0].loss != proxied.history[0].loss


def test_a_first_stage_without_epochs_is_merged_by_the_untrained_network() -> None:
    config = tiny(**{"train.first_epochs": 0, "merge.max_steps": 2})
    algorithm = Algorithm(config, dataset(config))
    untrained = algorithm.untrained()
    first, second = algorithm
    assert untrained is not None and np.isnan(first.loss) and np.isfinite(second.loss)
    assert (first.mAP, first.frames_per_second) == (untrained.mAP, 0.0)


def test_the_diversity_term_keeps_classes_small() -> None:
    """18 tracklets, 3 joins a step: with sizes alone deciding, three steps leave nine pairs."""
    config = tiny(**{"merge.lambda2": 10.0, "merge.method": "exact", "merge.max_steps": 3})
    algorithm = run(config)
    assert torch.bincount(algorithm.labels).tolist() == [2] * 9
    loose = run(config.replace(**{"merge.lambda1": 0.0, "merge.lambda2": 0.0}))
    assert loose.history[-1].class_size_max > 2


def test_features_that_training_has_ruined_are_divergence_too() -> None:
    """The last iteration's step may ruin weights when the loss of the epoch was finite."""
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    algorithm.train()
    with torch.no_grad():
        next(algorithm.network.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError, match="after stage 1: the training diverged"):
        algorithm.merge()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_runs_in_bf16_close_to_the_cpu() -> None:
    config = tiny(**{"merge.max_steps": 1})
    data = dataset(config)
    on_gpu, on_cpu = Algorithm(config, data, device="cuda"), Algorithm(config, data)
    step = on_gpu.step()
    assert step.gpu_memory_bytes and step.gpu_memory_bytes > 0
    assert on_gpu.memory is not None and on_gpu.memory.rows.dtype == torch.float32
    assert step.loss == pytest.approx(on_cpu.step().loss, rel=0.2)
