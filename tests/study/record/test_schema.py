"""Study folders from before the schema had a number go on; what cannot go on says which field, and why.

`schema1/` is such a folder (4 people, drawn; made by the code of the commit that its study.json names):
trial 0 complete, 1 diverged, 2 pruned, 3 cut after two of five merge steps. Its one checkpoint lacks the
network's weights, which no schema changes; the tests put some in.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState

from analysis import tables
from dcreid.algorithm import Algorithm
from dcreid.config import Config, fields
from dcreid.data import load_dataset
from dcreid.evaluation.partitions import partition_name
from study import __main__ as study_main
from study import run
from study.command.driver import Prepared, prepare
from study.command.parser import parser
from study.decide.session import Session
from study.errors import StudyError
from study.job import Job
from study.plan import StudyPlan
from study.record.folder import check_same, read_plan
from study.record.ledger import Ledger
from study.record.results import results_table
from study.record.schema import SCHEMA
from study.worker.rows import trial_rows

SCHEMA1 = Path(__file__).parent / "schema1"
NAME = "synthetic-4fb4d3"
OPTIONS = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
    *("--height", "32", "--width", "16", "--frames", "2", "--first-epochs", "1", "--later-epochs", "1"),
    *("--samples", "5"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The old folder where `--studies` finds it."""
    place = tmp_path / "studies" / NAME
    shutil.copytree(SCHEMA1, place)
    (place / "step-002-without-backbone.pt").unlink()
    return place


def prepared(folder: Path, *more: str) -> Prepared:
    argv = [*OPTIONS, "--studies", str(folder.parent), "--cache", str(folder.parent / "cache"), *more]
    return prepare(parser().parse_args(argv), argv)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a file of JSON, or every line of one."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        change(entry)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def without(name: str) -> Callable[[dict[str, Any]], None]:
    """Takes a field out of every configuration, as if the code had not had it yet."""
    *groups, leaf = name.split(".")

    def change(entry: dict[str, Any]) -> None:
        config = entry["plan"]["base"] if "plan" in entry else entry.get("config")
        for group in groups:
            config = None if config is None else config[group]
        if config is not None:
            del config[leaf]

    return change


def test_the_same_command_finds_the_old_study_and_goes_on(
    folder: Path, open_session: Callable[..., Session]
) -> None:
    made = prepared(folder)
    assert made.plan.folder == folder  # though the name would be another today
    (note,) = check_same(folder, made.plan, made.data)
    assert "code of dcreid has changed" in note and "shared stages and --reuse" in note
    work = open_session(made.plan).queue
    assert work.outlook() == "3 done, 1 resumed, 1 new"
    assert work.next_number() == 3 and work.ledger.trials[3].last_step == 2


def test_another_command_is_another_study(folder: Path) -> None:
    assert prepared(folder, "--lambda1", "0.2").plan.name != NAME
    assert prepared(folder, "--sampler", "random").plan.name != NAME


def test_its_checkpoint_goes_on(folder: Path, open_session: Callable[..., Session]) -> None:
    session = open_session(prepared(folder).plan)
    job = session.ask("tune")
    assert isinstance(job, Job) and job.trial == 3
    state = torch.load(SCHEMA1 / "step-002-without-backbone.pt", weights_only=True)
    config = Config.from_dict(job.config)
    network = Algorithm(config, load_dataset(config.data, None)).network.backbone
    content = io.BytesIO()
    torch.save(state | {"backbone": network.state_dict()}, content)
    checkpoint = Path(job.storage) / "step-002.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
    rows = list(trial_rows(job))
    assert [row["step"] for row in rows] == [3, 4, 5] and rows[-1]["total_steps"] == 5
    labels = torch.empty_like(state["labels"])
    labels[state["order"]] = state["labels"]
    assert rows[0]["labels_before"] == partition_name(labels.numpy())
    assert rows[0]["classes_before"] == len(labels.unique())


def test_its_diverged_trial_is_a_result(folder: Path, open_session: Callable[..., Session]) -> None:
    """The old journal holds it as failed, and is made again."""
    session = open_session(prepared(folder).plan)
    assert session.optuna is not None
    output = {t.user_attrs["trial"]: t for t in session.optuna.study.trials if "trial" in t.user_attrs}
    assert output[1].state == TrialState.COMPLETE and output[1].value == 0.0
    assert output[1].intermediate_values == {1: 0.3, 2: 0.0} and output[1].user_attrs["state"] == "diverged"
    table = results_table("study", list(session.ledger.trials.values()), "last")
    values = table.groupby("trial").value.first()
    assert values[1] == 0.0 and values[0] == pytest.approx(0.3) and values[2] == pytest.approx(0.21)
    assert set(table[table.trial == 1].state) == {"diverged"}


