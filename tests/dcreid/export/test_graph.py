"""What a graph computes, held against the model: from pixels to vectors, and what readers do themselves."""

from __future__ import annotations

import onnx
import pytest
import torch
from small_model import small_model
from torch.nn import functional

from dcreid.data.augmentation import normalise
from dcreid.export.graph import graph_of
from dcreid.export.onnx_file import onnx_bytes


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_graph_computes_what_the_model_does(mirrored: bool):
    model = small_model(mirrored=mirrored)
    pictures = torch.randint(0, 256, (5, 32, 16, 3), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    expected = model.embed(pictures)
    whole = graph_of(model, normalises=True, unit=True)(pictures.permute(0, 3, 1, 2) / 255)
    assert abs(whole.numpy() - expected).max() < 1e-5
    bare = graph_of(model, normalises=False, unit=False)(normalise(pictures, False))
    assert abs(functional.normalize(bare, dim=1).numpy() - expected).max() < 1e-5
    assert abs(bare.norm(dim=1) - 1).min() > 0.01


def test_a_graph_is_a_copy_in_evaluation_mode():
    model = small_model()
    model.network.train()
    graph = graph_of(model, normalises=True, unit=True)
    assert not graph.training and model.network.backbone.training
    ours, theirs = model.network.backbone.network[0].weight, graph.network[0].weight
    assert torch.equal(ours, theirs) and ours.data_ptr() != theirs.data_ptr()
    assert ours.requires_grad and not theirs.requires_grad


def test_the_batch_axis_is_free():
    content = onnx_bytes(graph_of(small_model(), normalises=False, unit=False), 32, 16)
    given, found = (
        [axis.dim_param or axis.dim_value for axis in entry.type.tensor_type.shape.dim]
        for graph in [onnx.load_model_from_string(content).graph]
        for entry in (*graph.input, *graph.output)
    )
    assert given == ["batch", 3, 32, 16] and found == ["batch", 12]
