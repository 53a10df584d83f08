"""Models: what travels with them, and features as torchvision's own network gives them in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_runs import dataset, tiny

from dcreid.algorithm import Algorithm
from dcreid.data.tracklets import DataError
from dcreid.model import Card, Model, ModelError, device_named
from dcreid.network.tracklets import build_network

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def made(**changes: object) -> Model:
    """A model with random weights whose batch norms are not those of a new network."""
    config = tiny(**changes)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = torchvision.models.get_model(config.model.backbone)
        for name, value in network.state_dict().items():
            if name.endswith("running_mean"):
                value.copy_(torch.randn(value.shape) / 50)
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape) / 5 + 0.05)
    weights = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    card = Card(config, "code", "drawn", "0123", "by hand", {"mAP": 0.25}, {"mAP": 0.125}, "study", 3, 2)
    return Model.of(weights, card)


@pytest.fixture(scope="module")
def model() -> Model:
    return made()


@pytest.fixture
def frames() -> np.ndarray:
    """Of a few large patches of colour, so that their features differ."""
    patches = np.random.default_rng(0).integers(0, 256, (5, 4, 2, 3), dtype=np.uint8)
    return np.kron(patches, np.ones((1, 8, 8, 1), dtype=np.uint8))


def reference(model: Model, frames: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """Features (n, d) of frames of the model's size, by torchvision's network in float64."""
    network = torchvision.models.get_model(model.config.model.backbone).double().eval()
    network.load_state_dict(model.network.backbone.network.state_dict(), strict=False)
    network.fc = torch.nn.Identity()
    pixels = torch.from_numpy(((frames / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features = network(pixels)
        if mirrored:
            features = (features + network(pixels.flip(3))) / 2
    return features.numpy()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# --- features


@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_have_the_features_of_torchvisions_network(frames: np.ndarray, mirrored: bool):
    model = made(**{"data.eval_mirror": mirrored})
    found = model.embed(frames)
    assert found.dtype == np.float32 and found.shape == (5, model.dim)
    np.testing.assert_allclose(found, unit(reference(model, frames, mirrored)), atol=2e-5)


def test_a_tracklet_is_the_mean_of_its_frames_of_length_1_at_the_end(model: Model, frames: np.ndarray):
    features = reference(model, frames)
    np.testing.assert_allclose(model.tracklet(frames), unit(features.mean(axis=0)), atol=2e-5)
    assert not np.allclose(model.tracklet(frames), unit(unit(features).mean(axis=0)), atol=1e-4)


def test_images_of_any_size_are_resized_like_files(model: Model, frames: np.ndarray, tmp_path: Path):
    large = np.kron(frames, np.ones((1, 3, 2, 1), dtype=np.uint8))  # an antialiased mean is the frame again
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, frame in zip(paths, large, strict=True):
        Image.fromarray(frame).save(path)
    np.testing.assert_array_equal(model.embed(paths), model.embed(large))
    np.testing.assert_array_equal(model.embed(list(map(str, paths))), model.embed(paths))
    mixed = model.embed([frames[0], torch.from_numpy(large[1])])
    np.testing.assert_allclose(mixed, np.stack([model.embed(frames)[0], model.embed(large)[1]]), atol=1e-6)


def test_more_frames_than_go_through_at_once(model: Model, frames: np.ndarray):
    many = np.tile(frames, (60, 1, 1, 1))
    np.testing.assert_allclose(model.embed(many), np.tile(model.embed(frames), (60, 1)), atol=1e-6)


def test_a_split_has_the_features_that_the_algorithm_evaluates():
    config = tiny(**{"data.eval_mirror": True})
    algorithm = Algorithm(config, dataset(config))
    model = Model.of(algorithm.network.state_dict()["backbone"], Card(config, "", "", "", ""))
    algorithm.untrained()
    np.testing.assert_allclose(model.embed(algorithm.data.test), algorithm.test_features, atol=1e-5)


class Holes:
    """Frames of which some cannot be read."""

    def __init__(self, frames: np.ndarray, lost: set[int]):
        self.frames, self.lost = frames, lost

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, frames: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        return self.frames[frames], np.array([frame not in self.lost for frame in frames.tolist()])

    def name(self, frame: int) -> str:
        return f"frame {frame}"

    def fingerprint(self) -> str:
        return "0"


def split_of(model: Model, frames: np.ndarray, lost: set[int] = frozenset(), **changes: object):
    """A split of tracklets of two frames and three."""
    from dcreid.data.tracklets import Split

    cameras = np.array([1, 2])
    return Split("made", Holes(frames, lost), np.array([0, 2, 5]), cameras, None, ["a", "b"], **changes)


def test_frames_that_cannot_be_read_are_left_out(model: Model, frames: np.ndarray):
    found = model.embed(split_of(model, frames, {1, 3}))
    expected = [model.tracklet(frames[:1]), model.tracklet(frames[[2, 4]])]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(
        DataError, match=r"made: 1 tracklet\(s\) without a frame that can be read, first frame 0"
    ):
        model.embed(split_of(model, frames, {0, 1}))


def test_a_split_goes_through_some_frames_at_a_time(model: Model, frames: np.ndarray, monkeypatch):
    whole = model.embed(split_of(model, frames, {3}))
    monkeypatch.setattr("dcreid.model._BATCH", 2)
    np.testing.assert_allclose(model.embed(split_of(model, frames, {3})), whole, atol=1e-6)


# --- cameras


def normalised(rows: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Each camera's mean and deviation taken out, in float64."""
    result = rows.astype(np.float64)
    for camera in np.unique(cameras):
        own = result[cameras == camera]
        result[cameras == camera] = (own - own.mean(axis=0)) / np.where(
            own.std(axis=0) > 0, own.std(axis=0), 1
        )
    return unit(result)


