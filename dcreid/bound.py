"""The bound: the training identities as classes, and all else as configured.

It says what the network and the recipe of a configuration can come to where every class is right. It is
no result of the method: this module is the one way by which identities reach training, open only with
`train.leak_audit`, and whatever shows such a run says so.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from dcreid.clustering.merging import in_order_of_first
from dcreid.config import Config
from dcreid.data.tracklets import DataError, Ints, TrackletDataset


def check_identities(config: Config, data: TrackletDataset) -> None:
    """Raises DataError where the configuration is the bound and the training tracklets have no identities."""
    if config.trains_with_identities and data.train.identities is None:
        raise DataError(
            f"{data.name}: its training tracklets have no identities, and merge.method = identities (--plan "
            "bound) takes them for classes; use data that have them"
        )


def identity_labels(identities: Ints, order: Ints) -> Int[Tensor, " n"]:
    """Labels 0 … C-1 of rows i, being tracklets order[i], one class per identity, in order of first row.

    So what identities are called plays no part.
    """
    return torch.from_numpy(in_order_of_first(identities[order]))
