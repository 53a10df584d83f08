"""`study.trainable`: what a `tune.Tuner` that is not ours is told, and what it may hand back."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray import cloudpickle, tune
from tiny_runs import CLOCKS, comparable, dataset, run, tiny
from tune_session import Cut, TuneSession

import study
from dcreid.algorithm import Algorithm, MergeStep
from dcreid.checked import ConfigError
from dcreid.config import Config, fields
from dcreid.data.tracklets import DataError
from dcreid.presets import laid_over, small
from study import tuner
from study.errors import GPUError, NodeError, StudyError
from study.tuner import FIXED_FIELDS, load_checkpoint, load_model, trainable

CONFIG = tiny(**{
    "data.synthetic.train_identities": 4,
    "data.synthetic.test_identities": 3,
    "train.first_epochs": 1,
    "merge.merge_rate": 0.25,
})  # fmt: skip
STEPS = 3


def run_from_start(config: Config) -> Algorithm:
    """A run by the algorithm alone."""
    algorithm = Algorithm(config, dataset(config))
    algorithm.untrained()
    list(algorithm)
    return algorithm


@pytest.fixture(scope="module")
def whole() -> Algorithm:
    """The run that `CONFIG` is, by the algorithm alone."""
    return run_from_start(CONFIG)


def tried(session: TuneSession, base: Config, settings: dict[str, Any]) -> TuneSession:
    """The session, after a trial in it."""
    function = trainable(base)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Cut):
        patch.setattr(tuner, "tune", session)
        function(settings)
    return session


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The checkpoint after the first merge step."""
    return tried(TuneSession(tmp_path_factory.mktemp("first"), cut=1), CONFIG, {}).checkpoints[0]


@pytest.fixture
def tuned(tmp_path: Path) -> Callable[..., TuneSession]:
    """A trial of `CONFIG`, or of another base, with these settings, in a session of its own."""
    folders = iter(tmp_path / f"session{i}" for i in range(10))

    def make(settings: dict[str, Any] | None = None, *, base: Config = CONFIG, **given: Any) -> TuneSession:
        return tried(TuneSession(next(folders), **given), base, settings or {})

    return make


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials end where they would read the data: what is to be refused before has been let through."""

    def cut(*arguments: Any) -> Any:
        raise Cut

    monkeypatch.setattr(tuner, "load_same_data", cut)


def told(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reports without what is Tune's and the clocks."""
    return [
        {
            name: value
            for name, value in report.items()
            if name not in CLOCKS and name in MergeStep.__dataclass_fields__
        }
        for report in reports
    ]


def measured(algorithm: Algorithm) -> list[dict[str, Any]]:
    """What there is to tell of its steps."""
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in comparable(algorithm.history)
    ]


