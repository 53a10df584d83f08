"""What configurations change, in words."""

from __future__ import annotations

from analysis.data.changes import changed_in_base, changed_in_settings
from analysis.data.results import load
from dcreid.presets import settings_of


def test_the_base_against_its_preset(make):
    plain, changed = make("duke", "plain"), settings_of("duke").replace(**{"merge.lambda1": 0.1, "seed": 3})
    other = make("duke", "other", base=changed)
    for study in (plain, other):
        study.trial(study.base)
    assert [changed_in_settings(group) for group in load([plain.folder, other.folder]).groups] == [
        "nothing",
        "merge.lambda1 = 0.1",
    ]


def test_a_trial_against_the_base(make):
    study = make("duke")
    study.trial(study.base)
    (group,) = load([study.folder]).groups
    drawn = study.base.replace(**{"merge.lambda1": 0.02345, "train.later_lr": "restart", "seed": 1})
    assert changed_in_base(drawn, group) == "later lr restart, λ1 0.0234"
    assert changed_in_base(study.base.replace(seed=1), group) == "the paper's"
