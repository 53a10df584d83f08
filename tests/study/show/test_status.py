"""`python -m study status`: from the folder alone, while a driver works and after."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study.__main__ import main
from study.command.enqueue import changed, enqueue
from study.failures import Failure
from study.record.folder import describe, driver_of, locked, write_description
from study.record.lines import sealed
from study.show.next_command import retry_command
from study.show.status import Status, as_dict

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def halfway(plan_of, open_session, fake_tune, data):
    """Two trials done, one crashed for good, one retried and under way with a warning, two to come."""
    plan = plan_of("--samples", "5", "--pruner", "none")
    write_description(plan.folder, describe(plan, data, "python study/run.py --name study"))
    session = open_session(plan)
    session.gpus_per_trial = 0.5

    class Timed(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if job.trial == 1 and row["step"] == 2:
                    raise crash("it broke")
                yield row | {"seconds_train": 600.0}

    crash = sys.modules[fake_tune.__module__].Crash
    tune = Timed(session)
    tune.run(cut=2 * (tune.total + 1) + 2 + 3)
    tune_id = next(iter(session.running))
    session.crashed(tune_id, Failure("trial", "its worker process died"))
    session.ledger.append("note", trial=3, text="step-001.pt is damaged")
    return session


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["status", *argv]) == 0
    return capsys.readouterr().out


def test_models_that_a_study_keeps_are_named(halfway, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    folder = halfway.plan.folder
    assert "models: " not in shown(capsys, str(folder))
    (folder / "models").mkdir()
    (folder / "models" / "last.safetensors").touch()
    text = shown(capsys, str(folder))
    assert f"models: {folder}/models/ (.safetensors): last\n" in text
    assert (
        f"python -m dcreid search {folder}/models/last.safetensors synthetic:query synthetic:gallery\n"
        in text
    )


def test_everything_is_shown(halfway, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    text = shown(capsys, str(halfway.plan.folder))
    assert "2/5 done, 1 interrupted, 1 failed" in text and "driver: none is running" in text
    lines = text.splitlines()
    (first,) = [line for line in lines if line.startswith("   0*")]
    assert "complete" in first and "5/5" in first and "1:00:00" in first and "λ1 0.06" in first
    assert any(mark in first for mark in "▁▂▃▄▅▆▇█")
    assert "trial 1 failed: it broke" in text
    assert "trial 3 tried again: its worker process died" in text
    assert "trial 3 warned: step-001.pt is damaged" in text
    assert "spent: 2:50:00 of trial time, 1.42 GPU hours" in text
    assert "session 1: " in text and "cut off" in text
    assert "left: about 2:30:00 of trial time" in text and "ready in" not in text
    assert f"to go on: python study/run.py --resume {halfway.plan.folder}" in text
    assert str(halfway.plan.folder / "ray") in text


def test_80_columns_are_enough(halfway, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(capsys, str(halfway.plan.folder)).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("trial  "))
    table = lines[first : lines.index("* given, not drawn")]
    assert len(table) >= 5 and max(map(len, table)) <= 80


def test_a_driver_that_runs_is_named_and_the_time_it_needs_shown(halfway, capsys):
    with locked(halfway.plan.folder):
        text = shown(capsys, str(halfway.plan.folder))
        assert f"driver: process {os.getpid()} on " in text and "1 running" in text
        assert "1 at a time, ready in about 2:30:00" in text and "running for 0:0" in text
        assert "--watch" in text
    assert driver_of(halfway.plan.folder) is None
    (halfway.plan.folder / ".holder").write_text("process 1 on here")  # killed: it could not clear up
    assert driver_of(halfway.plan.folder) is None


def test_what_is_set_aside_is_shown_while_a_driver_runs(halfway, capsys):
    halfway.set_aside("GPU 3 of 10.0.0.5", "CUDA does not start")
    said = "GPU 3 of 10.0.0.5 is set aside: CUDA does not start"
    with locked(halfway.plan.folder):
        assert said in shown(capsys, str(halfway.plan.folder))
        found = json.loads(shown(capsys, str(halfway.plan.folder), "--json"))
        assert found["set_aside"] == {"GPU 3 of 10.0.0.5": "CUDA does not start"}
    assert said not in shown(capsys, str(halfway.plan.folder))


def test_the_way_to_take_failed_trials_up_is_named(halfway, capsys):
    text = shown(capsys, str(halfway.plan.folder))
    assert f"failed trials again, from their checkpoints: {retry_command(halfway.plan)}" in text
    halfway.ledger.append("again", trial=1, reason="taken up again, having failed: it broke")
    assert "--retry-failed" not in shown(capsys, str(halfway.plan.folder))
    one = shown(capsys, str(halfway.plan.folder), "--trial", "1")
    assert "taken up again, having failed: it broke" in one


def test_the_epoch_under_way(halfway):
    place = Path(halfway.plan.trial_storage(3))
    place.mkdir(parents=True)
    note = {"stage": 3, "epoch": 2, "epochs": 7, "time": time.time()}
    (place / "progress.json").write_text(json.dumps(note))
    with locked(halfway.plan.folder):
        status = Status.read(str(halfway.plan.folder), "studies")
        assert status.view.epoch(status.ledger.trials[3]) == "2/7"
        assert status.view.epoch(status.ledger.trials[0]) is None
    status.refresh()
    assert status.view.epoch(status.ledger.trials[3]) is None


def test_one_trial(halfway, capsys):
    text = shown(capsys, str(halfway.plan.folder), "--trial", "3")
    trials = halfway.plan.folder / "trials"
    assert f"what its workers printed: {trials}/0003/output.log\n" in text
    assert text.startswith("trial 3 of study (search): ") and "interrupted; step 2/5" in text
    assert "┤" in text and "classes" in text and "its worker process died" in text
    assert halfway.plan.trial_storage(3) in text


NORMALISED = {"mAP_camera_normalised": 0.123, "rank1_camera_normalised": 0.456}


def test_measurements_without_cameras_have_names_of_their_own(halfway, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    folder = str(halfway.plan.folder)
    assert "cam-norm" not in shown(capsys, folder) + shown(capsys, folder, "--trial", "3")
    assert "mAP_camera_normalised" not in shown(capsys, folder, "--json")
    tune_id = next(iter(halfway.running))
    halfway.hear(tune_id, {"step": 3, "mAP": 0.5, "total_steps": 5, "seconds_train": 1.0} | NORMALISED)
    lines = shown(capsys, folder).splitlines()
    (head,) = [line for line in lines if line.startswith("trial  ")]
    (row,) = [line for line in lines if line.lstrip().startswith("3 ")]
    assert head.split()[:8] == ["trial", "state", "step", "mAP", "best", "selected", "cam-norm", "mAP"]
    assert "12.3" in row and "45.6" not in row
    assert any(line.startswith("cam-norm: on test features normalised per camera") for line in lines)
    one = shown(capsys, folder, "--trial", "3").splitlines()
    (head,) = [line for line in one if "classes" in line]
    assert "cam-norm mAP  cam-norm rank-1" in head and any("12.3" in line and "45.6" in line for line in one)
    found = json.loads(shown(capsys, folder, "--json"))["trials"]
    assert found[3]["mAP_camera_normalised"] == {"3": 0.123} and found[3]["mAP"]["3"] == 0.5
    assert "mAP_camera_normalised" not in found[0]


def test_for_machines(halfway, capsys):
    found = json.loads(shown(capsys, str(halfway.plan.folder), "--json"))
    assert (found["done"], found["target"], found["complete"], found["driver"]) == (2, 5, False, None)
    assert found["gpu_hours"] == pytest.approx(17 * 600 * 0.5 / 3600) and found["trial_seconds"] == 17 * 600
    states = [trial["state"] for trial in found["trials"]]
    assert states == ["complete", "failed", "complete", "interrupted"]
    assert found["trials"][0]["mAP"]["5"] == found["trials"][0]["value"]
    one = json.loads(shown(capsys, str(halfway.plan.folder), "--json", "--trial", "1"))
    assert one["reason"] == "it broke" and one["config"]["merge.lambda1"] >= 0


def test_by_name_and_after_a_move(halfway, capsys, tmp_path):
    text = shown(capsys, "study", "--studies", str(tmp_path))
    moved = shutil.move(halfway.plan.folder, tmp_path / "elsewhere")
    assert str(moved) in shown(capsys, str(moved)) and "study study in" in text


def test_reading_on_and_while_a_line_is_written(halfway):
    status = Status.read(str(halfway.plan.folder), "studies")
    before = as_dict(status)["trials"][3]["step"]
    row = {"step": 3, "total_steps": 5}
    line = sealed({"event": "step", "time": 0, "session": 1, "trial": 3, "row": row})
    with halfway.ledger.path.open("ab") as file:
        file.write(line[:30])
        file.flush()
        status.refresh()
        assert status.ledger.trials[3].last_step == before == 2
        file.write(line[30:])
    status.refresh()
    assert status.ledger.trials[3].last_step == 3 and not status.ledger.damage


def test_nothing_is_written(halfway, capsys):
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in halfway.plan.folder.rglob("*") if p.is_file()}

    before = content()
    shown(capsys, str(halfway.plan.folder))
    shown(capsys, str(halfway.plan.folder), "--trial", "0")
    assert content() == before


def test_before_the_first_trial(plan_of, data, capsys):
    plan = plan_of("--samples", "3")
    write_description(plan.folder, describe(plan, data, "c"))
    text = shown(capsys, str(plan.folder))
    assert "0/3 done" in text and "not complete" in text
    assert json.loads(shown(capsys, str(plan.folder), "--json"))["trial_seconds_left"] is None


def test_a_plan_of_given_runs(plan_of, play, data, capsys):
    plan = plan_of("--plan", "table1")
    write_description(plan.folder, describe(plan, data, "c"))
    play(plan)
    text = shown(capsys, str(plan.folder))
    assert "the study is complete" in text and "more seeds: " in text


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["status", "other"], "STUDY other: no study.json in"),
        (["status", "study", "--trial", "9"], "--trial 9: the study has 4 trials"),
        (["status", "broken"], "not readable"),
    ],
)
def test_what_is_not_there(halfway, tmp_path, capsys, argv: list[str], said: str):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{")
    assert main([*argv, "--studies", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m study: error: ") and said in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("argv", [["--watch", "0"], ["--watch", "soon"], ["--trial", "x"]])
def test_values_that_cannot_be_used(argv: list[str], capsys):
    with pytest.raises(SystemExit):
        main(["status", "study", *argv])
    assert argv[0] in capsys.readouterr().err


@pytest.mark.slow
def test_watching_draws_again_until_ctrl_c(halfway):
    command = [sys.executable, "-m", "study", "status", str(halfway.plan.folder), "--watch", "0.1"]
    watcher = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it in the background
    )  # fmt: skip
    assert watcher.stdout is not None
    drawn = 0
    for line in watcher.stdout:
        drawn += line.startswith("study study in")
        if drawn == 3:
            break
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=60)
    assert watcher.returncode == 0 and not err.strip()


def test_what_is_enqueued_is_shown_before_it_runs_and_by_its_origin_after(
    halfway, play, data, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    plan = halfway.plan
    halfway.ledger.close()
    wanted = {"merge.lambda1": 0.25, "seed": 3}
    assert enqueue(plan, changed(plan.config, wanted), len(data.train)) is None
    text = shown(capsys, str(plan.folder))
    assert "enqueued, to run next: λ1 = 0.25, seed 3\n" in text and "+" not in text
    assert json.loads(shown(capsys, str(plan.folder), "--json"))["enqueued"] == [wanted]
    play(plan)
    text = shown(capsys, str(plan.folder))
    assert "to run next" not in text and "+ enqueued, not drawn\n" in text
    assert [line.split()[0] for line in text.splitlines() if "0.25" in line] == ["4+"]
    assert "trial 4 of study (enqueued): λ1 0.25" in shown(capsys, str(plan.folder), "--trial", "4")
    assert json.loads(shown(capsys, str(plan.folder), "--json"))["enqueued"] == []
