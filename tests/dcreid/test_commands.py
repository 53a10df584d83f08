"""`python -m dcreid`: from a model's file to tables, through the real commands."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import dataset, tiny

from dcreid.__main__ import main
from dcreid.algorithm import Algorithm
from dcreid.model import Card, Model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Algorithm]:
    """A model's file, and the algorithm after its first merge step."""
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    algorithm.step()
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Model.of(algorithm.network.state_dict()["backbone"], Card(config, "", "", "", "")).save(path)
    return path, algorithm


def test_embed_writes_the_features_of_the_algorithm(trained, tmp_path: Path, capsys):
    model, algorithm = trained
    assert main(["embed", str(model), "synthetic:gallery", "--out", str(tmp_path / "v.npz")]) == 0
    found = np.load(tmp_path / "v.npz")
    expected = algorithm.test_features[algorithm.data.gallery].numpy()
    np.testing.assert_allclose(found["vectors"], expected, atol=1e-5)
    said = capsys.readouterr().out
    assert said.endswith(f"v.npz: {len(expected)} tracklets ({found['frames'].sum()} frames), 1024 wide, "
                         "not normalised per camera\n")  # fmt: skip


def test_search_finds_as_often_as_the_evaluation(trained, tmp_path: Path, capsys):
    model, algorithm = trained
    given = [
        str(model),
        "synthetic:query",
        "synthetic:gallery",
        "--out",
        str(tmp_path / "h.csv"),
        "--top",
        "99",
    ]
    assert main(["search", *given]) == 0
    with (tmp_path / "h.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first: dict[str, str] = {}
    for row in rows:
        if row["match"] != "ignored":
            first.setdefault(row["query"], row["match"])
    right = list(first.values()).count("right")
    evaluated = algorithm.history[0]
    assert right == round(evaluated.rank1 * evaluated.queries)
    assert f"the right person for {right} of {evaluated.queries} queries" in capsys.readouterr().out


def test_normalisation_per_camera_is_said(trained, tmp_path: Path, capsys):
    model, out = str(trained[0]), str(tmp_path / "v.npz")
    main(["embed", model, "synthetic:train", "--out", out, "--camera-normalise"])
    assert capsys.readouterr().out.endswith("wide, normalised per camera\n")
    assert len(np.load(out)["names"]) == 18


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["embed", "MODEL", "synthetic:query", "--out", "v.txt"], "must end in .npz or .parquet"),
        (["embed", "nowhere", "synthetic:query", "--out", "v.npz"], "nowhere: "),
        (["embed", "MODEL", "nowhere", "--out", "v.npz"], "no such folder or image"),
        (["embed", "MODEL", "synthetic:query", "--out", "v.npz", "--device", "tpu"], "--device tpu"),
        (["search", "MODEL", "synthetic:query", "synthetic:gallery", "--top", "0"], "'0' is not a number"),
        (["search", "MODEL", "synthetic:query", "synthetic:gallery", "--out", "no/h.csv"], "--out no/h.csv"),
    ],
)
def test_bad_input_is_told_in_a_line(
    words: list[str], said: str, trained, tmp_path: Path, capsys, monkeypatch
):
    try:
        status = main([str(trained[0]) if word == "MODEL" else word for word in words])
    except SystemExit as end:
        status = int(end.code or 0)
    error = capsys.readouterr().err
    assert status == 2 and said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_help_imports_neither_torch_nor_numpy():
    code = "import sys, dcreid.__main__ as m; m.parser(); print({*sys.modules} & {'torch', 'numpy'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
