"""Studies from Python: made, run, looked at, with configurations enqueued; without Ray, and once with it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from dcreid.config import Config, ConfigError
from dcreid.data.tracklets import DataError
from dcreid.presets import laid_over, settings_of
from study import Study, run
from study.__main__ import main as look
from study.command.resolve import resolve
from study.errors import OptionError, StudyError
from study.record.folder import locked, read_plan
from study.record.ledger import Ledger
from study.show.status import Status

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = {"data.synthetic.train_identities": 4, "data.synthetic.test_identities": 3, "merge.merge_rate": 0.2}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def without_ray(here: Path, fake_tune: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Sessions are played; returns what each was started with."""
    started: list[dict[str, Any]] = []

    def play(session, display, *, keep_models, **options):
        started.append(options)
        with display:
            fake_tune(session).run()

    monkeypatch.setattr("study.on_ray.loop.run_session", play)
    return started


def make(**options: Any) -> Study:
    return Study.create("one", **{"config": TINY, "samples": 4, "pruner": "none", **options})


# --- what it is made of


def test_it_is_made_as_the_command_makes_it(here: Path):
    study = make(sampler="random", tables=False, gpus_per_trial=0.0, time_budget="2h", cpus_per_trial=0.5)
    command = (
        "python study/run.py --sampler random --no-tables --gpus-per-trial 0.0 --time-budget 2h "
        "--cpus-per-trial 0.5 --samples 4 --pruner none --name one --synthetic-train-identities 4 "
        "--synthetic-test-identities 3 --merge-rate 0.2"
    )
    words = command.split()[2:]
    assert read_plan("one", "studies") == resolve(run.parser().parse_args(words))
    described = json.loads((here / "studies" / "one" / "study.json").read_text())
    assert sorted(described["command"].split()) == sorted(command.split()) and described["commands"] == []
    assert study.folder == here / "studies" / "one" and study.name == "one"
    assert study.config.merge.merge_rate == 0.2 and not study.complete


def test_what_may_be_given_are_the_options_of_the_command(here: Path):
    from study.command.keywords import StudyOptions

    options = {action.dest for action in run.parser()._actions} - {"help", "dry_run", "resume", "name"}
    of_the_study = {name for name in options if "." not in name} | {"dataset"}
    assert set(StudyOptions.__annotations__) == of_the_study


def test_no_name_finds_the_same_study_again(here: Path):
    first, again = (Study.create(config=TINY, samples=samples) for samples in (4, 9))
    assert first.folder == again.folder and first.name.startswith("synthetic-")
    assert Study.create(config=TINY | {"merge.lambda1": 0.2}).folder != first.folder


@pytest.mark.parametrize(
    ("preset", "options"),
    [("paper", {}), ("buc", {"preset": "buc"}), ("recommended", {"space": "full"})],
)
def test_a_whole_configuration_is_trial_0s_and_the_rest_is_searched(here: Path, preset: str, options):
    config = laid_over(settings_of("synthetic"), preset).replace(
        **TINY, **{"merge.lambda1": 0.2, "model.batch_norm": "adapt", "merge.max_steps": 3, "seed": 5}
    )
    study = Study.create("one", config=config, samples=2, **options)
    plan = Status.read("one", "studies").plan
    assert study.config == config and plan.preset == options.get("preset", "paper")
    assert plan.search_space is not None and "merge.lambda1" not in plan.search_space.fields
    free = {"merge.lambda2", "train.alpha_schedule"}
    assert free <= set(plan.search_space.fields) or preset == "recommended"