def same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Bit for bit, but for the clocks in the history."""
    assert torch.equal(one["labels"], other["labels"]) and torch.equal(one["memory"], other["memory"])
    assert one["backbone"].keys() == other["backbone"].keys()
    for name, value in one["backbone"].items():
        assert value.numpy().tobytes() == other["backbone"][name].numpy().tobytes(), name
    for rows in zip(one["history"], other["history"], strict=True):
        ours, theirs = ({name: row[name] for name in row if name not in CLOCKS} for row in rows)
        assert ours == theirs


def test_every_merge_step_is_told_with_its_number_and_a_checkpoint(tuned, whole: Algorithm):
    session = tuned()
    assert [report["training_iteration"] for report in session.reports] == [1, 2, STEPS]
    assert told(session.reports) == measured(whole)
    assert len(session.checkpoints) == STEPS
    before = whole.before_training
    for report in session.reports:
        assert report["untrained_mAP"] == before.mAP and report["total_steps"] == STEPS
        assert None not in report.values()
    for step, checkpoint in enumerate(session.checkpoints, 1):
        config, state = load_checkpoint(checkpoint)
        assert config == CONFIG and len(state["history"]) == step
        assert state["stamp"]["data"] == dataset(CONFIG).fingerprint()
    same_state(state, whole.state_dict())


@pytest.mark.parametrize("cut", [1, 2])
def test_a_trial_that_was_cut_goes_on_to_the_same_bits(tuned, whole: Algorithm, cut: int):
    first = tuned(cut=cut)
    rest = tuned(checkpoint=first.checkpoints[-1])
    assert [report["training_iteration"] for report in rest.reports] == list(range(cut + 1, STEPS + 1))
    assert told(first.reports + rest.reports) == measured(whole)
    same_state(load_checkpoint(rest.checkpoints[-1])[1], whole.state_dict())
    assert rest.reports[0]["untrained_mAP"] == whole.before_training.mAP


def test_a_trial_whose_last_step_is_made_has_nothing_to_tell(tuned):
    assert not tuned(checkpoint=tuned().checkpoints[-1]).reports


def test_a_checkpoint_is_a_state_that_an_algorithm_takes(tuned, whole: Algorithm):
    config, state = load_checkpoint(tuned(cut=2).checkpoints[-1].path)
    algorithm = Algorithm(config, dataset(config))
    algorithm.load_state_dict(state)
    list(algorithm)
    assert comparable(algorithm.history) == comparable(whole.history)


def test_changed_settings_act_from_the_next_stage_on(tuned, first: Any, whole: Algorithm):
    changes = {"train.lr": 0.02, "train.alpha": 0.8, "train.alpha_schedule": "fixed", "merge.lambda1": 0.2}
    rest = tuned(changes, checkpoint=first)
    config, state = load_checkpoint(rest.checkpoints[-1])
    assert config == CONFIG.replace(**changes)
    history = [MergeStep(**step) for step in state["history"]]
    assert comparable(history)[:1] == comparable(whole.history)[:1]
    assert [step.alpha for step in history[1:]] == [0.8] * (STEPS - 1)
    assert [step.lr for step in history[1:]] == pytest.approx([0.002] * (STEPS - 1))  # decayed, a tenth
    assert history[1].loss != whole.history[1].loss


OTHERS: dict[str, Any] = {
    "data.frames": 3,
    "data.frame_sampling": "random",
    "data.flip": 0.0,
    "data.shift": 0.0,
    "data.crop": 0.8,
    "data.augment_per": "frame",
    "model.dropout": 0.1,
    "train.batch_size": 4,
    "train.sampler": "classes",
    "train.tracklets_per_class": 2,
    "train.drop_last": True,
    "train.later_epochs": 2,
    "train.lr": 0.02,
    "train.backbone_lr_factor": 0.5,
    "train.lr_decay": 0.5,
    "train.later_lr": "restart",
    "train.clip_norm": 5.0,
    "train.momentum": 0.5,
    "train.weight_decay": 1e-3,
    "train.temperature": 0.2,
    "train.alpha": 0.4,
    "train.alpha_schedule": "cosine",
    "train.memory_init": "carry",
    "merge.lambda1": 0.1,
    "merge.lambda2": 0.01,
    "merge.intra": "pairs",
    "merge.distance": "squared",
    "merge.k1": 5,
    "merge.k2": 2,
    "merge.camera_normalise": True,
    "merge.linkage": "nearest",
    "merge.method": "star",
}


def test_all_that_is_not_fixed_may_be_another_where_a_checkpoint_goes_on(tuned, first: Any):
    assert set(OTHERS) | set(FIXED_FIELDS) == set(fields()) and not set(OTHERS) & set(FIXED_FIELDS)
    held = CONFIG.flat()
    assert all(held[name] != value for name, value in OTHERS.items())
    rest = tuned(OTHERS, checkpoint=first)
    assert [report["training_iteration"] for report in rest.reports] == [2, STEPS]


def test_what_may_not_change_is_refused_by_name_before_anything_is_read(tuned, first: Any, unread):
    changes = {"merge.merge_rate": 0.3, "seed": 4, "train.lr": 0.02}
    with pytest.raises(ConfigError) as raised:
        tuned(changes, checkpoint=first)
    told = str(raised.value)
    assert "merge.merge_rate (was 0.25, is now 0.3), seed (was 0, is now 4): leave that out" in told
    assert "train.lr" not in told and "study.FIXED_FIELDS" in told


FIXED: dict[str, Any] = {
    "data.height": 48,
    "data.width": 24,
    "data.eval_frames": 2,
    "data.eval_mirror": True,
    "data.shuffle_tracklets": False,
    "model.backbone": "resnet18",
    "model.frozen_stages": 1,
    "model.batch_norm": "frozen",
    "model.last_stride": 1,
    "model.head": "embedding",
    "model.embedding_dim": 64,
    "train.first_epochs": 3,
    "train.lr_decay_epoch": 2,
    "train.camera_proxies": True,
    "train.leak_audit": True,
    "train.precision": "fp32",
    "train.channels_last": False,
    "train.compile": True,
    "merge.merge_rate": 0.3,
    "merge.max_steps": 2,
    "merge.classes": 3,
    "merge.regroup_steps": 1,
    "evaluate.eval_every": 2,
    "evaluate.camera_normalise": True,
    "seed": 1,
}


def test_the_fixed_fields_are_these_and_those_that_name_the_data():
    of_data = {name for name in fields() if name.startswith(("data.dataset", "data.split", "data.gallery"))}
    drawn = {name for name in fields() if name.startswith("data.synthetic.")}
    assert set(FIXED_FIELDS) == set(FIXED) | of_data | drawn | {"model.weights"}


@pytest.mark.parametrize("name", FIXED)
def test_each_fixed_field_is_compared(tuned, unread, name: str, tmp_path: Path):
    stamp = {"data": dataset(CONFIG).fingerprint()}
    torch.save({"config": CONFIG.to_dict(), "stamp": stamp}, tmp_path / "state.pt")
    with pytest.raises(ConfigError, match=rf"cannot be continued with another {name} \(was "):
        tuned({name: FIXED[name]}, checkpoint=tune.Checkpoint.from_directory(str(tmp_path)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"merge.lamda1": 0.1}, "unknown field 'merge.lamda1': did you mean merge.lambda1"),
        ({"lambda1": 0.1}, "unknown field 'lambda1'"),
        ({"merge": {"lambda1": 0.1}}, "unknown field 'merge'"),
        ({"merge.lambda1": -0.1}, r"MergeConfig.lambda1 = -0.1: must be >= 0"),
        ({"merge.lambda1": "0.1"}, "MergeConfig.lambda1 = '0.1': must be of type float"),
        ({"train.temperature": math.nan}, "TrainConfig.temperature = nan: must be finite and > 0"),
        ({"train.batch_size": 8.0}, "TrainConfig.batch_size = 8.0: must be of type int"),
        ({"data.split": "first_half"}, "data.split: decides which data are read"),
        ({"data.synthetic.seed": 1}, "data.synthetic.seed: decides which data are read"),
        ({"merge.method": "identities", "train.leak_audit": True}, "'identities': is a bound and no result"),
    ],
)
def test_settings_that_cannot_be_used_fail_the_trial_before_anything_is_read(
    tuned, unread, settings: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        tuned(settings)


def test_numbers_of_samplers_are_taken(tuned):
    session = tuned({"merge.lambda1": np.float32(0.5), "train.batch_size": np.int64(4)}, cut=1)
    config, _ = load_checkpoint(session.checkpoints[0])
    assert config == CONFIG.replace(**{"merge.lambda1": 0.5, "train.batch_size": 4})


def test_a_step_that_is_not_measured_is_not_told(tuned):
    config = CONFIG.replace(**{"evaluate.eval_every": 2})
    session = tuned(base=config)
    assert [report["training_iteration"] for report in session.reports] == [2, STEPS]
    assert told(session.reports) == measured(run_from_start(config))[1:]


def test_without_labels_every_step_is_told_by_its_score(tuned, monkeypatch: pytest.MonkeyPatch):
    config = CONFIG.replace(**{"evaluate.eval_every": 2})
    nothing = np.zeros(0, dtype=np.int64)
    data = dataclasses.replace(
        dataset(config), test=None, query=nothing, gallery=nothing, protocol="no test split"
    )
    monkeypatch.setattr("study.tuner.load_dataset", lambda *arguments: data)
    monkeypatch.setattr("study.worker.algorithm_rows.load_dataset", lambda *arguments: data)
    session = tuned(base=config)
    assert [report["training_iteration"] for report in session.reports] == [1, 2, STEPS]
    alone = run(config, data)
    assert [report["unlabelled"] for report in session.reports] == [step.unlabelled for step in alone.history]
    assert not {"mAP", "untrained_mAP"} & session.reports[0].keys()


def test_a_training_that_diverges_is_told_as_the_worst_and_ends(tuned):
    session = tuned({"train.lr": 1e30})
    (report,) = session.reports
    assert report["training_iteration"] == 1 and not session.checkpoints
    assert "diverged" in report["diverged"]
    assert {report[name] for name in ("mAP", "rank1", "unlabelled", "purity")} == {0.0}
    assert report["loss"] == math.inf


def test_a_later_step_that_diverges_counts_from_there_on(tuned, first: Any):
    session = tuned({"train.lr": 1e30}, checkpoint=first)
    (report,) = session.reports
    assert (report["step"], report["training_iteration"], report["mAP"]) == (2, 2, 0.0)


def test_a_trial_computes_on_what_tune_gives_it(tuned, monkeypatch: pytest.MonkeyPatch):
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    tuned(cut=1, CPU=3.0)
    tuned(cut=1, CPU=0.5)
    assert threads == [3, 1]
    with pytest.raises(StudyError, match="one GPU and has been given 2; give it 1"):
        tuned(CPU=1.0, GPU=2.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU that works")
def test_a_trial_with_a_gpu_that_does_not_work_trains_nowhere(tuned):
    with pytest.raises(GPUError, match="CUDA does not start"):
        tuned(CPU=1.0, GPU=0.5)


def test_data_that_are_others_where_the_trial_runs_are_refused(tuned, monkeypatch: pytest.MonkeyPatch):
    data = dataset(CONFIG.replace(**{"data.synthetic.seed": 1}))
    monkeypatch.setattr("study.worker.algorithm_rows.load_dataset", lambda *arguments: data)
    with pytest.raises(NodeError, match="has other data"):
        tuned()


def test_a_checkpoint_of_other_data_is_refused(tuned, unread, tmp_path: Path):
    torch.save({"config": CONFIG.to_dict(), "stamp": {"data": "others"}}, tmp_path / "state.pt")
    with pytest.raises(StudyError, match="a checkpoint of other data"):
        tuned(checkpoint=tune.Checkpoint.from_directory(str(tmp_path)))


@pytest.mark.parametrize("content", [None, b"", b"no archive", {"no": "config"}])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: Any):
    if isinstance(content, bytes):
        (tmp_path / "state.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / "state.pt")
    with pytest.raises(StudyError, match=f"{tmp_path}: is no checkpoint of study.trainable"):
        load_checkpoint(tmp_path)


def test_nothing_is_written_beside_the_checkpoints(tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    tuned(cut=1)
    assert not list((tmp_path / "here").iterdir())


# --- what is made once, before Tune starts


def packed(base: Any = "paper", **arguments: Any) -> dict[str, Any]:
    """What is in the function's closure."""
    function: Any = trainable(base, **arguments)
    names = function.__code__.co_freevars
    return dict(zip(names, (cell.cell_contents for cell in function.__closure__), strict=True))


