"""Algorithm 1 on small drawn data: the loop, cutting and continuing, invariances, the labels' place."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import reference
import torch

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.presets import small
from dcreid.data import load_dataset
from dcreid.data.tracklets import Ints, Split, TrackletDataset
from dcreid.evaluation.partitions import partition_name
from dcreid.features import l2_normalize, pooled_features
from dcreid.training import DivergedError

_SECONDS = ("seconds_train", "seconds_features", "seconds_merge", "seconds_evaluate", "frames_per_second")


def tiny(**changes: Any) -> Config:
    """Six people, a network that trains in seconds."""
    return small().replace(
        **{
            "data.height": 32,
            "data.width": 16,
            "data.frames": 2,
            "data.synthetic.train_identities": 6,
            "data.synthetic.test_identities": 4,
            "data.synthetic.tracklets": 3,
            "data.synthetic.frames": 3,
            "model.backbone": "shufflenet_v2_x0_5",
            "train.batch_size": 6,
            "train.first_epochs": 2,
            "train.later_epochs": 1,
            "train.lr": 0.01,
            "merge.merge_rate": 0.2,
        }
        | changes
    )


def dataset(config: Config) -> TrackletDataset:
    """The drawn data of a configuration."""
    return load_dataset(config.data, None)


def comparable(steps: list[MergeStep]) -> list[dict[str, Any]]:
    """Steps without their clocks."""
    rows = [dataclasses.asdict(step) for step in steps]
    return [{name: value for name, value in row.items() if name not in _SECONDS} for row in rows]


def same_joins(one: Algorithm, other: Algorithm) -> None:
    """Bit for bit, NaN included."""
    assert len(one.joins) == len(other.joins) == one.steps_done
    for ours, theirs in zip(one.joins, other.joins, strict=True):
        for name, column in vars(ours).items():
            assert column.numpy().tobytes() == vars(theirs)[name].numpy().tobytes(), name


def run(config: Config, data: TrackletDataset | None = None) -> Algorithm:
    """A finished run."""
    algorithm = Algorithm(config, data or dataset(config))
    list(algorithm)
    return algorithm


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


def test_rows_tell_the_labels_trained_on_from_those_merged_into() -> None:
    """Both sides of a merge against their own computation from the labels."""
    config = tiny(**{"merge.max_steps": 2})
    algorithm = run(config)
    people = algorithm.data.train.identities
    assert people is not None
    before = np.arange(len(people))  # tracklet to class, in the data set's order
    name = partition_name(before)
    for step, labels in zip(algorithm.history, algorithm.labels_history, strict=True):
        after = np.empty_like(before)
        after[algorithm.order] = labels.numpy()
        assert step.labels_before == name and step.labels_after == (name := partition_name(after))
        for classes, end in ((before, "_before"), (after, "")):
            sizes = np.unique(classes, return_counts=True)[1]
            assert getattr(step, f"class_size_max{end}") == sizes.max()
            assert getattr(step, f"class_size_median{end}") == np.median(sizes)
            for measure in ("purity", "nmi", "ari", "pairwise_f"):
                expected = getattr(reference, measure)(classes.tolist(), people.tolist())
                assert getattr(step, f"{measure}{end}") == pytest.approx(expected, abs=1e-9), measure
        before = after
    assert step.labels_before != step.labels_after


def test_every_query_is_kept_at_every_measured_step_and_adds_up_to_the_row() -> None:
    config = tiny(**{"evaluate.eval_every": 2, "data.eval_frames": 1})
    algorithm = Algorithm(config, dataset(config))
    untrained = algorithm.untrained()
    list(algorithm)
    measured = {step.step: step for step in algorithm.history if step.mAP is not None}
    assert algorithm.queries.keys() == {0, *measured} and len(measured) < len(algorithm.history)
    for number, found in algorithm.queries.items():
        row = untrained if number == 0 else measured[number]
        assert row is not None and row.queries == len(found.query)
        assert float(found.average_precision.mean()) == pytest.approx(row.mAP, abs=1e-12)
        assert float((found.first_match == 1).double().mean()) == pytest.approx(row.rank1, abs=1e-12)
    assert len({tuple(found.average_precision.tolist()) for found in algorithm.queries.values()}) > 1


_MERGING: dict[str, dict[str, Any]] = {
    "distances alone": {"merge.lambda1": 0.0, "merge.lambda2": 0.0},
    "as printed": {},
    "pairs": {"merge.intra": "pairs"},
    "squared": {"merge.distance": "squared"},
    "exact": {"merge.method": "exact"},
    "exact, pairs": {"merge.method": "exact", "merge.intra": "pairs"},
}


def test_merges_by_every_option_are_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of features that were drawn, so that every option tells."""
    drawn = np.random.default_rng(5).normal(size=(18, 4))
    monkeypatch.setattr(Algorithm, "_pooled", lambda algorithm: torch.from_numpy(drawn).float())
    v = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    untrained = {"train.first_epochs": 0, "train.later_epochs": 0, "evaluate.eval_every": 9}
    found = {}
    for name, changes in _MERGING.items():
        options = {"merge.lambda1": 0.3, "merge.lambda2": 0.02, "merge.merge_rate": 0.2} | changes
        config = tiny(**untrained | options)
        algorithm, merging = Algorithm(config, dataset(config)), config.merge
        distances = reference.distances(v) ** (2 if merging.distance == "squared" else 1)
        labels, told = list(range(len(v))), []
        for _ in range(4):
            algorithm.step()
            weights = merging.lambda1, merging.lambda2, merging.intra
            if merging.method == "exact":
                labels = reference.merge_exact(distances, labels, algorithm.m, *weights)
            else:
                cost = reference.merge_cost(distances, labels, *weights)
                labels = reference.merge(labels, cost, algorithm.m)
            assert algorithm.labels.tolist() == labels, name
            told.append(tuple(labels))
        found[name] = tuple(told)
    assert len(set(found.values())) == len(found), found


