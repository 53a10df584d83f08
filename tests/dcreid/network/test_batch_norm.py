"""Batch norm over the frames of several gloo ranks is that of one process with all of them."""

from __future__ import annotations

import pytest
import rank_runs
import torch
from rank_runs import NORMS, norm_case, normalised, on_ranks
from torch import Tensor, nn

from dcreid.network.backbone import build_backbone
from dcreid.network.batch_norm import RankBatchNorm, synchronise_batch_norm
from dcreid.parallel import ONE_PROCESS, Ranks

Found = list[dict[int, dict[str, Tensor]]]  # by rank and case


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The results of three ranks."""
    return on_ranks(3, tmp_path_factory.mktemp("three") / "ranks", rank_runs.batch_norms)


@pytest.mark.parametrize("case", [case for case, norm in enumerate(NORMS) if norm[2]])
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(three: Found, case: int) -> None:
    norm, samples, gradient = norm_case(case)
    whole = normalised(nn.Sequential(norm), samples, gradient)
    for rank, found in enumerate(three):
        ours = found[case]
        assert ours.keys() == whole.keys()
        share = Ranks(rank, 3).share(len(gradient))
        for name, value in whole.items():
            part = value[share] if name in ("y", "x", "evaluated") else value
            torch.testing.assert_close(ours[name], part, rtol=1e-9, atol=1e-11, msg=f"{name} of rank {rank}")


def test_only_batch_norm_that_is_trained_is_replaced_and_the_state_dict_stays() -> None:
    plain, ours = (build_backbone("resnet18", "none", frozen_stages=2, height=32, width=16) for _ in range(2))
    ours.load_state_dict(plain.state_dict())
    synchronise_batch_norm(ours, Ranks(0, 2), torch.device("cpu"))
    replaced = [name for name, module in ours.named_modules() if isinstance(module, RankBatchNorm)]
    kept = [name for name, module in ours.named_modules() if type(module) is nn.BatchNorm2d]
    assert {name.split(".")[1] for name in replaced} == {"layer2", "layer3", "layer4"}
    assert {name.split(".")[1] for name in kept} == {"bn1", "layer1"}
    assert list(ours.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(ours.state_dict())
    frames = torch.rand(3, 3, 32, 16)
    assert torch.equal(ours.eval()(frames), plain.eval()(frames))


def test_frozen_batch_norm_stays_torch_s_own() -> None:
    frozen = build_backbone("resnet18", "none", batch_norm="frozen", height=32, width=16)
    synchronise_batch_norm(frozen, Ranks(0, 2), torch.device("cpu"))
    assert not [module for module in frozen.modules() if isinstance(module, RankBatchNorm)]


def test_a_single_process_keeps_torch_s_own() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2))
    synchronise_batch_norm(network, ONE_PROCESS, torch.device("cpu"))
    assert type(network[0]) is nn.BatchNorm1d
