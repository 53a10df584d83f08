"""Every sampler through ask and tell as a study does it: pruned and failed trials, and a second start."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from dcreid.config import Config, ConfigError
from dcreid.presets import settings_of
from search_spaces.space import Space, adapt_space
from search_spaces.spaces import SPACES
from study.search.samplers import SAMPLERS, make_sampler, pruned_as_complete


def quality(config: Config) -> float:
    """A smooth stand-in for mAP with its best at the paper's values."""
    away = math.log(config.merge.lambda1 / 0.06 + 0.05) ** 2 + math.log(config.train.temperature / 0.1) ** 2
    return 0.4 - 0.02 * away - (0.1 if config.train.alpha_schedule == "fixed" else 0.0)


def start(path: Path, sampler: str, space: Space, seed: int = 1) -> optuna.Study:
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name="test",
        direction="maximize",
        load_if_exists=True,
    )
    study.sampler = make_sampler(sampler, space, seed, len(study.trials))
    return study


def run(study: optuna.Study, space: Space, trials: int) -> None:
    """Three at a time; a bad one is stopped after its first report, every eleventh fails."""
    base = settings_of("mars")
    for _ in range(trials // 3):
        asked = [study.ask() for _ in range(3)]
        for trial in asked:
            config = base.replace(**space.draw(trial))
            trial.report(quality(config) / 2, 1)
            if trial.number % 11 == 10:
                study.tell(trial, state=TrialState.FAIL)
            elif quality(config) < 0.3:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, quality(config))


@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["default", "training", "temperature"])
def test_thirty_trials_with_a_second_start(
    sampler: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = adapt_space(SPACES[name], sampler)
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            first = start(tmp_path / "journal", sampler, space)
            first.enqueue_trial(space.params_of(settings_of("mars")))
            run(first, space, 15)
            second = start(tmp_path / "journal", sampler, space)
            run(second, space, 15)
    finally:
        optuna.logging.disable_propagation()
    # The hint that the GP is slower without greenlet comes once, on import.
    assert {record.name for record in caplog.records} <= {"optuna._gp.batched_lbfgsb"}
    trials = second.trials
    assert len(trials) == 30 and all(trial.state.is_finished() for trial in trials)
    base = settings_of("mars")
    assert base.replace(**space.draw(optuna.trial.FixedTrial(trials[0].params))) == base
    assert all(trial.params not in [other.params for other in trials[:15]] for trial in trials[15:18])


def test_cmaes_goes_through_generations_across_a_restart(tmp_path: Path) -> None:
    space = adapt_space(SPACES["default"], "cmaes")
    for _ in range(2):
        run(start(tmp_path / "journal", "cmaes", space), space, 30)
    trials = start(tmp_path / "journal", "cmaes", space).trials
    generations = [trial.system_attrs.get("cma:generation", 0) for trial in trials]
    assert max(generations[30:]) > max(generations[:30]) >= 1


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes"])
def test_models_end_better_than_they_start(sampler: str, tmp_path: Path) -> None:
    space = adapt_space(SPACES["default"], sampler)
    study = start(tmp_path / "journal", sampler, space)
    run(study, space, 60)
    points = [space.draw(optuna.trial.FixedTrial(trial.params)) for trial in study.trials]
    values = [quality(settings_of("mars").replace(**point)) for point in points]
    assert sum(values[40:]) / 20 > sum(values[:10]) / 10


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_pruned_trials_count_as_no_better_than_the_worst_complete(direction: str, sign: int) -> None:
    study = optuna.create_study(direction=direction)
    trials = [study.ask() for _ in range(6)]
    for trial, last in zip(trials[:3], (0.2, 0.9, math.nan), strict=True):
        trial.report(sign * 0.05, 1)
        trial.report(sign * last, 2)
        study.tell(trial, state=TrialState.PRUNED)
    study.tell(trials[3], sign * 0.4)
    study.tell(trials[4], sign * 0.5)
    counted = pruned_as_complete(study)._get_trials(states=(TrialState.COMPLETE,))
    assert [trial.value for trial in counted] == [sign * value for value in (0.2, 0.4, 0.4, 0.5)]
    assert [trial.state for trial in study.trials[:3]] == [TrialState.PRUNED] * 3


def test_seeds_repeat_a_study_but_not_its_continuation() -> None:
    def first_draw(seed: int, existing: int) -> dict[str, object]:
        study = optuna.create_study(sampler=make_sampler("tpe", SPACES["default"], seed, existing))
        return SPACES["default"].draw(study.ask())

    assert first_draw(3, 0) == first_draw(3, 0)
    assert len({str(first_draw(seed, existing)) for seed in (3, 4) for existing in (0, 1, 15)}) == 6


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="must be one of tpe, random, gp, cmaes"):
        make_sampler("grid", SPACES["default"], 0)
    with pytest.raises(ConfigError, match="adapt_space"):
        make_sampler("cmaes", SPACES["default"], 0)
    choices = SPACES["alpha"].without({"train.alpha": 0.5})
    with pytest.raises(ConfigError, match="only choices"):
        make_sampler("cmaes", adapt_space(choices, "cmaes"), 0)
