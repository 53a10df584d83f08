"""The paper's plan: what is in it, each configuration once, the final setting first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcreid.config import Config, ConfigError
from dcreid.presets import laid_over, settings_of
from dcreid.schedules import learning_rate
from search_spaces.paper import FIG4_LAMBDA1, FIG5_LAMBDA2, PLANS, PlanItem, plan, with_seeds
from search_spaces.rivals import RIVAL_PLANS

BASES = [settings_of("mars"), settings_of("duke"), settings_of("synthetic")]
SIZES = {
    "paper": 28,
    "tables": 7,
    "table1": 3,
    "table2": 2,
    "table3": 4,
    "fig3": 1,
    "fig4": 8,
    "fig5": 8,
    "alpha": 11,
    "choices": 12,
    "practice": 24,
    "leak_audit": 8,
    "bound": 1,
    "rivals": 6,
    "rivals-published": 6,
}


def by_experiment(items: list[PlanItem]) -> dict[str, Config]:
    return {experiment: item.config for item in items for experiment in item.experiments}


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.data.dataset)
@pytest.mark.parametrize("name", PLANS)
def test_each_configuration_once_and_the_final_setting_first(name: str, base: Config) -> None:
    items = plan(name, base)
    assert len(items) == len({item.config.digest() for item in items}) == SIZES[name]
    if name != "bound":
        assert items[0].config == base and items[0].label == "final setting"
    assert len({item.label for item in items}) == len(items)
    experiments = [experiment for item in items for experiment in item.experiments]
    assert len(experiments) == len(set(experiments))


def test_the_final_setting_is_a_point_of_every_table_and_figure() -> None:
    final = plan("paper", settings_of("mars"))[0]
    assert final.experiments == (
        "table1/lambda1_lambda2",
        "table2/linear",
        "table3/0.1",
        "fig3/final",
        "fig4/0.06",
        "fig5/0.003",
        "alpha/0.5",
    )


def test_paper_is_the_union_of_its_parts() -> None:
    names = ("table1", "table2", "table3", "fig3", "fig4", "fig5")
    parts = [plan(name, settings_of("duke")) for name in names]
    joined = {experiment: config for part in parts for experiment, config in by_experiment(part).items()}
    ends = by_experiment(plan("alpha", settings_of("duke")))
    joined |= {f"alpha/{tenths / 10:g}": ends[f"alpha/{tenths / 10:g}"] for tenths in range(1, 10)}
    assert by_experiment(plan("paper", settings_of("duke"))) == joined


def test_tables_hold_the_paper_rows() -> None:
    configs = by_experiment(plan("paper", settings_of("mars")))
    rows = [configs[f"table1/{row}"].merge for row in ("baseline", "lambda1", "lambda1_lambda2")]
    assert [(row.lambda1, row.lambda2) for row in rows] == [(0, 0), (0.06, 0), (0.06, 0.003)]
    assert configs["table2/fixed"].train.alpha_schedule == "fixed"
    assert configs["table2/fixed"].train.alpha == 0.5
    assert [configs[f"table3/{t}"].train.temperature for t in ("0.05", "0.08", "0.1", "0.3")] == [
        0.05,
        0.08,
        0.1,
        0.3,
    ]
    assert all(configs[f"fig4/{value:g}"].merge.lambda2 == 0.003 for value in FIG4_LAMBDA1)
    assert all(configs[f"fig5/{value:g}"].merge.lambda1 == 0.06 for value in FIG5_LAMBDA2)
    assert configs["fig5/0"] == configs["table1/lambda1"]


@given(
    lambda1=st.floats(0, 1),
    lambda2=st.floats(0, 0.1),
    temperature=st.floats(0.01, 1),
    alpha=st.floats(0, 1),
    schedule=st.sampled_from(("linear", "fixed", "cosine")),
    rows=st.sampled_from(("members", "zeros")),
    shuffle=st.booleans(),
    name=st.sampled_from(sorted(PLANS)),
)
def test_any_base_of_the_users_is_there_and_nothing_doubles(
    lambda1: float, lambda2: float, temperature: float, alpha: float, schedule: str, rows: str, shuffle: bool,
    name: str,
) -> None:  # fmt: skip
    base = settings_of("mars").replace(
        **{
            "merge.lambda1": lambda1,
            "merge.lambda2": lambda2,
            "train.temperature": temperature,
            "train.alpha": alpha,
            "train.alpha_schedule": schedule,
            "train.memory_init": rows,
            "data.shuffle_tracklets": shuffle,
        }
    )
    if name in RIVAL_PLANS and not shuffle:  # DBC's rows would leak
        with pytest.raises(ConfigError, match=r"old_classes.*shuffle_tracklets"):
            plan(name, base)
        return
    items = plan(name, base)
    assert name == "bound" or items[0].config == base
    assert len({item.config.digest() for item in items}) == len(items)
    experiments = [experiment for item in items for experiment in item.experiments]
    assert len(experiments) == len(set(experiments))


def test_grids_are_absolute_and_hold_the_base_value() -> None:
    base = settings_of("mars").replace(**{"merge.lambda1": 0.15})
    configs = by_experiment(plan("fig4", base))
    assert next(iter(configs.values())).merge.lambda1 == 0.15
    assert sorted(config.merge.lambda1 for config in configs.values()) == sorted((*FIG4_LAMBDA1, 0.15))


def test_only_the_leak_audit_leaks_and_only_the_bound_has_identities() -> None:
    for name in PLANS:
        for item in plan(name, settings_of("mars")):
            leaks = item.config.train.memory_init == "previous_rows"
            bound = item.config.trains_with_identities
            assert (leaks or bound) == item.config.train.leak_audit
            assert not leaks or name == "leak_audit"
            assert bound == (name == "bound")
    for wrong in ({"train.memory_init": "previous_rows"}, {"merge.method": "identities"}):
        base = settings_of("mars").replace(**wrong, **{"train.leak_audit": True})
        for name in PLANS:
            with pytest.raises(ConfigError, match="no plan starts from it"):
                plan(name, base)


@pytest.mark.parametrize(
    ("base", "rate"),
    [
        ({}, 0.004),
        (
            {"train.lr": 0.02, "merge.method": "anew", "merge.distance": "jaccard", "merge.max_steps": 7},
            0.004,
        ),
        ({"train.lr": 0.02, "model.weights": "none"}, 0.02),
        ({"train.lr": 0.002, "train.later_lr": "restart", "train.camera_proxies": True}, 0.002),
    ],
)
def test_the_bound_lays_identities_over_any_base(base: dict[str, Any], rate: float) -> None:
    """From the first merge step on, at one rate that does not collapse; all else stays."""
    given = settings_of("mars").replace(**base)
    (item,) = plan("bound", given)
    assert item.experiments == ("bound/identities",)
    assert item.label == "trained with identities (a bound)"
    fields = {
        "merge.method": "identities",
        "train.leak_audit": True,
        "train.first_epochs": 0,
        "train.lr": rate,
        "train.later_lr": "restart",
    }
    assert item.config == given.replace(**fields)
    assert [learning_rate(item.config.train, stage, 1) for stage in (2, 9)] == [rate, rate]


def test_leak_audit_rows() -> None:
    configs = by_experiment(plan("leak_audit", settings_of("mars")))
    assert configs["leak_audit/right"] == settings_of("mars")
    leak, code = configs["leak_audit/leak"], configs["leak_audit/public_code"]
    assert leak.train.memory_init == "previous_rows" and not leak.data.shuffle_tracklets
    assert leak.merge == settings_of("mars").merge
    assert (code.merge.lambda1, code.merge.lambda2, code.merge.intra) == (0, 0, "pairs")
    assert code.train == leak.train and code.data == leak.data
    assert configs["leak_audit/previous_rows"].data.shuffle_tracklets
    assert configs["leak_audit/identity_order"].train.memory_init == "members"


def test_seeds_come_one_whole_plan_after_the_other() -> None:
    items = plan("table1", settings_of("synthetic"))
    seeded = with_seeds(items, (0, 7))
    assert [item.config.seed for item in seeded] == [0, 0, 0, 7, 7, 7]
    assert seeded[:3] == items
    assert [item.experiments for item in seeded[3:]] == [item.experiments for item in items]
    for seeds in ((), (1, 1), (-1,)):
        with pytest.raises(ConfigError):
            with_seeds(items, seeds)


def test_unknown_plans_list_the_known() -> None:
    with pytest.raises(ConfigError, match="did you mean table1"):
        plan("tabel1", settings_of("mars"))


@pytest.mark.parametrize("dataset", ["mars", "duke"])
def test_practice_turns_to_what_some_preset_does_or_the_papers_line_6_says(dataset: str) -> None:
    base = settings_of(dataset)
    held = base.flat()
    presets = [laid_over(base, name).flat() for name in ("recommended", "buc", "dbc", "oim")]
    printed = {"practice/printed": "printed", "practice/carry": "carry"}
    for experiment, changes in PLANS["practice"].rows(base):
        own = base.replace(**changes).flat()
        changed = {field: value for field, value in own.items() if value != held[field]}
        assert changed == changes, experiment
        if experiment in printed:
            assert list(changed.values()) == [printed[experiment]]
            continue
        assert any(changed.items() <= preset.items() for preset in presets), experiment