def test_numbers_may_be_numpys(here: Path):
    values = {
        "merge.lambda1": np.float64(0.25),
        "seed": np.int64(3),
        "merge.camera_normalise": np.bool_(True),
    }
    study = make(config=TINY | values)
    assert (study.config.merge.lambda1, study.config.seed) == (0.25, 3)
    assert study.config.merge.camera_normalise is True
    assert study.enqueue({"train.batch_size": np.int32(8)})
    stored = Ledger(study.folder / "ledger.jsonl", read_only=True).enqueued
    assert [type(config["train"]["batch_size"]) for config in stored] == [int]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"sample": 3}, OptionError, r"^sample: there is no such option; did you mean samples\?$"),
        (
            {"lambda1": 0.1},
            OptionError,
            r"^lambda1: a field of the method; give it as config={'merge.lambda1'",
        ),
        ({"resume": "one"}, OptionError, r"^resume: there is no such option"),
        ({"samples": "4"}, OptionError, r"^samples = '4': must be of type int$"),
        ({"samples": 4.0}, OptionError, r"^samples = 4.0: must be of type int$"),
        ({"samples": True}, OptionError, r"^samples = True: must be of type int$"),
        ({"samples": 0}, OptionError, r"^--samples: '0': must be >= 1 and <= 100000$"),
        ({"tables": "no"}, OptionError, r"^tables = 'no': must be of type bool$"),
        ({"sampler": "tpa"}, OptionError, r"^--sampler: invalid choice: 'tpa'"),
        ({"preset": "bux"}, OptionError, r"^--preset: 'bux': did you mean buc\?"),
        ({"name": "../x"}, OptionError, r"^--name: '../x': letters, digits"),
        ({"name": ""}, OptionError, r"^--name: '': letters, digits"),
        ({"name": "--force"}, OptionError, r"^--name: '--force': letters, digits"),
        ({"time_budget": "soon"}, OptionError, r"^--time-budget: 'soon': a time such as 90s"),
        ({"reuse": "other"}, OptionError, r"^reuse = 'other': must be of type list"),
        ({"reuse": ["other"]}, StudyError, r"^--reuse other: no study.json"),
        ({"address": "ray://head:10001"}, OptionError, r"^address ray://head:10001: from Python"),
        ({"dataset": "marz"}, OptionError, r"^--dataset: 'marz': must be one of synthetic, mars"),
        ({"dataset": "mars"}, OptionError, r"^--dataset mars: not found in .*; put or link it there"),
        ({"name": "x", "dataset": "folder", "data_root": "gone"}, DataError, r"gone"),
        ({"plan": "table1", "confirm": 2, "seeds": 2}, OptionError, r"^--confirm belongs to a search"),
        (
            {"name": "x", "plan": "table1", "sampler": "gp"},
            OptionError,
            r"^--sampler has no effect: a --plan",
        ),
        ({"config": {"merge.lamda1": 0.1}}, ConfigError, r"unknown field 'merge.lamda1': did you mean"),
        ({"config": {"merge.lambda1": "0.1"}}, ConfigError, r"MergeConfig.lambda1 = '0.1': must be of type"),
        ({"config": {"merge.lambda1": None}}, ConfigError, r"MergeConfig.lambda1 = None: must be of type"),
        ({"config": {1: 0.1}}, ConfigError, r"^config: 1 is no name of a field, such as 'merge.lambda1'$"),
        ({"config": "merge.lambda1=1"}, ConfigError, r"^config = 'merge.lambda1=1': must be a Config, or"),
        ({"config": {"merge.classes": 24}}, ConfigError, r"merge.classes = 24"),
        ({"config": {"merge.method": "identities"}}, ConfigError, r"trains with identities"),
        ({"config": {"seed": 3}, "seed": 4}, OptionError, r"^seed = 4: config has another seed"),
        ({"config": {"merge.k1": 9}}, OptionError, r"^--k1 has no effect: the distance is not"),
        ({"config": {"model.weights": "gone.pt"}}, OptionError, r"^--weights gone.pt: no such file"),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_nothing(here: Path, options, kind, said: str, monkeypatch):
    monkeypatch.delenv("DCREID_DATA", raising=False)
    own = options.get("config", {})
    if "name" not in options:
        options = {
            "samples": 4,
            "name": "x",
            **options,
            "config": TINY | own if isinstance(own, dict) else own,
        }
    with pytest.raises(kind, match=said):
        Study.create(**options)
    assert not (here / "studies").exists()


def test_another_study_of_the_name_is_refused(here: Path):
    make()
    with pytest.raises(StudyError, match=r"one holds another study: .*use another --name"):
        make(sampler="random")


# --- running


def test_a_study_is_run_looked_at_and_gone_on_with(without_ray, capsys):
    study = make()
    assert study.best() is None and len(study.trials()) == 0 and len(study.steps()) == 0
    outcome = study.run()
    assert (outcome.complete, outcome.interrupted) == (True, False) and study.complete
    out = capsys.readouterr().out
    assert "trials: 0 done, 0 resumed, 4 new" in out and "trial 3 complete" in out
    assert study.run(quiet=True).complete and capsys.readouterr().out == ""
    assert study.run(samples=6, quiet=True).complete and len(study.trials()) == 6
    assert study.run(quiet=True).complete and len(study.trials()) == 6  # as the session before
    assert without_ray == [{"own_process": False}] * 2  # no session where nothing is left
    assert repr(study) == f"Study('{study.folder}': 6/6 done)"


