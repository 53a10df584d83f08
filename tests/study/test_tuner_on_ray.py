"""`study.trainable` under Ray Tune's own schedulers, searchers, loggers and restore, on drawn data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from ray.tune.search.optuna import OptunaSearch
from tiny_runs import comparable, dataset, tiny

import study
from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config

pytestmark = pytest.mark.slow
CONFIG = tiny(**{
    "data.synthetic.train_identities": 4,
    "data.synthetic.test_identities": 3,
    "train.first_epochs": 1,
    "merge.merge_rate": 0.17,
})  # fmt: skip
STEPS = 5  # two joins of twelve tracklets a step


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def tuner(folder: Path, space: dict[str, Any], base: Config = CONFIG, **how: Any) -> tune.Tuner:
    run_config = {"storage_path": str(folder), "name": "tuned", "verbose": 0} | how.pop("run_config", {})
    return tune.Tuner(
        study.trainable(base),
        param_space=space,
        tune_config=tune.TuneConfig(**{"metric": "mAP", "mode": "max"} | how),
        run_config=tune.RunConfig(**run_config),
    )


def alone(config: Config) -> Algorithm:
    """The run of a configuration without Tune."""
    algorithm = Algorithm(config, dataset(config))
    algorithm.untrained()
    list(algorithm)
    return algorithm


def curve(result: tune.Result) -> pd.DataFrame:
    return result.metrics_dataframe.set_index("training_iteration")


def test_asha_ends_the_weaker_and_the_best_checkpoint_is_an_algorithm(tmp_path: Path):
    """The rates after the first are those of a network that hardly learns: they end at the first rung."""
    space = {"train.lr": tune.grid_search([0.01, 1e-7, 2e-7])}
    scheduler = ASHAScheduler(max_t=STEPS, grace_period=1, reduction_factor=3)
    results = tuner(tmp_path, space, scheduler=scheduler, max_concurrent_trials=1).fit()
    assert not results.errors
    wanted = [alone(CONFIG.replace(**result.config)).history for result in results]
    values = [[step.mAP for step in history] for history in wanted]
    assert max(range(3), key=lambda trial: values[trial][0]) == 0  # or nothing could be told from this
    for result, steps in zip(results, values, strict=True):
        told = curve(result)["mAP"]
        assert told.tolist() == pytest.approx(steps[: len(told)], abs=0) and told.index[0] == 1
    assert [len(curve(result)) for result in results] == [STEPS, 1, 1]

    best = results.get_best_result(scope="last")
    config, state = study.load_checkpoint(best.checkpoint)
    algorithm = Algorithm(config, dataset(config))
    algorithm.load_state_dict(state)
    assert algorithm.steps_done == len(curve(best)) and algorithm.history[-1].mAP == best.metrics["mAP"]
    events = list(Path(best.path).glob("events.out.tfevents.*"))
    assert events and all(b"ray/tune/mAP" in path.read_bytes() for path in events if path.stat().st_size > 99)


def test_pbt_hands_a_checkpoint_to_other_settings_and_its_curve_goes_on(tmp_path: Path):
    """Two trials: at every step the weaker takes over what the other has learnt, and another λ1."""
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        quantile_fraction=0.5,
        resample_probability=0.0,
        hyperparam_mutations={"merge.lambda1": tune.loguniform(1e-3, 0.3)},
        synch=True,
    )
    space = {"merge.lambda1": tune.grid_search([0.01, 0.02]), "train.lr": 0.01}
    # Without new processes for what goes on, which would take most of the time.
    results = tuner(tmp_path, space, scheduler=scheduler, reuse_actors=True).fit()
    assert not results.errors
    copied = (Path(results.experiment_path) / "pbt_global.txt").read_text().splitlines()
    assert copied
    for result in results:
        config, state = study.load_checkpoint(result.checkpoint)
        history = [MergeStep(**step) for step in state["history"]]
        assert [step.step for step in history] == list(range(1, STEPS + 1))
        assert 0.01 * 0.8**STEPS <= config.merge.lambda1 <= 0.02 * 1.2**STEPS
        assert comparable(history)[0] == comparable(alone(CONFIG).history)[0] | {"lr": history[0].lr}


def test_optuna_is_told_every_step_and_what_diverged_as_the_worst(tmp_path: Path):
    search = OptunaSearch(seed=0)
    space = {"train.lr": tune.choice([0.01, 1e30]), "merge.lambda1": tune.uniform(0.0, 0.1)}
    results = tuner(tmp_path, space, search_alg=search, num_samples=4).fit()
    assert not results.errors
    told = sorted(search._ot_study.trials, key=lambda trial: trial.params["train.lr"])
    assert len(told) == 4 and {trial.state.name for trial in told} == {"COMPLETE"}
    rates = [trial.params["train.lr"] for trial in told]
    assert set(rates) == {0.01, 1e30}
    for trial in told:
        if trial.params["train.lr"] == 1e30:
            assert trial.value == 0.0 and trial.intermediate_values == {1: 0.0}
        else:
            assert sorted(trial.intermediate_values) == list(range(1, STEPS + 1))
            assert trial.value == alone(CONFIG.replace(**trial.params)).history[-1].mAP


class Dying(tune.Callback):
    """Ends the Tuner after a report, unless it is told not to."""

    def on_trial_result(self, *args: Any, result: dict[str, Any], **info: Any) -> None:
        if result["training_iteration"] == 3 and "DCREID_TEST_GOES_ON" not in os.environ:
            raise KeyboardInterrupt


def test_a_tuner_that_was_cut_is_restored_and_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch):
    first = tuner(tmp_path, {"merge.lambda1": 0.05}, run_config={"callbacks": [Dying()]})
    with pytest.raises(BaseException):  # noqa: B017
        first.fit()
    monkeypatch.setenv("DCREID_TEST_GOES_ON", "1")
    (result,) = tune.Tuner.restore(str(tmp_path / "tuned"), trainable=study.trainable(CONFIG)).fit()
    whole = alone(CONFIG.replace(**{"merge.lambda1": 0.05}))
    told = curve(result)["mAP"]
    told = told[~told.index.duplicated(keep="last")]
    assert told.to_dict() == {step.step: step.mAP for step in whole.history}
    _, state = study.load_checkpoint(result.checkpoint)
    for name, value in whole.state_dict()["backbone"].items():
        assert torch.equal(state["backbone"][name], value), name
    assert np.array_equal(state["labels"], whole.labels)
