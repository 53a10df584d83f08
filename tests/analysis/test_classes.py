"""classes.csv of a study that is there, and the proposal beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.classes import in_words, main, nearest_step, table_of
from analysis.data.results import load
from dcreid.algorithm import Algorithm
from dcreid.data import load_dataset
from dcreid.evaluation.class_counts import ClassCounts, count_classes
from dcreid.evaluation.partitions import partition_name
from dcreid.network.tracklets import l2_normalize
from dcreid.presets import settings_of
from study.record.storage import Storage
from study.record.trial_tables import save_classes
from study.worker.checkpoints import save_state

TINY = settings_of("synthetic").replace(
    **{
        "data.height": 32, "data.width": 16, "data.frames": 2,
        "train.first_epochs": 0, "train.later_epochs": 0,
        "merge.max_steps": 2, "merge.merge_rate": 0.2, "data.synthetic.train_identities": 4,
        "data.synthetic.test_identities": 3, "data.synthetic.frames": 3,
    }
)  # fmt: skip


def test_a_study_that_is_there_gets_its_classes_and_a_proposal(
    make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_dataset(TINY.data, None)
    made = make("synthetic", base=TINY, cache=str(tmp_path / "cache"))
    described = {"name": data.name, "fingerprint": data.fingerprint(), "protocol": data.protocol}
    made.write_description(**described, train_tracklets=len(data.train), queries=len(data.query), problems=[])
    algorithm, storage = Algorithm(TINY, data), Storage(str(made.folder / "trials" / "0000"))
    for step in algorithm:
        save_state(
            storage, f"step-{step.step:03d}.pt", Algorithm.without_training(algorithm.state_dict()), {}
        )
    save_classes(storage, algorithm, {})
    made.trial(TINY, lambda config, step: 0.1 * step, steps=2)
    assert main([str(made.folder)]) == 0

    table = pd.read_csv(made.folder / "classes.csv")
    assert table.tracklet.tolist() == list(data.train.names)
    assert partition_name(table["class"].to_numpy()) == algorithm.history[1].labels_after
    features = algorithm.network.tracklet_features(algorithm.store)
    cameras = torch.from_numpy(data.train.cameras)
    expected = count_classes(l2_normalize(features.pooled), features.halves, cameras)
    found = pd.read_csv(made.folder / "analysis" / "class-counts.csv")
    assert found.classes.tolist() == expected.classes.tolist()
    assert found.stability.to_numpy() == pytest.approx(expected.stability, abs=1e-3)
    assert (made.folder / "analysis" / "class-counts.png").is_file()
    out = capsys.readouterr().out
    assert f"--classes {expected.proposed})" in out and "classes of trial 0 at merge step 2" in out
    assert "nearest to it in classes.csv: step_00" in out


def test_the_nearest_step_is_nearest_by_ratio(make) -> None:
    made = make("duke")
    number = made.trial(made.base, scores=lambda config, step: {"classes_after": [400, 200, 80, 20][step]})
    trial = load([made.folder]).studies[0].trials[number]
    assert nearest_step(trial, 400) == (1, 200)  # the untrained network has no classes
    assert nearest_step(trial, 20) == (3, 20)
    assert nearest_step(trial, 42) == (2, 80)  # 20 is nearer by difference, and 2.1 times as few


def test_of_steps_with_as_many_classes_the_selected_one_is_named_else_the_latest(make) -> None:
    made = make("duke")

    def scores(config, step):
        return {"classes_after": 50, "unlabelled": [0.1, 0.3, 0.5, 0.4][step]}

    scored = made.trial(made.base, scores=scores)
    plain = made.trial(made.base, scores=lambda config, step: {"classes_after": 50})
    trials = load([made.folder]).studies[0].trials
    assert nearest_step(trials[scored], 50) == (2, 50)
    assert nearest_step(trials[plain], 60) == (3, 50)


def test_a_proposal_says_how_little_it_knows() -> None:
    classes, low = np.array([5, 8, 18, 80]), np.array([0.1, 0.9, 0.3, 0.2])
    high, edge = np.array([0.1, 0.2, 0.3, 0.2]), np.array([0.1, 0.2, 0.3, 0.4])
    near, far = ClassCounts(classes, low, low, None), ClassCounts(classes, low, high, low)
    assert "do not tell" in in_words(ClassCounts(classes, low, edge, None))[2]
    assert "do not tell" in in_words(ClassCounts(classes, edge[::-1], high, None))[2]
    assert in_words(near)[0].startswith("proposed number of classes: 8 (")
    assert len(in_words(near)) == 2
    assert "between 8 and 18" in in_words(far)[1] and "order of magnitude" in in_words(far)[2]
    assert "exclusivity" in table_of(far) and "exclusivity" not in table_of(near)