@pytest.mark.parametrize("field", ["merge.camera_normalise", "evaluate.camera_normalise"])
def test_features_are_normalised_per_camera_where_the_model_was_made_so(frames: np.ndarray, field: str):
    model, cameras = made(**{field: True}), np.array([4, 4, 4, 9, 9])
    plain = made().embed(frames)
    np.testing.assert_array_equal(model.embed(frames), plain)  # nobody knows the cameras
    np.testing.assert_allclose(model.embed(frames, cameras), normalised(plain, cameras), atol=1e-4)
    np.testing.assert_array_equal(model.embed(frames, cameras, camera_normalise=False), plain)


def test_and_are_not_where_it_was_not_unless_that_is_asked_for(model: Model, frames: np.ndarray):
    cameras, plain = np.array([4, 4, 4, 9, 9]), model.embed(frames)
    np.testing.assert_array_equal(model.embed(frames, cameras), plain)
    wanted = model.embed(frames, cameras, camera_normalise=True)
    np.testing.assert_allclose(wanted, normalised(plain, cameras), atol=1e-4)
    with pytest.raises(ModelError, match="needs the camera of every row"):
        model.embed(frames, camera_normalise=True)
    with pytest.raises(ModelError, match="cameras: 2 for 5 rows"):
        model.embed(frames, np.array([1, 2]))


def test_what_is_compared_is_normalised_together(frames: np.ndarray):
    model, cameras = made(**{"merge.camera_normalise": True}), np.array([1, 1, 2, 1, 2])
    plain = model.embed(frames)
    first, second = model.embed_together([frames[:2], frames[2:]], [cameras[:2], cameras[2:]])
    np.testing.assert_allclose(np.concatenate([first, second]), normalised(plain, cameras), atol=1e-4)
    first, second = model.embed_together([frames[:2], frames[2:]], [cameras[:2], None])
    np.testing.assert_allclose(np.concatenate([first, second]), plain, atol=1e-6)


def test_cameras_of_a_split_are_taken_where_all_are_known(frames: np.ndarray):
    model = made(**{"merge.camera_normalise": True})
    unknown = model.embed(split_of(model, frames, unknown_cameras=1))
    np.testing.assert_allclose(unknown, [model.tracklet(frames[:2]), model.tracklet(frames[2:])], atol=1e-6)
    assert not np.allclose(model.embed(split_of(model, frames)), unknown, atol=1e-2)


# --- search


def test_a_search_ranks_by_distance(model: Model, frames: np.ndarray):
    v = model.embed(frames).astype(np.float64)
    expected = np.linalg.norm(v[:2, None] - v[None], axis=2)
    distances, rows = model.search(frames[:2], frames, k=3)
    np.testing.assert_array_equal(rows, np.argsort(expected, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :3], atol=1e-4)
    np.testing.assert_array_equal(model.search(v[:2].astype(np.float32), frames, k=3)[1], rows)
    with pytest.raises(ModelError, match="k = 0"):
        model.search(frames, frames, 0)


