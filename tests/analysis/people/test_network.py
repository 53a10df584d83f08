"""Which trial of a study is looked at where none is named."""

from __future__ import annotations

from analysis.data.results import load
from analysis.people.network import choose


def test_of_a_search_its_choice_is_shown_and_no_run_that_confirms_it(make, lambdas_space):
    study = make("duke", space=lambdas_space, samples=3)
    study.trial(study.base, lambda _, step: 0.2, origin="paper")
    for lambda1, value in ((0.2, 0.4), (0.3, 0.3)):
        study.trial(
            study.base.replace(**{"merge.lambda1": lambda1}), lambda _, step, v=value: v, origin="search"
        )
    study.trial(study.base.replace(seed=7), lambda _, step: 0.9, origin="confirm")
    assert choose(load([study.folder]).studies[0], None).number == 1


def test_of_a_plan_the_final_setting_is_shown(make):
    study = make("duke", experiments="table1")
    study.run_plan(1, lambda config, step: 0.9 if config.merge.lambda1 == 0 else 0.3)
    chosen = choose(load([study.folder]).studies[0], None)
    assert chosen.config == study.base.to_dict()
