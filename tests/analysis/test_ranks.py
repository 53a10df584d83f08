"""Looking at a trial: a network rebuilt from its checkpoint, and the pictures made of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from analysis.data.folder import ResultsError
from analysis.data.results import load
from analysis.people.network import Rebuilt, choose, rebuild
from analysis.people.pictures import _BORDERS
from analysis.people.rank_lists import rank_lists
from analysis.ranks import _rank_sheets, _where, main, members, most_mixed, pictures, principal_plane
from dcreid.algorithm import Algorithm
from dcreid.clustering.distances import cross_distances
from dcreid.data import load_dataset
from dcreid.evaluation.unlabelled import same_camera
from dcreid.presets import settings_of
from study.record.ledger import TrialRecord
from study.record.storage import Storage
from study.worker.checkpoints import save_state

TINY = settings_of("synthetic").replace(
    **{
        "data.height": 32, "data.width": 16, "data.frames": 2,
        "train.first_epochs": 1, "train.later_epochs": 1,
        "merge.max_steps": 2, "merge.merge_rate": 0.2, "data.synthetic.train_identities": 4,
        "data.synthetic.test_identities": 3, "data.synthetic.frames": 3,
    }
)  # fmt: skip


@pytest.fixture
def study(make, tmp_path: Path):
    """One real trial of two merge steps, with its checkpoints."""
    data = load_dataset(TINY.data, None)
    made = make("synthetic", base=TINY, cache=str(tmp_path / "cache"))
    described = {"name": data.name, "fingerprint": data.fingerprint(), "protocol": data.protocol}
    made.write_description(**described, train_tracklets=len(data.train), queries=len(data.query), problems=[])
    algorithm = Algorithm(TINY, data)
    measured = {}
    for step in algorithm:
        measured[step.step] = step.mAP
        save_state(
            trial_of(made), f"step-{step.step:03d}.pt", Algorithm.without_training(algorithm.state_dict()), {}
        )
    made.trial(TINY, lambda config, step: measured.get(step, 0.0), steps=2)
    return made


def trial_of(made) -> Storage:
    return Storage(str(made.folder / "trials" / "0000"))


def test_the_rebuilt_network_measures_what_the_trial_reported(study):
    found = load([study.folder]).studies[0]
    rebuilt = rebuild(found, None, None, None)
    assert rebuilt.step == max(found.trials[0].curve(), key=found.trials[0].curve().__getitem__)
    data, v = rebuilt.algorithm.data, rebuilt.test_features()
    ids, cams = data.test.identities, data.test.cameras
    q, g = data.query, data.gallery
    lists = rank_lists(cross_distances(v[q], v[g]).numpy(), ids[q], ids[g], cams[q], cams[g])
    average = np.nanmean([one.average_precision for one in lists])
    assert average == pytest.approx(found.trials[0].curve()[rebuilt.step], abs=1e-4)


@pytest.fixture
def scored(study):
    """The same, computed again with scores that choose the step that is not the best."""
    curve = load([study.folder]).studies[0].trials[0].curve()
    other = min(curve, key=curve.__getitem__)
    study.trial(
        TINY,
        lambda config, step: curve.get(step, 0.0),
        steps=2,
        scores=lambda config, step: {"unlabelled": 0.5 + 0.1 * (step == other)},
    )
    kept = study.folder / "trials"
    (kept / "0000").rename(kept / "0001")
    return study, other


def test_the_selected_step_is_shown_where_its_weights_are_kept(scored):
    made, other = scored
    found = load([made.folder]).studies[0]
    assert choose(found, None).number == 1 and rebuild(found, None, None, None).step == other
    (made.folder / "trials" / "0001" / f"step-{other:03d}.pt").unlink()
    assert rebuild(found, None, None, None).step == 3 - other


def test_of_a_search_by_score_its_choice_is_shown(make):
    study = make("duke", objective="unlabelled")
    for number, height in enumerate((0.2, 0.6, 0.6, 0.9)):
        study.trial(
            study.base.replace(seed=number),
            lambda config, step, number=number: 0.9 - 0.1 * number,
            state="pruned" if number == 3 else "complete",
            scores=lambda config, step, height=height: {"unlabelled": height},
        )
    assert choose(load([study.folder]).studies[0], None).number == 1


@pytest.mark.parametrize("known", [True, False])
def test_without_labels_neighbours_and_classes_are_shown(known: bool, tmp_path: Path):
    data = load_dataset(TINY.data, None)
    train = dataclasses.replace(data.train, identities=None, unknown_cameras=0 if known else 1)
    nobody = np.array([], dtype=np.int64)
    stripped = dataclasses.replace(data, train=train, test=None, query=nobody, gallery=nobody)
    algorithm = Algorithm(TINY, stripped)
    for _ in range(2):
        algorithm.step()
    made = dict(pictures(Rebuilt(TrialRecord(7, {}, "", "plan", (), {}, {}, 0.0), 2, algorithm)))
    wanted = {"neighbours", "classes-largest"} | ({"classes-cameras"} if known else set())
    assert set(made) == wanted and not any(isinstance(picture, str) for picture in made.values())
    colours = {colour for _, colour in made["neighbours"].getcolors(1 << 24)}
    borders = {name: ImageColor.getrgb(_BORDERS[name]) for name in ("right", "wrong", "query", "near")}
    assert {name for name, rgb in borders.items() if rgb in colours} == {"query", "near"}
    if known:
        (line, *_) = made["classes-cameras"].axes[0].lines
        labels, cameras = algorithm.labels.numpy(), algorithm.cameras.numpy()
        assert line.get_ydata()[-1] == pytest.approx(100 * same_camera(labels, cameras))
    plt.close("all")


def test_pictures_are_written_into_the_study(study, capsys):
    assert main([str(study.folder), "--trial", "0"]) == 0
    (folder,) = (study.folder / "analysis").iterdir()
    names = {path.stem for path in folder.glob("*.png")}
    sheets = {"rank-lists-hardest", "rank-lists-easiest", "classes-largest"}
    assert sheets | {"gallery-map", "joins"} <= names
    with Image.open(folder / "rank-lists-hardest.png") as picture:
        assert picture.width > 640 and len(picture.getcolors(1 << 24)) > 100
    assert capsys.readouterr().out.count(".png") >= 6


def test_pictures_of_the_bound_say_what_it_is():
    bound = {"merge.method": "identities", "train.leak_audit": True, "train.later_epochs": 0}
    for config in (TINY.replace(**bound), TINY):
        algorithm = Algorithm(config, load_dataset(config.data, None))
        algorithm.step()
        rebuilt = Rebuilt(TrialRecord(7, {}, "", "plan", (), {}, {}, 0.0), 1, algorithm)
        mark = ", trained with identities (a bound)" if config.trains_with_identities else ""
        assert _where(rebuilt).endswith(f", trial 7{mark}, merge step 1: ")
        joins = dict(pictures(rebuilt))["joins"]
        assert isinstance(joins, str) == config.trains_with_identities
        assert not isinstance(joins, str) or joins == "the identities are the classes: nothing was joined"


def test_a_moved_study_needs_its_folder_only(study, tmp_path: Path):
    moved = study.folder.rename(tmp_path / "moved")
    assert rebuild(load([moved]).studies[0], 0, None, tmp_path / "cache2").step in (1, 2)


def test_damaged_checkpoints_are_passed_over(study):
    found = load([study.folder]).studies[0]
    kept = sorted((study.folder / "trials" / "0000").glob("step-*.pt"))
    best = rebuild(found, None, None, None).step
    kept[best - 1].write_bytes(b"cut")
    assert rebuild(found, None, None, None).step == 3 - best
    for path in kept:
        path.write_bytes(b"cut")
    with pytest.raises(ResultsError, match=r"no checkpoint of trial 0 that can be read"):
        rebuild(found, None, None, None)


def test_wrong_trial_and_wrong_data(study, tmp_path: Path, capsys):
    found = load([study.folder]).studies[0]
    with pytest.raises(ResultsError, match=r"--trial 5: .* has trials 0 to 0"):
        choose(found, 5)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace(found.data["fingerprint"], "0" * 16))
    assert main([str(study.folder)]) == 2
    assert "not the data of study" in capsys.readouterr().err


def test_members_follow_the_order_of_the_training_tracklets():
    classes = members(torch.tensor([0, 1, 0]).numpy(), np.array([2, 0, 1]))
    assert [one.tolist() for one in classes] == [[1, 2], [0]]


def test_most_mixed_classes_first():
    identities = np.array([1, 1, 2, 1, 2, 3, 4, 5])
    classes = [np.array([0, 1, 2]), np.array([3, 4]), np.array([5]), np.array([6, 7])]
    assert [one.tolist() for one in most_mixed(classes, identities)] == [[3, 4], [6, 7], [0, 1, 2]]


def test_principal_plane_of_a_plane_holds_everything():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 16))
    plane, share = principal_plane(flat)
    assert share == pytest.approx(1.0)
    distances = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    assert distances == pytest.approx(np.linalg.norm(flat[:, None] - flat[None], axis=2))


@pytest.mark.real
@pytest.mark.slow
def test_rank_lists_of_real_tracklets(make, mars_mini: Path, mobilenet_weights: Path, tmp_path: Path):
    """An untrained trial on real data, end to end; the pictures stay in the temporary folder."""
    config = settings_of("mars").replace(
        **{
            "data.height": 32, "data.width": 16, "data.eval_frames": 2, "model.backbone": "mobilenet_v2",
            "model.weights": str(mobilenet_weights), "train.first_epochs": 0, "train.later_epochs": 0,
            "merge.max_steps": 1,
        }
    )  # fmt: skip
    data = load_dataset(config.data, mars_mini)
    made = make("mars", base=config, root=str(mars_mini), cache=str(tmp_path / "cache"))
    described = {"name": data.name, "fingerprint": data.fingerprint(), "protocol": data.protocol}
    made.write_description(**described, train_tracklets=len(data.train), queries=len(data.query), problems=[])
    algorithm = Algorithm(config, data, cache=tmp_path / "cache")
    algorithm.step()
    save_state(trial_of(made), "step-001.pt", algorithm.state_dict(), {})
    made.trial(config, steps=1)
    assert main([str(made.folder)]) == 0
    assert len(list((made.folder / "analysis" / "ranks-0000-step-001").glob("*.png"))) == 6


def test_the_embedded_data_have_no_folder(study, tmp_path: Path, capsys):
    assert main([str(study.folder), "--data-root", str(tmp_path)]) == 2
    assert f"--data-root {tmp_path}: {study.folder} used the embedded data" in capsys.readouterr().err


def test_no_place_of_a_sheet_is_given_to_an_ignored_entry(study, monkeypatch):
    rebuilt = rebuild(load([study.folder]).studies[0], None, None, None)
    sheets = {}
    monkeypatch.setattr(
        "analysis.people.pictures.sheet",
        lambda rows, store, title: sheets.setdefault(title.split()[-2], rows),
    )
    list(_rank_sheets(rebuilt, rebuilt.test_features()))
    rows = [row for rows in sheets.values() for row in rows]
    assert len(rows) >= 8 and any("ignored" in heading for heading, _ in rows)
    for heading, (query, *tiles) in rows:
        assert query.kind == "query" and {tile.kind for tile in tiles} <= {"right", "wrong"}
        first = next(tile for tile in tiles if tile.kind == "right")
        assert f"first match at rank {first.text.partition('.')[0]}" in heading
        counted = [int(tile.text.partition(".")[0]) for tile in tiles]
        assert counted[:10] == list(range(1, len(counted[:10]) + 1)) and len(counted) <= 11
