"""Scores that made-up studies have."""

from __future__ import annotations

from dcreid.config import Config


def rising(config: Config, step: int) -> float:
    """mAP, a fraction, that λ1 and α raise."""
    return 0.3 + 0.1 * config.merge.lambda1 + 0.01 * step + config.train.alpha / 50