def test_options_of_a_session_are_those_that_may_change(without_ray):
    study = make()
    study.run(quiet=True)
    for options, said in (
        ({"sampler": "gp"}, r"^sampler: cannot change in a study that there is already; create another$"),
        ({"sample": 9}, r"^sample: there is no such option; did you mean samples\?$"),
        ({"samples": "9"}, r"^samples = '9': must be of type int$"),
    ):
        with pytest.raises(OptionError, match=said):
            study.run(**options)
    assert study.run(quiet=True).complete


def test_an_existing_study_is_opened_by_name_or_folder(without_ray, here: Path, monkeypatch):
    made = make()
    made.run(quiet=True)
    before = (made.folder / "ledger.jsonl").read_bytes()
    for study in (Study.open("one"), Study.open(made.folder), Study.open("one", studies=here / "studies")):
        assert study.folder == made.folder and study.complete and study.config == made.config
        assert study.trials().equals(made.trials()) and study.steps().equals(made.steps())
        assert study.best() == made.best()
    assert (made.folder / "ledger.jsonl").read_bytes() == before
    monkeypatch.chdir(here / "studies")  # a study stays where it was found
    assert study.run(samples=5, quiet=True).complete and len(study.trials()) == 5
    with pytest.raises(StudyError, match=r"two: no study.json in .*; studies in .*: one$"):
        Study.open("two", studies=here / "studies")


def test_two_studies_in_one_process(without_ray):
    one, two = make(), Study.create("two", config=TINY | {"seed": 1}, samples=2)
    assert one.run(quiet=True).complete and two.run(quiet=True).complete
    assert set(one.trials().seed) == {0} and set(two.trials().seed) == {1}


def test_the_callers_loggers_are_left_as_they_were(without_ray):
    log = logging.getLogger("dcreid")
    before = optuna.logging.get_verbosity()
    try:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        make().run(quiet=True)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO and log.handlers == []
    finally:
        optuna.logging.set_verbosity(before)


def test_while_it_runs_it_can_be_looked_at_but_nothing_is_enqueued(here: Path):
    study = make()
    with locked(study.folder):
        assert len(study.trials()) == 0
        with pytest.raises(StudyError, match="is being run by process"):
            study.enqueue({"merge.lambda1": 0.25})
        with pytest.raises(StudyError, match="is being run by process"):
            study.run(quiet=True)


# --- what came out


def test_trials_are_a_tidy_table(without_ray):
    study = make()
    study.enqueue({"merge.lambda1": 0.25, "train.batch_size": 8})
    study.run(quiet=True)
    table, records = study.trials(), Ledger(study.folder / "ledger.jsonl", read_only=True).trials
    assert list(table.trial) == [0, 1, 2, 3] and list(table.state) == ["complete"] * 4
    assert list(table.origin) == ["paper", "enqueued", "search", "search"]
    fields = [name for name in table if "." in name]
    assert {"merge.lambda1", "merge.lambda2", "train.temperature", "train.alpha"} < set(fields)
    assert "train.batch_size" in fields and "data.height" not in fields
    assert table["merge.lambda1"].tolist()[:2] == [0.06, 0.25] and table["train.batch_size"].tolist()[:2] == [
        16,
        8,
    ]
    for row in table.to_dict("records"):
        steps = records[row["trial"]].steps
        best = max((s for s in steps if s), key=lambda s: steps[s]["mAP"])
        selected = max((s for s in steps if s), key=lambda s: steps[s]["unlabelled"])
        assert (row["last_step"], row["best_step"], row["selected_step"]) == (max(steps), best, selected)
        for which, step in (("last", max(steps)), ("best", best), ("selected", selected)):
            assert row[f"{which}_mAP"] == steps[step]["mAP"]
        assert row["selected_score"] == steps[selected]["unlabelled"] and row["value"] == row["last_mAP"]
        assert row["steps"] == row["total_steps"] == max(steps)
    empty = Study.create("empty", config=TINY, samples=2).trials()
    assert list(empty)[:6] == ["trial", "state", "origin", "reason", "reused", "seed"]
    assert (empty.dtypes == table[list(empty)].dtypes).all()