@pytest.mark.parametrize("kind", ["members", "zeros", "previous_rows"])
def test_memory_rows_after_a_merge(kind: str) -> None:
    leaks = {"train.leak_audit": True} if kind == "previous_rows" else {}
    config = tiny(**{"train.memory_init": kind} | leaks)
    algorithm = Algorithm(config, dataset(config))
    algorithm.train()
    assert algorithm.memory is not None
    before = algorithm.memory.rows.clone()
    algorithm.merge()
    pooled = pooled_features(algorithm.backbone, algorithm.store, torch.device("cpu"))
    v = l2_normalize(pooled)[torch.from_numpy(algorithm.order)]
    means = torch.stack([v[algorithm.labels == c].mean(dim=0) for c in range(algorithm.n_classes)])
    expected = {
        "members": l2_normalize(means),
        "zeros": torch.zeros_like(means),
        "previous_rows": before[: algorithm.n_classes],
    }
    torch.testing.assert_close(algorithm.memory.rows, expected[kind], rtol=1e-4, atol=1e-5)


def test_tracklets_keep_their_order_where_that_is_asked_for() -> None:
    kept, shuffled = tiny(**{"data.shuffle_tracklets": False}), tiny()
    n = len(dataset(kept).train)
    assert Algorithm(kept, dataset(kept)).order.tolist() == list(range(n))
    order = Algorithm(shuffled, dataset(shuffled)).order.tolist()
    assert sorted(order) == list(range(n)) != order


def test_retrieval_is_that_of_the_reference_on_unit_features() -> None:
    config = tiny(**{"train.first_epochs": 0, "merge.max_steps": 1})
    algorithm = Algorithm(config, dataset(config))
    step, data = algorithm.step(), algorithm.data
    assert data.test is not None and data.test.identities is not None and algorithm.test_store is not None
    # Features of any length would rank otherwise.
    pooled = pooled_features(algorithm.backbone, algorithm.test_store, torch.device("cpu")).double().numpy()
    lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
    assert lengths.max() > 1.02 * lengths.min()
    distances = reference.distances(pooled / lengths)[data.query][:, data.gallery]
    labels = [
        column[rows].tolist()
        for column in (data.test.identities, data.test.cameras)
        for rows in (data.query, data.gallery)
    ]
    expected = reference.evaluate(distances, *labels)
    found = dataclasses.asdict(step)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_untrained_network_is_measured_on_the_frames_of_the_last_step() -> None:
    """Without training the last step has the untrained network: all frames, whatever eval_frames says."""
    config = tiny(**{"train.first_epochs": 0, "train.later_epochs": 0, "data.eval_frames": 1})
    algorithm = Algorithm(config, dataset(config))
    untrained = algorithm.untrained()
    last = list(algorithm)[-1]
    assert untrained is not None and untrained.mAP == last.mAP != algorithm.history[0].mAP


_VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "head": {"model.head": "embedding", "model.embedding_dim": 32},
    "zeros, exact": {"train.memory_init": "zeros", "merge.method": "exact", "merge.intra": "pairs"},
    "frozen": {"model.frozen_stages": 1, "merge.distance": "squared", "train.alpha_schedule": "cosine"},
    "leak": {"train.memory_init": "previous_rows", "train.leak_audit": True, "data.shuffle_tracklets": False},
    "few frames": {"data.eval_frames": 2, "evaluate.eval_every": 2, "data.frame_sampling": "random"},
}


@pytest.mark.parametrize("changes", _VARIANTS.values(), ids=_VARIANTS.keys())
def test_a_run_cut_anywhere_and_continued_equals_the_uncut_run(changes: dict[str, Any]) -> None:
    config = tiny(**changes)
    data = dataset(config)
    whole = run(config, data)
    cut = Algorithm(config, data)
    cut.untrained()
    cut.step()
    cut.train()  # in the middle of the second step
    continued = Algorithm(config, data)
    continued.load_state_dict(cut.state_dict())
    continued.merge()
    after_step = Algorithm(config, data)
    after_step.load_state_dict(continued.state_dict())
    torch.rand(7)  # somebody else's random numbers
    list(after_step)
    assert comparable(after_step.history) == comparable(whole.history)
    assert torch.equal(after_step.labels, whole.labels)
    for name, value in whole.backbone.state_dict().items():
        assert torch.equal(value, after_step.backbone.state_dict()[name]), name
    assert whole.memory is not None and after_step.memory is not None
    assert torch.equal(whole.memory.rows, after_step.memory.rows)
    assert after_step.untrained() == cut.untrained()
    same_joins(after_step, whole)


def test_all_that_was_told_of_a_cut_run_is_told_by_the_one_that_goes_on() -> None:
    config = tiny(**{"merge.max_steps": 3})
    data = dataset(config)
    cut = Algorithm(config, data)
    cut.untrained()
    cut.step(), cut.step(), cut.train()
    assert cut.stage is not None
    cut.stage.saved_seconds = 90.0
    spent = cut.stage.seconds["train"]
    continued = Algorithm(config, data)
    continued.load_state_dict(cut.state_dict())
    assert len(continued.labels_history) == 2
    for ours, theirs in zip(continued.labels_history, cut.labels_history, strict=True):
        assert torch.equal(ours, theirs)
    assert continued.queries.keys() == cut.queries.keys() == {0, 1, 2}
    for step, found in cut.queries.items():
        assert torch.equal(continued.queries[step].average_precision, found.average_precision)
    made = continued.merge()
    assert made.seconds_train == spent > 0 and made.saved_seconds == 90.0


def test_what_a_stage_that_is_taken_over_had_cost_is_told_as_saved() -> None:
    config = tiny(**{"merge.max_steps": 2})
    data = dataset(config)
    first = Algorithm(config, data)
    first.train()
    shared = first.shared_state() | {"seconds": {"train": 100.0, "features": 20.0, "evaluate": 3.0}}
    # Where no retrieval is due yet, none is taken over.
    for changes, saved in (({}, 123.0), ({"evaluate.eval_every": 2}, 120.0)):
        other = Algorithm(config.replace(**changes), data)
        other.adopt(shared)
        step = other.merge()
        assert step.saved_seconds == saved and (step.mAP is None) == bool(changes)
        assert step.seconds_train == step.seconds_features == 0.0


def test_states_survive_a_file_read_with_weights_only(tmp_path: Any) -> None:
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    algorithm.untrained()
    algorithm.step()
    torch.save(algorithm.state_dict(), tmp_path / "state.pt")
    other = Algorithm(config, dataset(config))
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert comparable(other.history) == comparable(algorithm.history)
    same_joins(other, algorithm)


