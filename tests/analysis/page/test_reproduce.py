"""Commands that compute a run again: parsed by the study's own options, they give that configuration."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.page.reproduce import command, recipes
from dcreid.config import Config
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import plan
from study.command.parser import parser
from study.command.resolve import resolve


def computed_by(text: str) -> list[Config]:
    words = shlex.split(text)
    assert words[:2] == ["python", "study/run.py"]
    return [item.config for _, item in resolve(parser().parse_args(words[2:])).fixed_items()]


@settings(max_examples=10, deadline=None)  # each builds the whole command line
@given(
    lambda1=st.sampled_from([0.0, 0.06, 0.0123456789012345, 1e-05]),
    schedule=st.sampled_from(["linear", "fixed", "cosine"]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_the_command_computes_the_configuration(lambda1: float, schedule: str, shuffle: bool, seed: int):
    changes = {"merge.lambda1": lambda1, "train.alpha_schedule": schedule, "data.shuffle_tracklets": shuffle}
    config = settings_of("synthetic").replace(**changes, **{"data.synthetic.cameras": 5, "seed": seed})
    assert computed_by(command(config, None)) == [config]


@pytest.mark.parametrize("name", ["paper", "alpha", "leak_audit", "rivals", "rivals-published"])
def test_every_configuration_of_the_plans(name: str):
    for item in plan(name, settings_of("synthetic")):
        assert item.config in computed_by(command(item.config, None))


def test_a_preset_is_named_where_that_is_shorter():
    base = settings_of("mars")
    assert "--preset" not in command(base.replace(**{"merge.lambda1": 0.0}), None)
    words = command(laid_over(base, "buc", {"data.frames": 2}), None).split()
    assert words[words.index("--dataset") :] == ["--dataset", "mars", "--preset", "buc", "--frames", "2"]
    # More merges than the preset has by itself at this rate
    longer = laid_over(base, "buc", {"merge.merge_rate": 0.1}).replace(**{"merge.max_steps": 19})
    assert "--preset buc --merge-rate 0.1 --max-steps 19" in command(longer, None)


def test_seeds_in_a_row_are_one_command(make):
    study = make("synthetic", experiments="table2")
    study.run_plan(3)
    study.trial(study.base.replace(seed=7))
    (group,) = load([study.folder]).groups
    made = {recipe.experiments[0]: recipe for recipe in recipes(runs(group), group)}
    final, fixed = made["table2/linear"], made["table2/fixed"]
    assert final.seeds == (0, 1, 2, 7) and final.trials == ("study/0", "study/2", "study/4", "study/6")
    commands = final.command.split("; ")
    assert [config.seed for each in commands for config in computed_by(each)] == [0, 1, 2, 7]
    assert len(fixed.command.split("; ")) == 1
