"""Named spaces and spaces from TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcreid.config import ConfigError, fields
from search_spaces.prior import Prior
from search_spaces.spaces import SPACES, load_space

GOOD = """
[merge.lambda1]
low = 0.01
high = 0.2
log = true
zero = true
grid = [0, 0.06]

["train.alpha_schedule"]
choices = ["linear", "cosine"]

[model.head]
choices = ["none", "embedding"]

[model.dropout]
low = 0.0
high = 0.8
when = { "model.head" = "embedding" }

[train.first_epochs]
low = 5
high = 30
"""


HEADS = "[model.head]\nchoices = ['none', 'buc']\n[model.dropout]\nlow = 0.0\nhigh = 0.5\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_and_fields() -> None:
    assert list(SPACES) == ["default", "lambdas", "alpha", "temperature", "method", "training", "full"]
    for name, space in SPACES.items():
        assert space.name == name and set(space.fields) <= set(fields())
        assert load_space(name) is space


def test_a_file_gives_a_space(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, GOOD))
    assert space.name == "mine"
    assert space.priors == (
        Prior("merge.lambda1", "float", 0.01, 0.2, log=True, zero=True, grid=(0, 0.06)),
        Prior("train.alpha_schedule", "categorical", choices=("linear", "cosine")),
        Prior("model.head", "categorical", choices=("none", "embedding")),
        Prior("model.dropout", "float", 0.0, 0.8, when=("model.head", "embedding")),
        Prior("train.first_epochs", "int", 5, 30),
    )


def test_a_condition_may_list_values(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, HEADS + "when = {'model.head' = ['buc', 'none']}"))
    assert space.priors[1] == Prior("model.dropout", "float", 0.0, 0.5, when=("model.head", ("buc", "none")))


def test_the_docstring_example_works(tmp_path: Path) -> None:
    import search_spaces.spaces as module

    assert module.__doc__ is not None
    example = module.__doc__.split("left out:")[1]
    assert load_space(write(tmp_path, example)).fields == ("merge.lambda1", "model.head", "model.dropout")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[merge.lamda1]\nlow = 0.1\nhigh = 1.0", "did you mean merge.lambda1"),
        ("[lambda1]\nlow = 0.1\nhigh = 1.0", "did you mean merge.lambda1"),
        ("[merge]\nlambda1 = 0.06", "merge.lambda1: must be a table"),
        ("lambda1 = 0.06", "did you mean merge.lambda1"),
        ("[merge.lambda1]\nlow = 0.1\nhi = 1.0", "unknown key 'hi': did you mean high"),
        ("[merge.lambda1]\nlow = -1.0\nhigh = 1.0", "lambda1 = -1.0: must be >= 0"),
        ("[merge.lambda1]\nlow = 0.1", "both must be numbers"),
        ("[merge.lambda1]\nlow = '0.1'\nhigh = 1.0", "both must be numbers"),
        ("[merge.lambda1]\nlow = 0.1\nhigh = 1.0\nlog = 'yes'", "must be a TOML bool"),
        ("[merge.intra]\nlow = 0.1\nhigh = 1.0", "two or more different values"),
        ("[merge.intra]\nchoices = 'samples'", "must be a TOML list"),
        ("[model.dropout]\nlow = 0.0\nhigh = 0.5\nwhen = 'embedding'", "when must look like"),
        ("[model.dropout]\nlow = 0.0\nhigh = 0.5\nwhen = {'model.head' = 'embedding'}", "prior above"),
        (HEADS + "when = {'model.head' = []}", "needs one value or more"),
        (HEADS + "when = {'model.head' = ['buc', 'embedding']}", "'embedding': never holds"),
        (HEADS + "suffix = 'x'", "unknown key 'suffix'"),
        ("[merge.lambda1\n", "mine.toml"),
    ],
)
def test_errors_name_the_file_and_the_mend(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_space(write(tmp_path, text))
    assert words in str(caught.value) and "mine.toml" in str(caught.value)


def test_unknown_names_list_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean default"):
        load_space("defualt")
    with pytest.raises(ConfigError, match="path of a TOML file"):
        load_space(tmp_path / "none.toml")
