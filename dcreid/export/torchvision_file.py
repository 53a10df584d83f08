"""A backbone as a plain state dict with torchvision's keys, and torchvision's own network that loads it."""

from __future__ import annotations

import io

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from dcreid.model import Model, ModelError
from dcreid.network.backbone import classifier_name


def check_plain(model: Model, target: str, instead: str) -> None:
    """Raises ModelError where a setting gives features that bare weights do not."""
    config = model.config
    for field, value, wanted in (
        ("model.last_stride", config.model.last_stride, 2),
        ("data.eval_mirror", config.data.eval_mirror, False),
    ):
        if value != wanted:
            raise ModelError(
                f"--for {target}: {field} = {str(value).lower()} is no part of bare weights: whoever loads "
                f"them would compute other features; {instead}"
            )


def state_bytes(model: Model) -> bytes:
    """torch.save of the state dict, without a classifier."""
    state = model.network.backbone.network.state_dict()
    for name in state:  # in place: MNASNet does not load without the versions that come with it
        state[name] = state[name].detach().cpu()
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


@torch.inference_mode()
def run_torchvision(content: bytes, name: str, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """What torchvision's own forward pass gives with these weights and nothing in its classifier's place."""
    network = torchvision.models.get_model(name)
    classifier = classifier_name(name, network)
    setattr(network, classifier, nn.Identity())
    network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    features: Tensor = network.eval()(frames)
    return features.flatten(1)  # ConvNeXt's are (n, d, 1, 1)
