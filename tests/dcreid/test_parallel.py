"""Several gloo ranks have the results of one process: messages and whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rank_runs
import torch
from rank_runs import VARIANTS, algorithm, on_ranks
from tiny_runs import CLOCKS
from torch import Tensor

from dcreid.parallel import ONE_PROCESS, Ranks

# --- shares, messages


@pytest.mark.parametrize(("count", "size"), [(16, 2), (7, 3), (2, 5), (0, 2), (5, 1)])
def test_shares_are_the_whole_in_order(count: int, size: int) -> None:
    parts = [list(range(count))[Ranks(rank, size).share(count)] for rank in range(size)]
    assert [place for part in parts for place in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_changes() -> None:
    rows = torch.rand(3, 2)
    assert ONE_PROCESS.all_gather(rows, 3) is rows and ONE_PROCESS.all_reduce(rows) is rows
    assert ONE_PROCESS.on_rank_0(lambda: 5) == 5


def test_messages(tmp_path: Path) -> None:
    three = on_ranks(3, tmp_path / "ranks", rank_runs.messages)
    assert [found["share"] for found in three] == [slice(0, 1), slice(1, 3), slice(3, 5)]
    for found in three:
        assert torch.equal(found["gathered"], torch.arange(10.0).view(5, 2))
        own = torch.arange(5.0)[found["share"], None].expand(-1, 2)
        assert torch.equal(found["rows"], own)
        assert torch.equal(found["weight"], torch.full((3, 2), 6.0))
        assert found["sum"].tolist() == [3, 3]
        assert found["agreed"][0].tolist() == [[0] * 3] * 2 and found["agreed"][2] == 7
        assert found["sent"]["rank"] == 0 and found["sent"]["labels"].tolist() == [0, 1, 2]


# --- whole runs


def initial_weights(variant: str) -> dict[str, Tensor]:
    return algorithm(variant).network.backbone.state_dict()


def check_same(ours: dict[str, Any], whole: dict[str, Any], start: dict[str, Tensor]) -> None:
    """Two states of one run: the same merges and metrics, and all else up to rounding.

    Weights differ by a small part of what training has changed since `start`.
    """
    assert len(ours["history"]) == len(whole["history"])
    for made, expected in zip(ours["history"], whole["history"], strict=True):
        for name, value in expected.items():
            if name not in CLOCKS:
                number = isinstance(value, int | float)
                assert made[name] == (pytest.approx(value, rel=1e-5) if number else value), name
    for merged, expected in zip(ours["labels_history"], whole["labels_history"], strict=True):
        assert torch.equal(merged, expected)
    for joins, expected in zip(ours["joins"], whole["joins"], strict=True):
        assert torch.equal(joins["a"], expected["a"]) and torch.equal(joins["b"], expected["b"])
        torch.testing.assert_close(joins["inter"], expected["inter"], rtol=1e-3, atol=1e-5)
    for rows in ("memory", "proxies"):
        assert (ours[rows] is None) == (whole[rows] is None)
        if whole[rows] is not None:
            torch.testing.assert_close(ours[rows], whole[rows], rtol=0, atol=1e-5)
    assert ours["untrained"] == whole["untrained"]
    network, expected = ours["backbone"], whole["backbone"]
    statistics = [name for name in start if "running" in name or "tracked" in name]
    for name in statistics:
        torch.testing.assert_close(network[name], expected[name], rtol=1e-4, atol=1e-5)
    weights = start.keys() - statistics
    changed = norm([expected[name] - start[name] for name in weights])
    rounding = 1e-8 * norm([expected[name] for name in weights])  # counts where clipped steps are short
    assert norm([network[name] - expected[name] for name in weights]) < 1e-3 * changed + rounding


def norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([tensor.double().norm() for tensor in tensors]).norm())


def check_equal(one: Any, other: Any) -> None:
    """Two states, bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            check_equal(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            check_equal(ours, theirs)
    else:
        assert one == other or (one != one and other != other)


def without_clocks(state: dict[str, Any]) -> dict[str, Any]:
    history = [{name: step[name] for name in step if name not in CLOCKS} for step in state["history"]]
    return {name: value for name, value in state.items() if "seconds" not in name} | {"history": history}


def check_runs(found: list[dict[str, Any]], variants: list[str]) -> dict[str, Any]:
    """Ranks' runs against one process's, which are returned."""
    for other in found[1:]:
        check_equal(found[0], other)
    whole = rank_runs.runs(ONE_PROCESS, variants)
    for variant in variants:
        check_same(found[0][variant], whole[variant], initial_weights(variant))
    return whole


def test_two_ranks_equal_one_and_one_goes_on_from_two(tmp_path: Path) -> None:
    variants = ["batch norm", "by classes"]
    found = on_ranks(2, tmp_path / "two", rank_runs.runs, variants)
    whole = check_runs(found, variants)
    continued = algorithm("batch norm")
    continued.load_state_dict(found[0]["cut"])
    list(continued)
    check_same(continued.state_dict(), whole["batch norm"], initial_weights("batch norm"))


def test_two_steps_at_the_papers_rate_equal_one_process_and_faults_are_noticed(tmp_path: Path) -> None:
    one, other = on_ranks(2, tmp_path / "two", rank_runs.two_steps, list(rank_runs.FAULTS))
    check_equal(one["end"], other["end"])
    whole = rank_runs.two_steps(ONE_PROCESS, [])
    check_equal(one["start"], whole["start"])
    weights = [name for name in one["start"] if "running" not in name and "tracked" not in name]
    changed = norm([whole["end"][name] - whole["start"][name] for name in weights])
    apart = {
        came_to: norm([one[came_to][name] - whole["end"][name] for name in weights]) / changed
        for came_to in ["end", *rank_runs.FAULTS]
    }
    assert changed > 1.0
    assert apart.pop("end") < 1e-6
    assert min(apart.values()) > 0.1
    for name in one["end"].keys() - weights:
        torch.testing.assert_close(one["end"][name], whole["end"][name], rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_equal_one_in_every_variant_and_go_on_from_one(tmp_path: Path, size: int) -> None:
    variants = list(VARIANTS)
    cut = rank_runs.runs(ONE_PROCESS, variants[:1])["cut"]
    found = on_ranks(size, tmp_path / "ranks", rank_runs.runs, variants, cut)
    whole = check_runs(found, variants)
    check_same(found[0]["continued"], whole["batch norm"], initial_weights("batch norm"))


@pytest.mark.slow
def test_only_what_networks_draw_differs_between_ranks_and_continued_runs_are_equal(
    tmp_path: Path,
) -> None:
    one, other = on_ranks(2, tmp_path / "two", rank_runs.drawn_by_the_network)
    check_equal(one["uncut"], other["uncut"])
    check_equal(without_clocks(one["cut"]), without_clocks(one["uncut"]))
    states = [state.numpy().tobytes() for state in one["drawn"] + other["drawn"]]
    assert len(states) == len(set(states)) > 0


@pytest.mark.slow
def test_the_error_of_a_failing_rank_is_raised(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such variant"):
        on_ranks(2, tmp_path / "two", rank_runs.runs, ["no such variant"])
