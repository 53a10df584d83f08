"""Whatever a space's file holds, it is a space or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcreid.config import ConfigError, fields
from search_spaces.space import Space
from search_spaces.spaces import load_space

GOOD = """\
[merge.lambda1]
low = 0.01
high = 0.2
log = true
zero = true
grid = [0, 0.03, 0.06, 0.12]

[model.head]
choices = ["none", "embedding"]

[model.dropout]
low = 0.0
high = 0.8
when = { "model.head" = "embedding" }

[train]
first_epochs = { low = 2, high = 60, log = true }
"""
scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 10**18, 10**400, -(10**400)]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([*fields(), "none", "embedding", "linear", "float", "int", "categorical"]),
)
keys = st.one_of(
    st.sampled_from([*fields(), "merge", "model", "train", "lambda1", "head", "dropout"]),
    st.sampled_from(["low", "high", "log", "zero", "grid", "choices", "when", "kind", "field", "priors"]),
    st.text(max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(keys, st.dictionaries(keys, values, max_size=5) | values, max_size=4)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return json.dumps(value).lower().replace("infinity", "inf")


def check(text: str, folder: Path) -> Space | None:
    """The space, which must serve samplers, or None where it is refused as it must be."""
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    try:
        space = load_space(path)
    except ConfigError as error:
        assert str(path) in str(error) and len(str(error).splitlines()) <= 3
        return None
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    space.flattened().distributions()
    space.draw(optuna.create_study(sampler=optuna.samplers.RandomSampler(0)).ask())
    return space


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return tmp_path_factory.mktemp("spaces")


def test_the_good_one_is_a_space(folder: Path):
    space = check(GOOD, folder)
    assert space is not None and len(space.priors) == 4


@given(document=documents)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_a_space_or_refused(folder: Path, document: dict[str, Any]):
    check("\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items()), folder)


@given(data=st.data())
@settings(max_examples=150)
def test_any_value_in_a_good_space_is_taken_or_refused(folder: Path, data: st.DataObject):
    key = data.draw(st.sampled_from(["low", "high", "log", "zero", "grid", "choices", "when", "kind"]))
    table = {"low": 0.01, "high": 0.2, "log": True} | {key: data.draw(values)}
    field = data.draw(st.sampled_from(list(fields())))
    check(f'["{field}"]\n' + "\n".join(f"{k} = {toml(v)}" for k, v in table.items()), folder)


@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 12), put=st.text(max_size=6))
@settings(max_examples=150)
def test_any_change_of_the_text_gives_a_space_or_is_refused(folder: Path, at: int, cut: int, put: str):
    check(GOOD[:at] + put + GOOD[at + cut :], folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no field in it"),
        ("# nothing", "no field in it"),
        ("x = " + "[" * 20_000, "nested too deeply"),
        ("[merge.lambda1]\nlow = 0\nhigh = " + "9" * 5000, "4300 digits"),
        (
            "[merge.lambda1]\nlow = 0\nhigh = 0x" + "f" * 5000,
            "4,300 digits: must be within 64 bits",
        ),
        ("[merge.lambda1]\nlow = 0\nhigh = 1" + "0" * 400, "must be within 64 bits"),
        ("[data.synthetic.frames]\nlow = 1\nhigh = 9", "one data set"),
    ],
    ids=["empty", "comment", "nested", "digits", "hexadecimal", "large", "drawn data"],
)
def test_what_no_space_can_be_is_named(folder: Path, text: str, said: str):
    path = folder / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_space(path)
    assert said in str(error.value) and str(path) in str(error.value)
