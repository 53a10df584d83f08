"""Every benchmark runs at its small size, finds equal results and writes its numbers."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "benchmarks"))

from extrapolation import FRAMES, TEST_FRAMES, TRACKLETS, Rates, study_seconds, trial_seconds  # noqa: E402
from false_wins import made_up, plan_of, rates  # noqa: E402
from halves import base_of, differences, main, on_halves, percents, worth  # noqa: E402

from dcreid.config import Config  # noqa: E402
from dcreid.presets import laid_over, paper, settings_of  # noqa: E402
from study.command.method_options import add_method_options  # noqa: E402

SMALL = {
    "merge": ("--tracklets", "300", "--dbc-rows", "5", "--blocked", "2000", "--dim", "32"),
    "jaccard": ("--tracklets", "300"),
    "evaluate": (),
    "scores": (),
    "frames": ("--workers", "1", "--most", "200"),
    "train memory": ("--memory",),
    "train": (
        *("--workers", "1", "--height", "32", "--width", "16", "--frames", "1"),
        *("--mars-size", "--mars-frames", "1", "--minutes", "0"),
    ),
    "lighter": (),
    "halves": ("--seeds", "1"),
    "false_wins": ("--ledgers", "5"),
    "search": (),
    "trials": ("--trials", "40", "--tpe-trials", "40"),
}
FOUND = {
    "merge": {"rivals", "single", "sweep", "blocked"},
    "jaccard": {"rival"},
    "evaluate": {"rival", "sweep"},
    "scores": {
        *("self_retrieval", "camera_excess", "stability", "silhouette"),
        *("agreement", "size_balance", "exclusivity"),
    },
    "frames": {"loaders", "together", "sweep"},
    "train memory": {"memory", "seconds"},
    "train": {"matrix_rate", "bandwidth", "rows", "rival", "projection", "mars_size"},
    "lighter": {"settings"},
    "halves": {"worth"},
    "false_wins": {"rates"},
    "search": {"rival"},
    "trials": {"tune", "driver", "real"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_small_size_runs_through(name: str, tmp_path: Path):
    path = tmp_path / "numbers.json"
    program = name.split()[0]
    command = [sys.executable, f"benchmarks/{program}.py", "--quick", "--repeats", "1", "--json", str(path)]
    done = subprocess.run(
        [*command, "--threads", "1", *SMALL[name]],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert written["benchmark"] == program and set(written["results"]) == FOUND[name]
    assert "load before" in done.stdout


def without(*changes: tuple[str, object]) -> Config:
    return paper("mars").replace(**dict(changes))


def test_a_trial_of_the_paper_is_so_many_frames():
    epochs, steps = 30 + 19 * 3, 20
    counted = Rates(train=1.0, features=float("inf"), merge=0.0, evaluate=0.0)
    assert trial_seconds(counted) == epochs * TRACKLETS * 8
    counted = Rates(train=float("inf"), features=1.0, merge=0.0, evaluate=0.0)
    assert trial_seconds(counted) == (steps + 1) * (FRAMES + TEST_FRAMES)
    counted = Rates(train=float("inf"), features=float("inf"), merge=1.0, evaluate=100.0)
    assert trial_seconds(counted) == steps * 1.0 + (steps + 1) * 100.0


@pytest.mark.parametrize("every", [1, 3, 5, 40])
def test_rarer_and_smaller_evaluations_are_counted(every: int):
    counted = Rates(train=float("inf"), features=1.0, merge=0.0, evaluate=0.0)
    config = without(("evaluate.eval_every", every), ("data.eval_frames", 2))
    # The evaluations that are due before the last see two frames each, it and the first of all see all.
    early = len([step for step in range(1, 20) if step % every == 0])
    expected = 21 * 2 * TRACKLETS + early * 2 * 12_180 + 2 * TEST_FRAMES
    assert trial_seconds(counted, config) == expected


def test_pruning_and_sharing_save_what_they_spare():
    rates = Rates(train=1000.0, features=4000.0, merge=1.0, evaluate=1.0)
    whole, first = trial_seconds(rates), trial_seconds(rates, steps=2)
    plain = study_seconds(rates, samples=10, pruning=False)
    assert plain == pytest.approx(10 * whole)
    shared = study_seconds(rates, samples=10, pruning=False, sharing=2)
    assert plain - shared == pytest.approx(9 * first)
    up_to_1, up_to_6 = trial_seconds(rates, steps=1), trial_seconds(rates, steps=6)
    cost = up_to_1 + (up_to_6 - up_to_1) / 2 + (whole - up_to_6) / 4
    assert study_seconds(rates, samples=10, pruning=True) == pytest.approx(whole + 9 * cost)


def test_a_choice_is_weighed_run_by_run_on_the_same_half_and_seed():
    base, other = paper("mars"), paper("mars").replace(**{"train.lr": 0.02})
    found = [(one.data.split, one.seed) for one in on_halves(other, 2)]
    assert found == [("first_half", 0), ("second_half", 0), ("first_half", 1), ("second_half", 1)]
    rows = {one.digest(): {"mAP": 0.2 + 0.1 * k} for k, one in enumerate(on_halves(base, 2))}
    rows |= {one.digest(): {"mAP": 0.21 + 0.11 * k} for k, one in enumerate(reversed(on_halves(other, 2)))}
    held, own = (percents(rows, config, 2, "mAP") for config in (base, other))
    assert held == pytest.approx([20, 30, 40, 50]) and own == pytest.approx([54, 43, 32, 21])
    assert differences(own, held) == pytest.approx([34, 13, -8, -29])


def test_few_differences_are_shown_each_and_more_with_their_interval():
    assert worth([1.25, -0.5]) == "+1.2, −0.5"
    assert worth([1.0, 2.0, 3.0]) == "+2.0 ± 2.5"  # t of 2 degrees of freedom, 4.303, times 1 / √3


def test_the_base_on_halves_is_the_preset_with_the_options_that_are_given():
    parser = argparse.ArgumentParser()
    add_method_options(parser)

    def base(*options: str, preset: str = "paper") -> Config:
        return base_of(argparse.Namespace(**vars(parser.parse_args(options)), preset=preset, quick=False))

    measured = {"evaluate.camera_normalise": True}
    given = ("--dataset", "mars", "--lr", "0.05", "--later-lr", "restart")
    assert base(*given) == paper("mars").replace(
        **{"train.lr": 0.05, "train.later_lr": "restart"}, **measured
    )
    assert base(preset="buc") == laid_over(settings_of("synthetic"), "buc", measured)


@pytest.mark.parametrize("idle", [("--seed", "1"), ("--split", "first_half")])
def test_options_without_effect_on_halves_are_refused(
    idle: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["halves.py", *idle])
    with pytest.raises(SystemExit):
        main()
    assert f"{idle[0]} has no effect" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("confirmed", [3, 10])
def test_where_nothing_is_better_a_confirmed_search_seldom_beats_the_papers(confirmed: int):
    verdict, alone = rates(confirmed, seeds=5, ledgers=2000)
    assert 1.8 <= verdict <= 3.2 < alone


def test_made_up_searches_confirm_their_best_on_fresh_seeds():
    plan = plan_of(confirmed=3, seeds=4)
    drawn = [plan.config.replace(**{"merge.lambda1": 0.1 * (1 + i)}) for i in range(5)]
    (study,) = made_up(plan, drawn, np.random.default_rng(0)).studies
    confirming = [trial for trial in study.trials if trial.origin == "confirm"]
    assert len(study.trials) == 1 + 5 + 4 * 4 and len(confirming) == 4 * 4
    best = sorted(study.trials[1:6], key=lambda trial: -trial.value)[:3]
    assert {t.config["merge"]["lambda1"] for t in confirming} == {
        t.config["merge"]["lambda1"] for t in (study.trials[0], *best)
    }
    assert len({trial.value for trial in study.trials}) == len(study.trials)
