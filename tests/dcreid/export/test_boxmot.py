"""Names under which BoxMOT takes weights for what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcreid.export.boxmot import check_name
from dcreid.model import ModelError


def refusal(name: str, backbone: str) -> str | None:
    try:
        check_name(Path("out") / name, backbone)
    except ModelError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("resnet50_dcreid_mars.pt", "resnet50"),
        ("MARS-ResNet50.pt", "resnet50"),
        ("resnext50_32x4d.pt", "resnext50_32x4d"),
    ],
)
def test_names_that_boxmot_reads_rightly(name: str, backbone: str):
    assert refusal(name, backbone) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mars.pt", "must contain 'resnet50': out/resnet50_dcreid.pt"),
        ("resnet18.pt", "must contain 'resnet50'"),
        ("resnet50_fc512_mars.pt", "'resnet50_fc512'"),
        ("resnet50_and_resnet18.pt", "'resnet18'"),
        ("resnet50_like_osnet_x1_0.pt", "'osnet_x'"),
        ("resnet50_verified.pt", "'veri'"),
    ],
)
def test_names_that_boxmot_mistakes(name: str, said: str):
    assert said in (refusal(name, "resnet50") or "")