def test_the_base_is_a_configuration_fields_or_a_preset():
    assert packed(CONFIG)["values"] == CONFIG.to_dict()
    assert packed({"train.lr": 0.05})["values"] == small().replace(**{"train.lr": 0.05}).to_dict()
    assert packed()["values"] == small().to_dict()
    assert packed("recommended")["values"] == laid_over(small(), "recommended").to_dict()


def test_a_data_set_is_known_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bbox_train").mkdir()
    data = dataset(CONFIG)
    monkeypatch.setattr("study.tuner.load_dataset", lambda config, root: data)
    monkeypatch.chdir(tmp_path)
    held = packed({"train.batch_size": 4, "model.weights": "none"}, data_root=".", cache="frames")
    assert held["values"]["data"]["dataset"] == "mars" and held["values"]["train"]["alpha"] == 0.5
    assert held["root"] == str(tmp_path) and held["packed"] == str(tmp_path / "frames")
    assert held["fingerprint"] == data.fingerprint()
    held = packed({"train.batch_size": 4, "model.weights": "none"}, data_root=".")
    assert held["packed"] == str(tmp_path / ".cache") and packed(CONFIG)["packed"] is None


def test_the_file_of_weights_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "weights.pt").touch()
    monkeypatch.chdir(tmp_path)
    held = packed(CONFIG.replace(**{"model.weights": "weights.pt"}))
    assert held["values"]["model"]["weights"] == str(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("base", "arguments", "message"),
    [
        ("recomended", {}, "there is no preset 'recomended'; did you mean recommended"),
        ({"train.lrr": 0.1}, {}, "unknown field 'train.lrr'"),
        ({"train.lr": 0}, {}, "TrainConfig.lr = 0: must be > 0"),
        ({"data.dataset": "cars"}, {}, "dataset = 'cars': must be one of"),
        ({"data.dataset": "mars"}, {}, "data_root: name the folder of the data set mars"),
        (CONFIG, {"data_root": "."}, "data_root .: the data set synthetic is drawn"),
        ("paper", {"data_root": "/no/such/folder", "cache": "."}, "/no/such/folder"),
        ({"model.weights": "no.pt"}, {}, "model.weights = no.pt: no such file"),
        ({"merge.classes": 1000}, {}, "merge.classes = 1,000: must be less than"),
        ({"train.drop_last": True, "train.batch_size": 1000}, {}, "train.drop_last: the 192"),
        ({"merge.method": "identities", "train.leak_audit": True}, {}, "is a bound and no result"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(base: Any, arguments: dict[str, Any], message: str):
    with pytest.raises((StudyError, ConfigError, DataError), match=message):
        trainable(base, **arguments)


def test_a_checkpoint_is_a_model(whole: Algorithm, tuned: Callable[..., TuneSession]):
    session = tuned()
    model = load_model(session.checkpoints[-1])
    assert whole.data.test is not None
    np.testing.assert_allclose(model.embed(whole.data.test), whole.test_features, atol=1e-5)
    last, card = whole.history[-1], model.card
    assert card.scores["mAP"] == last.mAP and card.scores["unlabelled"] == last.unlabelled
    assert card.config == CONFIG and card.fingerprint == whole.data.fingerprint() and card.step == STEPS
    assert card.untrained["mAP"] == whole.before_training.mAP and card.chosen.startswith("merge step 3,")


def test_little_is_sent_to_every_trial_and_it_bears_our_name():
    function = trainable(CONFIG)
    assert len(cloudpickle.dumps(function)) < 8192
    assert function.__name__ == "dcreid"


def test_the_package_answers_without_torch_or_ray():
    code = "import sys, study; assert not {'torch', 'ray'} & set(sys.modules); study.trainables"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'study' has no attribute 'trainables'" in done.stderr
    for name in study.__all__:
        assert getattr(study, name) is not None
    assert study.trainable is trainable and study.FIXED_FIELDS is FIXED_FIELDS