@pytest.mark.parametrize("name", ["merge.intra", "train.momentum", "data.flip", "model.dropout", "seed"])
def test_a_field_that_came_later_with_its_default_orphans_nothing(
    folder: Path, open_session: Callable[..., Session], name: str
) -> None:
    for file in ("study.json", "ledger.jsonl"):
        rewrite(folder / file, without(name))
    made = prepared(folder)
    assert made.plan.folder == folder and len(check_same(folder, made.plan, made.data)) == 1
    session = open_session(made.plan)
    assert session.queue.outlook() == "3 done, 1 resumed, 1 new"
    held = Config.from_dict(session.ledger.trials[0].config)
    assert held == made.plan.config and held.flat()[name] == fields()[name].default
    assert made.plan.name == read_plan(NAME, str(folder.parent)).name


@pytest.mark.parametrize("name", ["checkpoint_activations", "given", "share", "hang_timeout"])
def test_an_option_that_came_later_with_its_default_orphans_nothing(folder: Path, name: str) -> None:
    rewrite(folder / "study.json", lambda output: output["plan"].pop(name, None))
    made = prepared(folder)
    assert made.plan.folder == folder and len(check_same(folder, made.plan, made.data)) == 1


def test_fields_at_their_default_are_no_part_of_a_studys_identity(plan_of: Any) -> None:
    """So neither the comparison nor the name of a study changes when one is added."""

    @dataclass(frozen=True)
    class Later(StudyPlan):
        split: str = "all"

    plan = plan_of("--lambda1", "0.2")
    values = plan.to_dict()
    assert Later(**values).identity() == plan.identity()
    assert Later(**values, split="half").identity() == plan.identity() | {"split": "half"}
    assert plan.identity()["base"] == plan.config.difference()
    assert "merge.lambda1" in plan.identity()["base"] and "merge.lambda2" not in plan.identity()["base"]


def test_a_study_keeps_to_what_it_was_created_with(folder: Path) -> None:
    made = prepared(folder, "--samples", "20")
    assert made.plan.folder == folder and made.plan.given == []
    assert len(made.notes) == 1
    (note,) = made.notes
    assert "created with 0 settings that are given" in note and "--name" in note


def refused(capsys: pytest.CaptureFixture[str], main: Callable[..., int], *argv: str) -> str:
    """What a command says that refuses, in a line."""
    assert main(list(argv)) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    return error


@pytest.mark.parametrize("file", ["study.json", "ledger.jsonl"])
def test_a_newer_schema_is_refused_by_every_command(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    rewrite(folder / file, lambda entry: entry.update(schema=SCHEMA + 1))
    for main, *argv in (
        (study_main.main, "status", str(folder)),
        (tables.main, str(folder)),
        (run.main, "--resume", str(folder)),
    ):
        error = refused(capsys, main, *argv)
        assert f"{file}: written by a newer version" in error and f"schema {SCHEMA + 1}" in error


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan["base"]["merge"].update(method="sun"), "MergeConfig.method = 'sun': must be"),
        (lambda plan: plan["base"]["merge"].update(gone=3), "unknown field 'gone' (its value is 3)"),
        (lambda plan: plan.update(split="half"), "plan.split = 'half': this code has no such field"),
    ],
)
def test_what_this_code_cannot_run_is_named_with_its_value(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[..., None], said: str
) -> None:
    rewrite(folder / "study.json", lambda output: change(output["plan"]))
    for main, *argv in ((run.main, "--resume", str(folder)), (study_main.main, "status", str(folder))):
        error = refused(capsys, main, *argv)
        assert said in error and "study.json: this code cannot run" in error and "commit f960310" in error
    assert said in refused(capsys, tables.main, str(folder))


def test_every_field_that_differs_is_told_from_what_to_what(folder: Path) -> None:
    other = prepared(folder, "--name", NAME, "--lambda1", "0.2", "--space", "alpha", "--sampler", "random")
    with pytest.raises(StudyError) as refusal:
        check_same(folder, other.plan, other.data)
    for output in ("merge.lambda1 0.06 there, 0.2 here", "(default there, alpha here)", "sampler tpe there"):
        assert output in str(refusal.value)


def test_ledger_and_study_json_carry_the_number(plan_of: Any, play: Any) -> None:
    ledger: Ledger = play(plan_of("--samples", "1")).ledger
    assert [session["schema"] for session in ledger.sessions] == [SCHEMA]