def test_a_trial_cut_off_has_a_row_without_a_value(here: Path, fake_tune, monkeypatch):
    def cut(session, display, **options):
        fake_tune(session).run(cut=8)

    monkeypatch.setattr("study.on_ray.loop.run_session", cut)
    study = make()
    outcome = study.run(quiet=True)
    assert not outcome.complete
    last = study.trials().iloc[-1]
    assert last.state == "interrupted" and pd.isna(last.value) and last.steps < last.total_steps
    assert study.best() is not None and study.best().trial == 0
    assert "1/4 done, 1 interrupted" in repr(study)


@pytest.mark.parametrize("objective", ["last", "best", "unlabelled"])
def test_the_best_is_the_trial_with_the_highest_objective_at_its_step(without_ray, objective: str):
    study = make(objective=objective, samples=5)
    study.run(quiet=True)
    steps = study.steps().query("step > 0").astype({"mAP": float, "unlabelled": float})
    column = "unlabelled" if objective == "unlabelled" else "mAP"
    of_trial = steps[steps.step == steps.total_steps] if objective == "last" else steps
    expected = of_trial.loc[of_trial[column].idxmax()]
    best = study.best()
    assert (best.trial, best.step, best.value) == (expected.trial, expected.step, expected[column])
    assert (
        best.scores["mAP"] == expected.mAP and best.config.merge.lambda1 == expected["config.merge.lambda1"]
    )
    assert len(repr(best)) < 80


def test_steps_are_the_results_table(without_ray):
    study = make()
    study.run(quiet=True)
    stored = pd.read_parquet(study.folder / "results.parquet")
    assert len(stored) == 4 * 6 and study.steps().equals(stored)


def test_a_model_that_is_not_there_is_told(here: Path):
    study = make()
    with pytest.raises(StudyError, match=r"model 'selected': .*/one/models holds none yet"):
        study.model()
    with pytest.raises(
        OptionError, match=r"model 'lost': did you mean last\? It must be one of selected, last, b"
    ):
        study.model("lost")
    (study.folder / "models").mkdir()
    (study.folder / "models" / "last.safetensors").write_bytes(b"nothing")
    with pytest.raises(StudyError, match=r"model 'best': .* holds last;"):
        study.model("best")
    with pytest.raises(Exception, match=r"last.safetensors: not a model's file"):
        study.model("last")


# --- enqueued


def test_what_is_enqueued_is_run_next_by_python_and_by_the_command(without_ray, caplog, capsys):
    study = make(samples=2)
    assert study.enqueue({"merge.lambda1": 0.25}) is True
    assert study.enqueue(study.config.replace(**{"merge.lambda1": 0.25})) is False
    assert caplog.messages == ["this configuration is enqueued already"]
    study.run(quiet=True)
    assert list(study.trials().origin) == ["paper", "enqueued"]
    whole = study.config.replace(**{"merge.lambda1": 0.5, "seed": 7})
    assert study.enqueue(whole) and not study.complete
    assert run.main(["--resume", "one"]) == 0
    table = study.trials()
    assert list(table.origin) == ["paper", "enqueued", "enqueued"] and study.complete
    assert (table["merge.lambda1"].iloc[2], table.seed.iloc[2]) == (0.5, 7)
    capsys.readouterr()
    assert look(["status", "one"]) == 0 and "+ enqueued, not drawn" in capsys.readouterr().out
    assert not study.enqueue(whole) and "trial 2 has this configuration and is complete" in caplog.text


@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        ({"merge.lamda1": 0.1}, ConfigError, r"unknown field 'merge.lamda1': did you mean merge.lambda1"),
        ({"merge.lambda1": "0.1"}, ConfigError, r"MergeConfig.lambda1 = '0.1': must be of type float"),
        ({1: 0.1}, ConfigError, r"config: 1 is no name of a field"),
        (Config(), ConfigError, r"data.synthetic.train_identities = 32: the study's is 4"),
        (None, ConfigError, r"config = None: must be a Config, or field names and their values"),
    ],
)
def test_what_is_enqueued_wrongly_is_refused_at_once(here: Path, config, kind, said: str):
    study = make()
    with pytest.raises(kind, match=said):
        study.enqueue(config)
    assert not (study.folder / "ledger.jsonl").exists()


# --- lazily


