"""Joins made up by hand: a right one, and wrong ones of every cause."""

from __future__ import annotations

import math

import torch

from dcreid.evaluation.joins import RIGHT, WRONG, Joins

NAN = math.nan
# inter, intra, size, right, one camera, the missed join's inter, intra, size
JOINS = [
    (0.5, 0.0, 2, RIGHT, 1, NAN, NAN, NAN),
    (0.5, 0.0, 2, WRONG, 1, 0.7, 0.0, 2),  # strangers nearer
    (0.6, 1.0, 2, WRONG, 0, 0.5, 4.0, 2),  # strangers tighter: 0.06 · 3 against -0.1
    (0.6, 1.0, 2, WRONG, 0, 0.59, 1.0, 22),  # strangers in smaller classes: 0.003 · 20 against -0.01
    (0.6, 1.0, 2, WRONG, 0, NAN, NAN, NAN),
]


def joins_of_step(rows: list[tuple[float, ...]] = JOINS) -> Joins:
    columns = torch.tensor(rows, dtype=torch.float32).reshape(-1, 8).T
    whole = torch.arange(len(rows), dtype=torch.int32)
    inter, intra, size, right, one_camera, *missed = columns
    return Joins(
        whole, whole + 1, inter, intra, size, right.to(torch.int32), one_camera.to(torch.int32), *missed
    )
