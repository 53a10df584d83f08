"""The models that a study keeps: of which trial and step, and what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dcreid.config import Config
from dcreid.model import Model
from dcreid.network.tracklets import build_network
from study.__main__ import main
from study.command.driver import describe, run
from study.command.parser import parser
from study.command.resolve import resolve
from study.decide.session import Session
from study.models import STEPS, ModelsWriter, leading
from study.record.folder import write_description
from study.record.ledger import Ledger
from study.record.storage import Storage
from study.show.view import of_session
from study.worker.checkpoints import Checkpoints, checkpoint_steps, load_state

TINY = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")
BIAS = "network.conv1.1.bias"  # holds trial and step


@pytest.fixture(scope="session")
def weights(plan_config: Config) -> dict[str, torch.Tensor]:
    return build_network(plan_config, torch.device("cpu")).state_dict()["backbone"]


@pytest.fixture(scope="session")
def plan_config() -> Config:
    return resolve(parser().parse_args(list(TINY))).config


@pytest.fixture
def training(fake_tune: type, weights: dict[str, torch.Tensor]) -> type:
    """Trials that leave checkpoints, whose weights say of which trial and step they are."""

    class Training(fake_tune):  # type: ignore[misc]
        def rows(self, job: Any) -> Iterator[dict[str, Any]]:
            checkpoints = Checkpoints(Storage(job.storage), job.stamp)
            checkpoints.begin(dict)
            for row in super().rows(job):
                step = row["step"]
                if step:
                    mark = torch.full_like(weights[BIAS], 100.0 * job.trial + step)
                    state = {"backbone": weights | {BIAS: mark}, "memory": torch.zeros(9), "history": []}
                    checkpoints.save(step, state, range(99))
                yield row

    return Training


@pytest.fixture
def session(plan_of: Callable, open_session: Callable, training: type) -> Session:
    session = open_session(plan_of("--samples", "3", "--pruner", "none", "--sampler", "random", "--seed=1"))
    training(session).run()
    write_description(session.plan.folder, describe(session.plan, session.data, "python study/run.py"))
    return session


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """(trial, step) whose weights a file holds, by its name."""
    return {path.stem: mark(path) for path in sorted((folder / "models").glob("*.safetensors"))}


def mark(path: Path) -> tuple[int, int]:
    value = float(Model.load(path).network.backbone.state_dict()[BIAS][0])
    return int(value) // 100, int(value) % 100


def test_they_are_of_the_best_trials_steps(session: Session):
    ModelsWriter(session).write()
    trials = session.ledger.trials.values()
    best = max(trials, key=lambda trial: trial.steps[5]["mAP"])
    rows = {step: row for step, row in best.steps.items() if step}
    highest = {name: max(rows, key=lambda step: rows[step][name]) for name in ("mAP", "unlabelled")}
    assert len({*highest.values(), 5}) == 3  # or the test would be blind
    assert marks(session.plan.folder) == {
        "selected": (best.number, highest["unlabelled"]),
        "last": (best.number, 5),
        "best": (best.number, highest["mAP"]),
    }


def test_their_cards_say_where_they_come_from_and_how_they_were_chosen(session: Session):
    ModelsWriter(session).write()
    folder = session.plan.folder / "models"
    best = of_session(session).best()
    assert best is not None and best.selected_step is not None
    card = Model.load(folder / "selected.safetensors").card
    assert json.loads((folder / "selected.json").read_text()) == json.loads(json.dumps(card.to_dict()))
    assert (card.study, card.trial, card.step) == ("study", best.number, best.selected_step)
    assert card.config == Config.from_dict(best.config) and card.fingerprint == session.data.fingerprint()
    row = best.steps[best.selected_step]
    assert card.scores["mAP"] == row["mAP"] and card.scores["unlabelled"] == row["unlabelled"]
    assert card.untrained["mAP"] == best.steps[0]["mAP"]
    assert card.chosen == (
        f"merge step {card.step} of 5: the highest score without labels; trial {best.number}: highest by "
        "the mAP of the last merge step"
    )
    assert "test labels" in Model.load(folder / "best.safetensors").card.chosen


def test_there_is_one_as_soon_as_a_trial_has_a_step(
    plan_of: Callable, open_session: Callable, training: type
):
    session = open_session(plan_of("--samples", "3"))
    writer = ModelsWriter(session)
    writer.write()
    assert marks(session.plan.folder) == {}
    training(session, slots=2).run(cut=7)  # the untrained networks, and steps of two trials
    writer.write()
    found = marks(session.plan.folder)
    best = max(session.ledger.trials.values(), key=lambda trial: trial.steps[trial.last_step]["mAP"])
    assert found["last"] == (best.number, best.last_step)


def test_they_are_written_when_they_change_and_not_otherwise(session: Session, monkeypatch):
    writer = ModelsWriter(session)
    writer.write()
    files = {which: session.plan.folder / "models" / f"{which}.safetensors" for which in STEPS}
    inodes = {which: file.stat().st_ino for which, file in files.items()}
    writer.write()
    assert {which: file.stat().st_ino for which, file in files.items()} == inodes
    best = of_session(session).best()
    assert best is not None and best.selected_step is not None
    other = next(step for step in (1, 2, 3, 4) if step not in (best.selected_step, best.highest_step("mAP")))
    best.steps[other]["unlabelled"] = 1.0  # another is selected; the others stay
    writer.write()
    assert marks(session.plan.folder)["selected"] == (best.number, other)
    now_there = {which: file.stat().st_ino for which, file in files.items()}
    assert {which for which in STEPS if now_there[which] != inodes[which]} == {"selected"}


def test_what_has_cost_time_waits_for_twenty_times_that(session: Session, monkeypatch):
    writer = ModelsWriter(session)
    now, called = [0.0], list[float]()

    def write() -> None:
        called.append(now[0])
        now[0] += 1.0  # it takes a second

    monkeypatch.setattr("study.models.time.monotonic", lambda: now[0])
    monkeypatch.setattr(writer, "write", write)
    for now[0] in (0.0, 2.0, 20.5, 21.5, 30.0):
        writer.poll()
    assert called == [0.0, 21.5]


def test_data_without_labels_have_no_best(play_unlabelled: Callable, weights, training):
    session = play_unlabelled("--samples", "2")
    for trial in session.ledger.trials.values():
        checkpoints = Checkpoints(Storage(session.plan.trial_storage(trial.number)), session.job(trial).stamp)
        checkpoints.begin(dict)
        for step in range(1, 6):
            checkpoints.save(step, {"backbone": weights, "memory": None, "history": []}, range(9))
    (session.plan.folder / "models").mkdir()
    (session.plan.folder / "models" / "best.safetensors").touch()  # as a study of labelled data had it
    ModelsWriter(session).write()
    assert {path.stem for path in (session.plan.folder / "models").iterdir()} == {"selected", "last"}


def test_trials_that_end_early_keep_no_more_than_those_that_finish(
    plan_of: Callable, open_session: Callable, training: type
):
    session = open_session(plan_of("--samples", "8", "--pruner", "median", "--grace", "1"))
    writer = ModelsWriter(session)
    training(session).run()
    pruned = [trial for trial in session.ledger.trials.values() if trial.state == "pruned"]
    assert pruned
    writer.write()
    for trial in pruned:
        storage = Storage(session.plan.trial_storage(trial.number))
        chosen = {trial.last_step, trial.highest_step("mAP"), trial.selected_step}
        assert set(checkpoint_steps(storage)) == chosen
        for step in chosen:
            state = load_state(storage, f"step-{step:03d}.pt", session.job(trial).stamp, print)
            assert state is not None and state["memory"] is None


def test_a_session_ends_with_what_its_turns_had_no_time_for(
    tmp_path: Path, training: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("study.on_ray.loop.run_session", lambda session, *_, **__: training(session).run())
    pruning = ("--samples", "8", "--pruner", "median", "--grace", "1")
    argv = [*TINY, *pruning, "--studies", str(tmp_path), "--name", "study"]
    assert run(parser().parse_args(argv), argv) == 0
    assert f"models: {tmp_path / 'study' / 'models'}/" in capsys.readouterr().out
    ledger = Ledger(tmp_path / "study" / "ledger.jsonl", read_only=True)
    pruned = [trial.number for trial in ledger.trials.values() if trial.state == "pruned"]
    assert pruned and set(marks(tmp_path / "study")) == {"selected", "last", "best"}
    for number in pruned:
        storage = Storage(str(tmp_path / "study" / "trials" / f"{number:04d}"))
        for step in checkpoint_steps(storage):
            state = load_state(storage, f"step-{step:03d}.pt", {}, print)
            assert state is not None and state["memory"] is None


def test_a_trial_that_was_taken_over_has_its_models_in_its_own_study(session: Session):
    best = of_session(session).best()
    assert best is not None
    best.reused = "study other, trial 5"
    assert leading(of_session(session)) is None
    ModelsWriter(session).write()
    assert marks(session.plan.folder) == {}


def test_before_one_is_complete_the_highest_so_far_leads_of_equals_the_first():
    def running(number: int, value: float | None, origin: str = "search") -> SimpleNamespace:
        told = {"number": number, "origin": origin, "state": "running", "reused": None}
        return SimpleNamespace(**told, objective_value=lambda objective: value)

    trials = [running(0, None), running(1, 0.2), running(2, 0.4), running(3, 0.4), running(4, 0.9, "confirm")]
    view = SimpleNamespace(best=lambda: None, trials=trials, plan=SimpleNamespace(objective="last"))
    assert leading(view) is trials[2]  # type: ignore[arg-type]
    view.trials = trials[:1]
    assert leading(view) is None  # type: ignore[arg-type]


# --- python -m study export


def exported(session: Session, tmp_path: Path, *words: str) -> tuple[int, int] | None:
    out = tmp_path / "out.safetensors"
    status = main(["export", str(session.plan.folder), "--out", str(out), *words])
    assert (status == 0) == out.is_file()
    return mark(out) if status == 0 else None


def test_any_trial_and_step_that_is_kept_can_be_exported(session: Session, tmp_path: Path, capsys):
    best = of_session(session).best()
    assert best is not None
    assert exported(session, tmp_path) == (best.number, best.selected_step)
    assert exported(session, tmp_path, "--which", "last") == (best.number, 5)
    other = next(number for number in session.ledger.trials if number != best.number)
    assert exported(session, tmp_path, "--trial", str(other), "--step", "3") == (other, 3)
    said = capsys.readouterr().out
    assert f"out.safetensors: merge step 3 of 5: named by hand; trial {other}: named by hand" in said
    card = Model.load(tmp_path / "out.safetensors").card
    assert card.scores["mAP"] == session.ledger.trials[other].steps[3]["mAP"] and card.step == 3


def test_what_cannot_be_exported_is_said_with_what_can(session: Session, tmp_path: Path, capsys):
    Storage(session.plan.trial_storage(0)).delete("step-003.pt")
    for words, said in (
        (
            ("--trial", "0", "--step", "3"),
            "no checkpoint of merge step 3 that can be read; kept are those of 1, 2, 4, 5",
        ),
        (("--trial", "7"), "--trial 7: the study has 3 trials, from 0 on"),
    ):
        assert exported(session, tmp_path, *words) is None
        assert said in capsys.readouterr().err
    for out, said in (
        ("m.pt", "must be a file .safetensors"),
        ("no/m.safetensors", "in a folder that is there"),
    ):
        assert main(["export", str(session.plan.folder), "--out", str(tmp_path / out)]) == 2
        assert said in capsys.readouterr().err