def test_importing_study_imports_nothing_heavy():
    code = """
        import sys, study
        heavy = {"torch", "ray", "pandas", "optuna", "numpy", "rich"} & set(sys.modules)
        assert not heavy, heavy
        assert {"Study", "Chosen"} <= set(study.__all__)
        from study import Study
        assert Study.__module__ == "study.api" and "ray" not in sys.modules
        try:
            study.Studies
        except AttributeError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "module 'study' has no attribute 'Studies'\n"


# --- with Ray

_CALLER = """
    import io, json, logging, os, signal, sys, threading, time
    import optuna, ray
    import study.on_ray.loop
    from study import Study

    class Notebook(io.TextIOBase):
        encoding = "UTF-8"
        def __init__(self): self.text = ""
        def write(self, text): self.text += text; return len(text)
        def fileno(self): raise io.UnsupportedOperation("fileno")

    console, sys.stdout, sys.stderr = sys.stdout, Notebook(), Notebook()
    streams = sys.stdout, sys.stderr

    def process():
        names = ("", "ray", "ray.tune", "ray.train", "optuna", "dcreid")
        logs = [logging.getLogger(name) for name in names]
        numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        return {
            "directory": os.getcwd(),
            "streams": (sys.stdout, sys.stderr) == streams,
            "signals": [str(signal.getsignal(number)) for number in numbers],
            "loggers": [(log.level, len(log.handlers), log.propagate) for log in logs],
            "environment": dict(os.environ),
            "ray": ray.is_initialized(),
        }

    tiny = {
        "data.synthetic.train_identities": 4, "data.synthetic.test_identities": 3, "merge.merge_rate": 0.2,
        "train.first_epochs": 1, "train.later_epochs": 1, "data.height": 32, "data.width": 16,
    }

    def made(name, samples):
        return Study.create(name, config=tiny, samples=samples, pruner="none", cache="cache", concurrency=1)
"""


def called(folder: Path, code: str) -> dict[str, Any]:
    """What a program prints as JSON, run in a folder of its own."""
    script = textwrap.dedent(_CALLER) + textwrap.dedent(code)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_process_is_its_callers_during_a_run_and_after(tmp_path: Path):
    """Two studies, in the main thread and in another; then one on a Ray that is running."""
    found = called(
        tmp_path,
        """
        before, seen, over = process(), set(), threading.Event()

        def watch():
            while not over.wait(0.05):
                seen.add((os.getcwd(), (sys.stdout, sys.stderr) == streams))

        threading.Thread(target=watch, daemon=True).start()
        one = made("one", 2)
        first = one.enqueue({"merge.lambda1": 0.25}), one.run().complete, process() == before
        two = made("two", 2)
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(two.run(quiet=True).complete))
        thread.start()
        thread.join()
        second = outcomes, process() == before
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
        before = process()
        third = made("three", 1).run(quiet=True).complete, process() == before, ray.is_initialized()
        over.set()
        texts, origins = [stream.text for stream in streams], list(one.trials().origin)
        five = ray.get(ray.put(5)), one.model("best").config == one.best().config
        sys.stdout = console
        print(json.dumps([first, second, third, list(seen), origins, texts, five]))
        """,
    )
    first, second, third, seen, origins, (out, _), five = found
    assert first == [True, True, True] and second == [[True], True] and third == [True, True, True]
    assert seen == [[str(tmp_path), True]]
    assert origins == ["paper", "enqueued"] and five == [5, True]
    assert "trial 1 [enqueued] complete" in out and "study two" not in out and "study three" not in out


@pytest.mark.slow
def test_an_interrupt_stops_between_merge_steps_and_the_next_run_goes_on(tmp_path: Path):
    found = called(
        tmp_path,
        """
        study = made("one", 3)
        ledger = study.folder / "ledger.jsonl"

        def interrupt():
            while not ledger.exists() or ledger.read_text().count('"event": "step"') < 9:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        before = process()
        threading.Thread(target=interrupt, daemon=True).start()
        cut = study.run(quiet=True)
        states = list(study.trials().state)
        same = process() == before
        end = study.run(quiet=True)
        whole = made("whole", 3)
        whole.run(quiet=True)
        columns = ["trial", "step", "mAP", "loss", "config.merge.lambda1"]
        equal = study.steps()[columns].equals(whole.steps()[columns])
        sys.stdout = console
        outcomes = [[one.complete, one.interrupted] for one in (cut, end)]
        print(json.dumps([outcomes, states, same, equal]))
        """,
    )
    outcomes, states, same, equal = found
    assert outcomes == [[False, True], [True, False]] and same and equal
    assert states[0] == "complete" and states[-1] == "interrupted"
