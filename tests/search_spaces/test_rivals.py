"""The rivals: every method on one base, each with the base's budget or with its own."""

from __future__ import annotations

import pytest

from dcreid.config import Config
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import plan
from search_spaces.rivals import RIVAL_LABELS, RIVALS

MINI = {"model.backbone": "mobilenet_v2", "data.frames": 2, "train.first_epochs": 4, "train.later_epochs": 1}
BUDGET = ("data.frames", "data.eval_frames", "train.first_epochs", "train.later_epochs")


def rows(name: str, base: Config) -> dict[str, Config]:
    return {experiment: item.config for item in plan(name, base) for experiment in item.experiments}


@pytest.mark.parametrize("base", [settings_of("mars"), settings_of("synthetic")], ids=["mars", "synthetic"])
def test_each_row_is_its_preset_on_the_base(base: Config):
    found = rows("rivals", base)
    assert list(found) == [
        f"rivals/{row}" for row in ("paper", "recommended", "buc", "dbc", "dbc_lambda1", "oim")
    ]
    assert found["rivals/paper"] == base
    for name in ("recommended", "buc", "dbc", "oim"):
        assert found[f"rivals/{name}"] == laid_over(base, name, published=False)
    applied = found["rivals/dbc"].replace(**{"merge.lambda1": 0.1})
    assert found["rivals/dbc_lambda1"] == applied != found["rivals/dbc"]
    found = rows("rivals-published", base)
    for name in ("recommended", "buc", "dbc", "oim"):
        assert found[f"rivals-published/{name}"] == laid_over(base, name)


def test_network_frames_epochs_and_seed_are_the_bases():
    base = settings_of("mars").replace(**MINI, seed=3)
    found = rows("rivals", base)
    alike = ["data.frames", "data.eval_frames", "data.height", "model.backbone", "model.weights", "seed"]
    alike += ["merge.merge_rate", "train.later_epochs", "train.backbone_lr_factor", "train.weight_decay"]
    for config in found.values():
        assert [config.flat()[name] for name in alike] == [base.flat()[name] for name in alike]
    rates = {experiment: config.train.lr for experiment, config in found.items()}
    assert rates.pop("rivals/recommended") == 0.02 and set(rates.values()) == {base.train.lr}
    assert {e: c.train.first_epochs for e, c in found.items()} == {
        f"rivals/{row}": 4 + 19 if row == "oim" else 4 for row in RIVALS
    }
    assert found["rivals/buc"].model.frozen_stages == 7


def test_a_published_budget_gives_way_to_what_the_user_has_changed():
    base = settings_of("mars").replace(**{"data.frames": 2, "train.first_epochs": 4})
    found = rows("rivals-published", base)
    budgets = {e.split("/")[1]: tuple(c.flat()[name] for name in BUDGET) for e, c in found.items()}
    buc = (2, 900, 4, 5)
    assert budgets == {
        "paper": (2, 0, 4, 3),
        "recommended": (2, 0, 4, 3),
        "buc": buc,
        "dbc": buc,
        "dbc_lambda1": buc,
        "oim": (2, 0, 4 + 19 * 3, 3),
    }


def test_a_users_changes_of_this_method_leave_the_others_alone():
    """λ1, the memory and the like are each method's own."""
    plain = settings_of("mars")
    base = plain.replace(**{"merge.lambda1": 0.3, "train.temperature": 0.05, "model.head": "embedding"})
    for experiment, config in rows("rivals", base).items():
        if "buc" in experiment or "dbc" in experiment:
            assert config == rows("rivals", plain)[experiment]


def test_they_are_called_by_their_names():
    items = plan("rivals", settings_of("mars"))
    assert [item.label for item in items] == ["final setting", *list(RIVAL_LABELS.values())[1:6]]
    assert items[2].label == "BUC" and "λ1 = 0.1 applied" in items[4].label
