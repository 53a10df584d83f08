"""How to try it: Algorithm 1 as a Ray Tune study that Optuna searches (`python study/run.py --help`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.api import Chosen, Study
    from study.tuner import FIXED_FIELDS, load_checkpoint, load_model, trainable

__all__ = ["FIXED_FIELDS", "Chosen", "Study", "load_checkpoint", "load_model", "trainable"]

# By module, which is imported when one of its names is asked for: PyTorch and Ray take seconds.
_PUBLIC = {
    "study.api": ("Chosen", "Study"),
    "study.tuner": ("FIXED_FIELDS", "load_checkpoint", "load_model", "trainable"),
}


def __getattr__(name: str) -> Any:
    for module, names in _PUBLIC.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
