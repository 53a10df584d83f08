"""python -m dcreid export, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_model import small_model

from dcreid.__main__ import main
from dcreid.export import files
from dcreid.model import Model


@pytest.fixture
def _a_small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of what is read; and what its file would answer."""
    model = small_model()
    monkeypatch.setattr(Model, "load", lambda path, device="cpu": model)
    monkeypatch.setattr(files, "onnx_bytes", lambda graph, height, width: b"")
    monkeypatch.setattr(files, "with_metadata", lambda content, properties: b"a file")
    monkeypatch.setattr(
        files,
        "run_onnx",
        lambda content, images: model.embed((images * 255).round().astype("uint8").transpose(0, 2, 3, 1)),
    )


@pytest.mark.usefixtures("_a_small_model")
def test_a_line_says_what_was_written_and_how_it_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "any.onnx"
    assert main(["export", "model.safetensors", "--for", "onnx", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        said.startswith(f"{out}: 0.0 MB; onnxruntime ") and "pictures: vectors of length 1 at most " in said
    )
    assert said.endswith("card: any.onnx.json\n") and out.read_bytes() == b"a file"


def test_the_name_is_refused_before_the_model_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "any.pt"
    assert main(["export", "nosuch.safetensors", "--for", "ultralytics", "--out", str(out)]) == 2
    assert "--for ultralytics writes .onnx" in capsys.readouterr().err
