"""The heads between backbone and memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_runs import dataset, tiny
from torch import nn

from dcreid.algorithm import Algorithm
from dcreid.network.head import BucHead, EmbeddingHead


@pytest.mark.parametrize("kind", [EmbeddingHead, BucHead])
def test_a_head_is_linear_batch_norm_dropout(kind: type[EmbeddingHead]):
    head = kind(6, 4, 0.5)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.BatchNorm1d, nn.Dropout]
    assert head(torch.randn(3, 6)).shape == (3, 4)
    assert list(head.state_dict()) == list(EmbeddingHead(6, 4, 0.5).state_dict())


def test_dropout_comes_behind_l2_in_buc_s_head_and_scales_what_it_keeps():
    """In NumPy and float64: linear, batch norm of the batch, L2; then each value dropped or doubled."""
    torch.manual_seed(0)
    head, x = BucHead(6, 40, 0.5), torch.randn(9, 6)
    embedded = head(x).detach().double().numpy()

    weight, bias = (value.detach().double().numpy() for value in head.layers[0].parameters())
    linear = x.double().numpy() @ weight.T + bias
    normed = (linear - linear.mean(0)) / np.sqrt(linear.var(0) + 1e-5)
    unit = normed / np.sqrt((normed**2).sum(1, keepdims=True))
    kept = embedded != 0
    assert 100 < kept.sum() < 260  # of 360
    np.testing.assert_allclose(embedded, np.where(kept, 2 * unit, 0), rtol=0, atol=1e-5)
    assert np.sqrt((embedded**2).sum(1)).mean() == pytest.approx(math.sqrt(2), abs=0.05)


def test_buc_s_head_gives_unit_vectors_in_evaluation_mode():
    torch.manual_seed(0)
    head = BucHead(6, 40, 0.5).eval()
    torch.testing.assert_close(head(torch.randn(9, 6)).norm(dim=1), torch.ones(9))


def test_buc_s_head_begins_with_the_weights_of_its_code():
    torch.manual_seed(0)
    linear, norm, _ = BucHead(300, 500, 0.5).requires_grad_(False).layers
    # Kaiming's normal distribution over the outputs: deviation √(2 / 500), far wider than torch's own.
    assert float(linear.weight.std()) == pytest.approx(math.sqrt(2 / 500), rel=0.02)
    inside = (linear.weight.abs() < math.sqrt(2 / 500)).float().mean()
    assert float(inside) == pytest.approx(0.683, abs=0.01)
    assert not linear.bias.any() and not norm.bias.any() and bool((norm.weight == 1).all())


def test_heads_come_from_the_seed_and_leave_the_backbone_as_it_is():
    """The backbone is drawn first; a state goes into another run."""
    runs = {
        name: Algorithm(made, dataset(made))
        for name, made in {
            "none": tiny(),
            "embedding": tiny(**{"model.head": "embedding", "model.embedding_dim": 12}),
            "buc": tiny(**{"model.head": "buc", "model.embedding_dim": 12}),
            "again": tiny(**{"model.head": "buc", "model.embedding_dim": 12}),
            "another seed": tiny(**{"model.head": "buc", "model.embedding_dim": 12, "seed": 1}),
        }.items()
    }
    states = {name: run.network.state_dict() for name, run in runs.items()}
    assert states["none"]["head"] is None
    weights = {name: state["head"]["layers.0.weight"] for name, state in states.items() if state["head"]}
    assert torch.equal(weights["buc"], weights["again"])
    assert not torch.equal(weights["buc"], weights["another seed"])
    assert not torch.equal(weights["buc"], weights["embedding"])
    for name in ("embedding", "buc"):
        for key, value in states["none"]["backbone"].items():
            assert torch.equal(states[name]["backbone"][key], value), key
    runs["another seed"].network.load_state_dict(states["buc"])
    loaded = runs["another seed"].network.state_dict()["head"]
    assert torch.equal(loaded["layers.0.weight"], weights["buc"])


@pytest.mark.parametrize(("head", "length"), [("none", 1.0), ("embedding", 1.0), ("buc", math.sqrt(2))])
def test_what_meets_the_memory_in_training(head: str, length: float):
    made = tiny(**{"model.head": head, "model.embedding_dim": 2000})
    network = Algorithm(made, dataset(made)).network
    torch.manual_seed(0)
    pooled = torch.randn(8, network.backbone.dim)
    network.train()
    torch.testing.assert_close(network.embed(pooled).norm(dim=1), torch.full((8,), length), rtol=0.05, atol=0)
    network.eval()
    torch.testing.assert_close(network.embed(pooled).norm(dim=1), torch.ones(8))