def test_a_search_normalises_both_sides_together(frames: np.ndarray):
    model = made(**{"merge.camera_normalise": True})
    one, other = split_of(model, frames), split_of(model, frames[::-1].copy())
    together = model.embed_together([one, other])
    gap = np.linalg.norm(together[0][:, None] - together[1][None], axis=2)
    np.testing.assert_allclose(model.search(one, other, 2)[0], np.sort(gap, axis=1), atol=1e-3)


# --- the file


def test_a_file_brings_weights_and_card(model: Model, frames: np.ndarray, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    found = Model.load(path)
    assert found.card == model.card and found.config == model.config
    np.testing.assert_array_equal(found.embed(frames), model.embed(frames))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_network_that_asks_for_the_versions_of_its_parts_comes_back(tmp_path: Path, frames: np.ndarray):
    config = tiny(**{"model.backbone": "mnasnet0_5"})
    trained, anew = (build_network(config.replace(seed=seed), torch.device("cpu")) for seed in (0, 1))
    anew.load_state_dict(trained.state_dict())  # as a trial goes on
    model = Model.of(anew.state_dict()["backbone"], Card(config, "", "", "", ""))
    model.save(tmp_path / "m.safetensors")
    expected = Model(trained, model.card).embed(frames)
    np.testing.assert_allclose(Model.load(tmp_path / "m.safetensors").embed(frames), expected, atol=1e-6)


def test_its_weights_go_into_torchvisions_network(model: Model, tmp_path: Path):
    model.save(tmp_path / "model.safetensors")
    network = torchvision.models.get_model(model.config.model.backbone)
    done = network.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    assert not done.unexpected_keys and set(done.missing_keys) == {"fc.weight", "fc.bias"}


def test_the_card_says_what_one_must_know(tmp_path: Path):
    model = made(**{"data.eval_mirror": True, "evaluate.camera_normalise": True})
    card = json.loads(json.dumps(model.card.to_dict()))
    assert card["frames"]["height"] == 32 and card["frames"]["width"] == 16
    assert card["frames"]["mirror_images"] is True and card["camera_normalise"] is True
    assert card["frames"]["mean"] == MEAN.tolist() and card["frames"]["deviation"] == DEVIATION.tolist()
    assert card["scores"] == {"mAP": 0.25} and (card["trial"], card["step"]) == (3, 2)
    assert "drawn people" in card["licence"] and "lawful basis" in card["intended_use"]
    mars = Card(tiny(**{"data.dataset": "mars"}), "", "", "", "")
    assert "research only" in mars.to_dict()["licence"]


def test_a_head_and_compilation_stay_behind(frames: np.ndarray):
    model = made(**{"model.head": "embedding", "model.embedding_dim": 8, "train.compile": True})
    assert model.network.head is None and model.config.model.head == "embedding"
    assert model.embed(frames).shape[1] == model.network.backbone.dim


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a model's file"),
        (b"x" * 200, "not a model's file"),
        (None, "has no card of a model"),
    ],
)
def test_other_files_are_refused_by_name(content: bytes | None, said: str, tmp_path: Path):
    path = tmp_path / "other.safetensors"
    if content is None:
        save_file({"a": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=f"other.safetensors: {said}"):
        Model.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format 2"),
        ({"config": {"data": {"colour": 1}}}, "colour"),
        ({"config": {"model": {"backbone": "resnet18"}}}, "not those of a resnet18"),
    ],
)
def test_cards_that_do_not_fit_are_refused(model: Model, change: dict, said: str, tmp_path: Path):
    model.save(tmp_path / "model.safetensors")
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights, tmp_path / "m.safetensors", {"card": json.dumps(model.card.to_dict() | change)})
    with pytest.raises(ModelError, match=rf"m.safetensors: .*{said}"):
        Model.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("one.jpg", "expected several images"),
        ([], "expected several images"),
        (np.zeros((2, 8, 8, 3)), "a frame of torch.float64"),
        (np.zeros((2, 8, 8, 1), dtype=np.uint8), r"\(8, 8, 1\): expected uint8"),
    ],
)
def test_what_is_no_image_is_refused(model: Model, given: object, said: str):
    with pytest.raises(ModelError, match=said):
        model.embed(given)


def test_a_file_that_is_no_image_is_named(model: Model, tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image \(neither JPEG nor PNG\)"):
        model.embed([tmp_path / "a.jpg"])


def test_devices_that_are_not_there_are_refused():
    assert device_named("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match="--device gpu"):
        device_named("gpu")