@pytest.mark.parametrize("method", ["once", "exact"])
def test_every_join_is_written_down(method: str) -> None:
    config = tiny(**{"merge.method": method})
    algorithm = run(config)
    n, before = len(algorithm.store), np.arange(len(algorithm.store))
    place = np.argsort(algorithm.order)  # tracklet to row
    for joins, labels in zip(algorithm.joins, algorithm.labels_history, strict=True):
        assert len(joins.a) == algorithm.m
        links = np.stack([before[place[joins.a]], before[place[joins.b]]], axis=1)
        target = np.arange(n)
        for a, b in links.tolist():
            target[target == target[b]] = target[a]
        after = target[before]
        assert np.array_equal(after[:, None] == after[None, :], labels[:, None] == labels[None, :])
        before = labels.numpy()


def test_a_state_of_other_tracklets_is_refused() -> None:
    state = Algorithm(tiny(), dataset(tiny())).state_dict()
    other = tiny(seed=1)
    with pytest.raises(ValueError, match="another seed"):
        Algorithm(other, dataset(other)).load_state_dict(state)
    with pytest.raises(ValueError, match="version"):
        Algorithm(tiny(), dataset(tiny())).load_state_dict(state | {"version": 0})


def test_seeds_decide() -> None:
    config = tiny(**{"merge.max_steps": 1})
    assert comparable(run(config).history) == comparable(run(config).history)
    other = config.replace(seed=1)
    assert comparable(run(other).history) != comparable(run(config).history)


def permuted(data: TrackletDataset, order: Ints, relabelled: bool = False) -> TrackletDataset:
    """The same tracklets, listed in another order, under other identity numbers."""
    train = data.train
    assert train.identities is not None
    rows = np.concatenate([np.arange(train.offsets[i], train.offsets[i + 1]) for i in order])
    identities = train.identities[order]
    frames = _Reordered(train.frames, rows)
    lengths = train.lengths[order]
    return dataclasses.replace(
        data,
        train=Split(
            "train",
            frames,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            train.cameras[order],
            1000 - identities if relabelled else identities,
            [train.names[i] for i in order],
        ),
    )


class _Reordered:
    def __init__(self, source: Any, rows: Ints):
        self.source, self.rows = source, rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, frames: Ints, height: int, width: int) -> Any:
        return self.source.read(self.rows[frames], height, width)

    def name(self, frame: int) -> str:
        return str(self.source.name(int(self.rows[frame])))

    def fingerprint(self) -> str:
        return "reordered" + str(self.rows.tolist())


def test_the_order_of_tracklets_and_the_names_of_identities_do_not_matter_to_a_fixed_network() -> None:
    """Untrained, with λ1 and λ2 at work: same partitions, metrics and clustering quality at every step."""
    config = tiny(**{"train.first_epochs": 0, "train.later_epochs": 0})
    data = dataset(config)
    order = np.random.default_rng(5).permutation(len(data.train)).astype(np.int64)
    one, other = run(config, data), run(config, permuted(data, order, relabelled=True))
    for ours, theirs in zip(one.history, other.history, strict=True):
        for name, value in dataclasses.asdict(ours).items():
            if name not in (*_SECONDS, "labels_before", "labels_after") and value is not None:
                assert getattr(theirs, name) == pytest.approx(value, rel=1e-6, nan_ok=True), name
    for ours, theirs in zip(one.labels_history, other.labels_history, strict=True):
        position = np.argsort(one.order)  # tracklet of `data` -> row
        there = np.argsort(other.order)[np.argsort(order)]
        a, b = ours.numpy()[position], theirs.numpy()[there]
        assert np.array_equal(a[:, None] == a[None, :], b[:, None] == b[None, :])


def test_training_is_blind_to_identities_and_cameras() -> None:
    config = tiny(**{"merge.max_steps": 2})
    data = dataset(config)
    n = len(data.train)
    blind = dataclasses.replace(
        data, train=dataclasses.replace(data.train, identities=None, cameras=np.zeros(n, dtype=np.int64))
    )
    seeing, unseeing = run(config, data), run(config, blind)
    assert torch.equal(seeing.labels, unseeing.labels)
    for seen, unseen in zip(seeing.joins, unseeing.joins, strict=True):
        assert torch.equal(seen.a, unseen.a) and torch.equal(seen.inter, unseen.inter)
    assert [s.mAP for s in seeing.history] == [s.mAP for s in unseeing.history]
    assert [s.loss for s in seeing.history] == [s.loss for s in unseeing.history]
    assert all(s.purity is None and s.ari is None for s in unseeing.history)


