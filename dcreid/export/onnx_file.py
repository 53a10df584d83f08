"""A graph as the bytes of an ONNX file, and the file's answers in onnxruntime."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import nn

from dcreid.errors import InputError

INPUT, OUTPUT, BATCH = "images", "features", "batch"


def check_installed() -> None:
    """Raises InputError where the libraries of the extra `export` are missing."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        _library(name)


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"this export needs {name}, which is not installed: pip install -e '.[export]'"
        ) from None


def onnx_bytes(graph: nn.Module, height: int, width: int) -> bytes:
    """The file's bytes: `images` (batch, 3, height, width) to `features` (batch, d), any batch.

    Raises InputError where the exporter cannot take the network.
    """
    example = torch.zeros(2, 3, height, width)  # 2: torch.export takes a 1 for a constant
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim(BATCH)}},
                verbose=False,
            )
    except Exception as error:  # many kinds, with pages of text
        raise InputError(f"PyTorch's exporter to ONNX cannot take this network ({_root(error)})") from error
    finally:
        quiet.setLevel(level)
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _root(error: BaseException) -> str:
    """The first line of what began it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """The same file with these entries in its metadata."""
    onnx = _library("onnx")
    proto = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(proto, dict(metadata))
    written: bytes = proto.SerializeToString()
    return written


def run_onnx(content: bytes, images: Float32[ndarray, "n 3 h w"]) -> Float32[ndarray, "n d"]:
    """What onnxruntime computes on the CPU."""
    runtime = _library("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    features: Float32[ndarray, "n d"] = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images)})[0]
    return features


def runtime_version() -> str:
    """Such as "onnxruntime 1.22.0"."""
    return f"onnxruntime {_library('onnxruntime').__version__}"
