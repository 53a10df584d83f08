"""Lines of a ledger that a disk has damaged: what they held is reported again, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sessions import check_optuna, recorded

from study.__main__ import main
from study.record.folder import describe, write_description
from study.show.status import Status, as_dict

OPTIONS = ("--samples", "6", "--sampler", "random")


def damage(path: Path, wanted: dict[str, Any]) -> None:
    """Zeroes in the first line that says all of this."""
    lines = path.read_bytes().splitlines(keepends=True)
    for i, line in enumerate(lines):
        entry = {} if line.startswith(b"\0") else json.loads(line)
        said = entry | {"step": entry.get("row", {}).get("step")}
        if wanted.items() <= said.items():
            lines[i] = bytes(len(line) - 1) + b"\n"
            path.write_bytes(b"".join(lines))
            return
    raise LookupError(wanted)


@pytest.fixture
def whole(plan_of, play):
    return play(plan_of(*OPTIONS))


def number_of(session, state: str) -> int:
    return next(t.number for t in session.ledger.trials.values() if t.state == state)


@pytest.mark.parametrize("state", ["complete", "pruned"])
@pytest.mark.parametrize("lost", ["first", "middle", "last", "end", "trial", "start"])
def test_what_it_held_is_reported_again(whole, plan_of, open_session, fake_tune, state: str, lost: str):
    number = number_of(whole, state)
    before, steps = recorded(whole), sorted(whole.ledger.trials[number].steps)
    step = {"first": 0, "middle": steps[len(steps) // 2], "last": steps[-1]}
    line = {"event": "step", "trial": number, "step": step.get(lost)}
    if lost not in step:
        line = {"event": lost, "number" if lost == "trial" else "trial": number}
    whole.ledger.close()
    damage(whole.ledger.path, line)

    again = open_session(plan_of(*OPTIONS))
    (problem,) = again.ledger.problems()  # mended already
    assert problem.endswith("(its end is missing)")
    tune = fake_tune(again)
    tune.run()
    assert recorded(again) == before and again.queue.complete
    assert tune.started == ([number] if lost in step else [])
    check_optuna(again)


def test_a_trial_that_is_lost_altogether_is_made_up_for(whole, plan_of, open_session, fake_tune):
    number = number_of(whole, "complete")
    origin = whole.ledger.trials[number].origin
    whole.ledger.close()
    damage(whole.ledger.path, {"event": "trial", "number": number})
    damage(whole.ledger.path, {"event": "start", "trial": number})
    again = open_session(plan_of(*OPTIONS))
    fake_tune(again).run()
    assert again.queue.complete and number not in again.ledger.trials and max(again.ledger.trials) == 6
    assert again.ledger.trials[6].origin == origin
    check_optuna(again)


def test_status_tells_of_it(whole, data, capsys):
    folder = whole.plan.folder
    write_description(folder, describe(whole.plan, data, "python study/run.py --name study"))
    whole.ledger.close()
    assert Status.read(str(folder), "studies").view.queue.complete
    damage(whole.ledger.path, {"event": "step", "trial": number_of(whole, "complete"), "step": 2})
    assert main(["status", str(folder)]) == 0
    text = capsys.readouterr().out
    assert f"{whole.ledger.path}: passed over line " in text and "the study is not complete" in text
    (problem,) = as_dict(Status.read(str(folder), "studies"))["problems"]
    assert problem in text and problem.endswith(" are missing, and are computed again when the study goes on")