def test_data_without_a_test_split_reports_classes_only() -> None:
    config = tiny(**{"merge.max_steps": 1})
    data = dataset(config)
    nothing = np.zeros(0, dtype=np.int64)
    unlabelled = dataclasses.replace(data, test=None, query=nothing, gallery=nothing)
    algorithm = Algorithm(config, unlabelled)
    assert algorithm.untrained() is None
    step = algorithm.step()
    assert step.mAP is None and step.queries is None and step.classes_after < step.classes_before


def test_evaluation_may_be_rarer_and_the_last_step_uses_all_frames() -> None:
    config = tiny(**{"evaluate.eval_every": 3, "data.eval_frames": 1})
    algorithm = run(config)
    assert [s.mAP is not None for s in algorithm.history] == [False, False, True, False, True]
    everything = l2_normalize(pooled_features(algorithm.backbone, algorithm.test_store, torch.device("cpu")))  # type: ignore[arg-type]
    torch.testing.assert_close(algorithm.test_features, everything)


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
        next(algorithm.backbone.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError, match="after stage 1: the training diverged"):
        algorithm.merge()


def test_divergence_is_told_with_stage_and_epoch() -> None:
    config = tiny(**{"train.lr": 1e30, "train.temperature": 1e-6})
    with pytest.raises(DivergedError, match="stage 1"):
        Algorithm(config, dataset(config)).step()


def test_epochs_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int, int]] = []
    config = tiny(**{"merge.max_steps": 2})
    algorithm = Algorithm(config, dataset(config), on_epoch=lambda *where: told.append(where))
    list(algorithm)
    assert told == [(1, 1, 2), (1, 2, 2), (2, 1, 1)]
    assert capsys.readouterr().out == ""


def test_the_learning_rate_of_the_paper() -> None:
    from dcreid.training import learning_rate

    train = Config().train
    rates = [learning_rate(train, 1, epoch) for epoch in range(1, 31)]
    assert rates == pytest.approx([0.1] * 15 + [0.01] * 15)
    assert learning_rate(train, 2, 1) == pytest.approx(0.01)
    restart = Config().replace(**{"train.later_lr": "restart"}).train
    assert learning_rate(restart, 2, 3) == pytest.approx(0.1)


def test_pretrained_layers_learn_slower_and_new_ones_do_not() -> None:
    from dcreid.network.backbone import EmbeddingHead, build_backbone
    from dcreid.training import make_optimiser

    backbone = build_backbone("shufflenet_v2_x0_5", "none", height=32, width=16)
    head = EmbeddingHead(backbone.dim, 8, 0.5)
    pretrained = Config()  # weights imagenet
    assert [g["factor"] for g in make_optimiser(backbone, head, pretrained).param_groups] == [0.1, 1.0]
    new = pretrained.replace(**{"model.weights": "none"})
    assert [g["factor"] for g in make_optimiser(backbone, None, new).param_groups] == [1.0]


@pytest.mark.parametrize("most", [0, 2])
def test_features_are_means_over_frames_whatever_the_batch(most: int) -> None:
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    device = torch.device("cpu")
    large = pooled_features(algorithm.backbone, algorithm.store, device, most_frames=most)
    small_batches = pooled_features(algorithm.backbone, algorithm.store, device, most_frames=most, batch=5)
    torch.testing.assert_close(large, small_batches, rtol=1e-4, atol=1e-5)
    from dcreid.data.loading import evenly_spaced, normalise

    rows, kept = evenly_spaced(algorithm.store, most)
    algorithm.backbone.eval()
    with torch.no_grad():
        frames = normalise(algorithm.store.frames[torch.from_numpy(rows)], channels_last=True)
        each = algorithm.backbone(frames).double()
    start = 0
    for mean, count in zip(large, kept, strict=True):
        torch.testing.assert_close(mean.double(), each[start : start + count].mean(0), rtol=1e-4, atol=1e-5)
        start += count


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
