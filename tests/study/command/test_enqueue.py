"""What is refused when a configuration is enqueued."""

from __future__ import annotations

import pytest

from dcreid.config import ConfigError
from study.command.enqueue import changed, enqueue
from study.errors import OptionError, StudyError
from study.record.folder import locked
from study.record.ledger import Ledger


def wanted(plan, data, changes):
    plan.folder.mkdir(exist_ok=True)
    return enqueue(plan, changed(plan.config, changes), len(data.train))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"merge.lamda1": 0.1}, r"unknown field 'merge.lamda1': did you mean merge.lambda1"),
        ({"merge": {"lambda1": 0.1}}, r"unknown field 'merge'"),
        ({"merge.lambda1": -1.0}, r"MergeConfig.lambda1 = -1.0: must be >= 0"),
        ({"merge.lambda1": "0.1"}, r"MergeConfig.lambda1 = '0.1': must be of type float"),
        ({"data.dataset": "mars"}, r"data.dataset = 'mars': the study's is 'synthetic', .* another study"),
        ({"data.split": "first_half"}, r"data.split = 'first_half': the study's is 'official'"),
        ({"data.synthetic.seed": 3}, r"data.synthetic.seed = 3: the study's is 0"),
        (
            {"merge.method": "identities", "train.leak_audit": True},
            r"merge.method = 'identities': trains with",
        ),
        ({"merge.classes": 24}, r"merge.classes = 24"),
        ({"train.batch_size": 64, "train.drop_last": True}, r"train.drop_last: the 24 training tracklets"),
    ],
)
def test_what_the_study_cannot_run_is_refused_by_the_fields_name(plan_of, data, changes, said: str):
    plan = plan_of()
    with pytest.raises(ConfigError, match=said):
        wanted(plan, data, changes)
    assert not (plan.folder / "ledger.jsonl").exists()


def test_weights_are_looked_for_where_the_caller_is(plan_of, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=r"--weights mine.pt: no such file"):
        changed(plan_of().config, {"model.weights": "mine.pt"})
    (tmp_path / "mine.pt").write_bytes(b"weights")
    found = changed(plan_of().config, {"model.weights": "mine.pt"})
    assert found.model.weights == str(tmp_path / "mine.pt")
    with pytest.raises(Exception, match=r"mine\.pt"):  # which holds none
        enqueue(plan_of(), found, len(data.train))


def test_compiling_does_not_go_with_activations_computed_again(plan_of, data):
    plan = plan_of("--checkpoint-activations")
    with pytest.raises(OptionError, match=r"--checkpoint-activations does not go with --compile"):
        wanted(plan, data, {"train.compile": True})


def test_while_a_driver_is_at_work_nothing_is_enqueued(plan_of, data):
    plan = plan_of()
    with locked(plan.folder), pytest.raises(StudyError, match=r"is being run by process \d+"):
        wanted(plan, data, {"merge.lambda1": 0.25})
    assert wanted(plan, data, {"merge.lambda1": 0.25}) is None
    assert len(Ledger(plan.folder / "ledger.jsonl", read_only=True).enqueued) == 1
