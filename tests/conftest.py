"""Fixtures shared by all tests: where real tracklets lie, if they do, and one thread per process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors are faster without thread hand-over, and parallel test workers share the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mars_mini() -> Path:
    """Root of a MARS in the official layout: DCREID_MARS_ROOT, or mars-mini beside the repository."""
    root = Path(os.environ.get("DCREID_MARS_ROOT", REPOSITORY.parent / "shared" / "data" / "mars-mini"))
    if not (root / "info").is_dir():
        pytest.skip(f"no MARS tracklets at {root} (set DCREID_MARS_ROOT)")
    return root


@pytest.fixture(scope="session")
def mars_info() -> Path:
    """The folder with MARS's own .mat files: DCREID_MARS_INFO, or mars-info beside the repository."""
    root = Path(os.environ.get("DCREID_MARS_INFO", REPOSITORY.parent / "shared" / "data" / "mars-info"))
    if not root.is_dir():
        pytest.skip(f"no MARS .mat files at {root} (set DCREID_MARS_INFO)")
    return root


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """ImageNet weights of mobilenet_v2's features: DCREID_MOBILENET_WEIGHTS, or beside the repository."""
    default = REPOSITORY.parent / "shared" / "weights" / "mobilenet_v2_features.pt"
    path = Path(os.environ.get("DCREID_MOBILENET_WEIGHTS", default))
    if not path.is_file():
        pytest.skip(f"no ImageNet weights at {path} (set DCREID_MOBILENET_WEIGHTS)")
    return path
