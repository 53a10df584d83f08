"""Whatever a study.json holds, the study is read and shown, or refused in words."""

from __future__ import annotations

import copy
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dcreid.errors import InputError
from study.command.parser import parser
from study.command.resolve import overrides
from study.record.folder import read_plan
from study.show.status import Status, as_dict
from study.show.status_text import print_status

SCHEMA1 = Path(__file__).parent / "schema1"
WHOLE = json.loads((SCHEMA1 / "study.json").read_text())
names = st.text(max_size=4) | st.sampled_from(["name", "priors", "changes"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 10**9, 10**400, -1, "", "tpe", "asha", "last", "table1", "a\0b"])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value, by its keys."""
    if isinstance(content, list):
        content = dict(enumerate(content))
    inner = content.items() if isinstance(content, dict) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def changed(path: tuple[Any, ...], change: Any) -> Any:
    """The description with `change(parent, key)` done at a place."""
    if not path:
        return change
    whole = copy.deepcopy(WHOLE)
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = change
    return whole


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(SCHEMA1, folder / "s")
    return folder


def look(studies: Path, text: str) -> str:
    """What `status` shows of the study with this study.json, or in what words it is refused."""
    (studies / "s" / "study.json").write_text(text)
    shown = io.StringIO()
    try:
        status = Status.read("s", str(studies))
        as_dict(status)
        print_status(status, Console(file=shown, highlight=False, markup=False))
    except InputError as error:
        assert "study.json: " in str(error)
        return str(error)
    argv = ["--resume", "s", "--studies", str(studies), "--dry-run"]
    overrides(read_plan("s", str(studies)), parser().parse_args(argv), argv)
    return shown.getvalue()


def test_the_whole_one_is_shown(studies: Path):
    assert "trial" in look(studies, json.dumps(WHOLE))


@given(path=st.sampled_from(places(WHOLE)), value=values)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_place_is_read_or_refused(studies: Path, path: tuple[Any, ...], value: Any):
    look(studies, json.dumps(changed(path, value)))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("plan", "samples"), "many", "plan.samples = 'many': must be of type int"),
        (("plan", "samples"), 10**9, "plan.samples = 1000000000: must be >= 1 and <= 100000"),
        (("plan", "cpus_per_trial"), float("nan"), "plan.cpus_per_trial = nan: must be >= 0 and <= 1024"),
        (("plan", "sampler"), "best", "plan.sampler = 'best': must be one of tpe, "),
        (("plan", "experiments"), "table9", "plan.experiments = 'table9': must be one of paper, "),
        (("plan", "space"), 3, "plan.space = 3: must be of type dict[str, Any] | None"),
        (("plan", "space", "priors"), [3], "space.priors = [3]: must be of type list[dict[str, Any]]"),
        (("plan", "space", "priors", 0, "when"), [1], "space.priors.when = [1]: must be a field"),
        (("plan", "base"), [], "plan.base = []: must be of type dict[str, Any]"),
        (("plan", "given"), [{}], "plan.given.experiments is missing"),
        (("plan", "cache"), "a\0b", "must not hold the character NUL"),
        (("plan", "nosuch"), 3, "plan.nosuch = 3: this code has no such field"),
        (("plan",), {}, "plan.name is missing"),
        (("dataset",), {}, "dataset.name is missing"),
        (("dataset", "problems"), "none", "dataset.problems = 'none': must be of type list[str]"),
        ((), 3, "not a description"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(studies: Path, path: tuple[Any, ...], value: Any, said: str):
    assert said in look(studies, json.dumps(changed(path, value)))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"plan": ' + "9" * 5000 + "}", "{", ""])
def test_what_is_no_json_is_refused(studies: Path, text: str):
    assert "study.json: not readable (" in look(studies, text)
