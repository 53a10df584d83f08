"""A trained network in one file that says what it is, and what other programs ask of it.

    model = Model.load("studies/NAME/models/selected.safetensors")
    model.embed(paths)                # (n, d), a row of length 1 for each image
    model.tracklet(frames)            # (d,), of all frames of one tracklet
    model.search(queries, gallery, k=10)

The file holds the backbone's weights under torchvision's names (safetensors) and a card (JSON, in the file's
metadata under `card`): everything that goes with the weights, from the size of frames to where they came
from. The head is left out: the memory alone sees it, features never pass it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, Float32, Int, UInt8
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dcreid.checked import ConfigError
from dcreid.clustering.cameras import camera_normalised
from dcreid.config import Config
from dcreid.data.augmentation import MEAN, STD
from dcreid.data.jpeg import explain, read_jpegs, resize
from dcreid.data.tracklets import DataError, Split
from dcreid.errors import InputError
from dcreid.evaluation.retrieval import RetrievalMetrics
from dcreid.evaluation.unlabelled import ClassScores, NetworkScores
from dcreid.nearest import nearest
from dcreid.network.tracklets import TrackletNetwork, build_network, l2_normalize
from dcreid.network.weights import versioned
from dcreid.paths import write_whole
from dcreid.precision import set_tf32

_FORMAT = 1  # of the card
_BATCH = 256  # frames at a time
_LICENCES = {
    "mars": "trained on MARS, which is for research only: no other use of these weights",
    "duke": "trained on DukeMTMC-VideoReID, which its makers withdrew: no use outside research",
    "synthetic": "trained on drawn people: no rights of others in the data",
    "folder": "trained on tracklets of the user's own: the rights in them, and of the people they show, hold",
}
_INTENDED_USE = (
    "finding tracklets that may show the same person, for people who look at every hit; not for identifying, "
    "tracking or profiling anybody without a lawful basis and their knowledge, nor for decisions about "
    "people. Errors are frequent, and not evenly spread"
)

Images: TypeAlias = Sequence[str | Path] | Sequence[ndarray | Tensor] | ndarray | Tensor
Given: TypeAlias = "Images | Split"
Vectors: TypeAlias = "Float32[ndarray, 'n d']"


_MEASURES = (RetrievalMetrics, NetworkScores, ClassScores)
_SCORES = ("unlabelled", *(entry.name for measures in _MEASURES for entry in dataclasses.fields(measures)))


def measured(row: Mapping[str, Any]) -> dict[str, float]:
    """What a row of results (`MergeStep`) says of a network, for its card; NaN is left out: JSON has none."""
    found = ((name, row.get(name)) for name in _SCORES)
    return {name: value for name, value in found if value is not None and math.isfinite(value)}


class ModelError(InputError):
    """A model's file, or what it is given, cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Card:
    """What a model says of itself."""

    config: Config
    code: str  # version of dcreid's sources
    data: str  # name of the data set, split and gallery
    fingerprint: str  # of the data
    chosen: str  # how the trial and its merge step were
    scores: Mapping[str, float] = field(default_factory=dict)  # of that step, as in its row of results
    untrained: Mapping[str, float] = field(default_factory=dict)  # of the network before training
    study: str = ""
    trial: int | None = None
    step: int | None = None

    @property
    def camera_normalise(self) -> bool:
        """Whether features are normalised per camera, where cameras are known."""
        return self.config.merge.camera_normalise or self.config.evaluate.camera_normalise

    @property
    def licence(self) -> str:
        """What the training data allow."""
        return _LICENCES[self.config.data.dataset]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the file; what is derived from the configuration is for people to read."""
        data = self.config.data
        return {
            "format": _FORMAT,
            "frames": {
                "height": data.height,
                "width": data.width,
                "channels": "RGB, divided by 255",
                "mean": list(MEAN),
                "deviation": list(STD),
                "resized": "bilinear, antialiased",
                "mirror_images": data.eval_mirror,
            },
            "pooling": "mean over the frames of a tracklet, then length 1",
            "camera_normalise": self.camera_normalise,
            "intended_use": _INTENDED_USE,
            "licence": self.licence,
            **{entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)},
            "config": self.config.to_dict(),
        }

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Card:
        """From `to_dict`. Raises ModelError for a newer format, ConfigError for an unknown setting."""
        if card.get("format") != _FORMAT:
            raise ModelError(f"its card has format {card.get('format')!r}, this program reads {_FORMAT}")
        known = {entry.name: card[entry.name] for entry in dataclasses.fields(cls) if entry.name in card}
        return cls(**known | {"config": Config.from_dict(card["config"])})


class Model:
    """A network in evaluation mode, in float32 throughout, and its card."""

    def __init__(self, network: TrackletNetwork, card: Card):
        self.network, self.card = network, card
        network.eval()

    @classmethod
    def of(cls, backbone: Mapping[str, Tensor], card: Card, device: str | torch.device = "cpu") -> Model:
        """From the weights of a backbone, with torchvision's names or with `network.` before them.

        On CUDA the process's convolutions leave TF32, so that features are the same everywhere. Raises
        ModelError where they are not those of the card's backbone.
        """
        set_tf32("fp32", torch.device(device))
        network = build_network(_for_use(card.config), torch.device(device))
        weights = {name.removeprefix("network."): value for name, value in backbone.items()}
        try:
            network.backbone.network.load_state_dict(versioned(network.backbone.network, weights))
        except RuntimeError as error:
            raise ModelError(
                f"the weights are not those of a {card.config.model.backbone}: {_second_line(error)}"
            ) from None
        return cls(network, card)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> Model:
        """From a file that `save` wrote. Raises ModelError, which names it; OSError."""
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path}: no such file; a study's models are in its folder, below models/")
        try:
            with safe_open(path, "pt", device="cpu") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls.of(weights, Card.from_dict(json.loads(metadata["card"])), device)
        except (SafetensorError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: not a model's file, or a damaged one ({error})") from None
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ModelError(
                f"{path}: has no card of a model ({type(error).__name__}: {error}); `python -m study export` "
                "writes a file that has one"
            ) from None
        except (ModelError, ConfigError) as error:
            raise ModelError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Writes the file, whole or not at all. Raises OSError."""
        write_whole(Path(path), self.content())

    def content(self) -> bytes:
        """The bytes of the file."""
        state = self.network.backbone.network.state_dict()
        weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        return safetensors.torch.save(weights, {"card": json.dumps(self.card.to_dict())})

    @property
    def config(self) -> Config:
        """The configuration that it was trained with."""
        return self.card.config

    @property
    def dim(self) -> int:
        """d, the width of its features."""
        return self.network.backbone.dim

    def embed(
        self,
        given: Given,
        cameras: Int[ndarray, " n"] | None = None,
        *,
        camera_normalise: bool | None = None,
    ) -> Vectors:
        """A row of length 1 for each image, or for each tracklet of a split.

        given: RGB frames (n, h, w, 3) of any size, or several of different sizes; paths of JPEG or PNG
        files; or a split. cameras: who saw each row (None = as the split says). Where the card says so
        and cameras are known, mean and deviation of each camera are taken out, over the rows given here, so
        embed together what is to be compared (`embed_together`); camera_normalise overrides the card. Raises
        ModelError for what are no images, DataError for files that cannot be read.
        """
        return self.embed_together([given], [cameras], camera_normalise=camera_normalise)[0]

    def embed_together(
        self,
        given: Sequence[Given],
        cameras: Sequence[Int[ndarray, " _"] | None] | None = None,
        *,
        camera_normalise: bool | None = None,
    ) -> list[Float32[ndarray, "_ d"]]:
        """`embed` for several sets that are to be compared: normalised per camera over all of them."""
        seen_by = [None] * len(given) if cameras is None else cameras
        found = [self._features(one, by) for one, by in zip(given, seen_by, strict=True)]
        v = torch.cat([features for features, _ in found])
        known = [by for _, by in found if by is not None]
        everyone = np.concatenate(known) if len(known) == len(found) else None
        if camera_normalise and everyone is None:
            raise ModelError("camera_normalise: needs the camera of every row: give cameras=")
        if everyone is not None and self.normalises(True, camera_normalise):
            v = camera_normalised(v, torch.from_numpy(everyone))
        sizes = [len(features) for features, _ in found]
        return [part.numpy() for part in torch.split(v, sizes)]

    def search(
        self,
        queries: Given | Vectors,
        gallery: Given | Vectors,
        k: int = 10,
        *,
        camera_normalise: bool | None = None,
    ) -> tuple[Float32[ndarray, "q k"], Int[ndarray, "q k"]]:
        """The k nearest gallery rows of every query: distances (0 to 2, ascending), and which rows they are.

        Vectors are taken as they are; what is embedded here is embedded together. Raises as `embed`, and
        ModelError for a k below 1.
        """
        if k < 1:
            raise ModelError(f"k = {k}: must be at least 1")
        sides: list[Any] = [queries, gallery]
        images = [side for side in sides if not _are_vectors(side)]
        embedded = iter(self.embed_together(images, camera_normalise=camera_normalise) if images else ())
        sides = [side if _are_vectors(side) else next(embedded) for side in sides]
        distances, rows = nearest(sides[0], sides[1], k)
        return distances.cpu().numpy(), rows.cpu().numpy()

    def tracklet(self, frames: Images) -> Float32[ndarray, " d"]:
        """The feature of one tracklet, of length 1, of its frames as `embed` takes them."""
        pooled = self._images(frames).mean(dim=0, keepdim=True)
        return l2_normalize(pooled)[0].numpy()

    def normalises(self, cameras_known: bool, wanted: bool | None = None) -> bool:
        """Whether `embed` takes out mean and deviation of each camera."""
        return cameras_known and (self.card.camera_normalise if wanted is None else wanted)

    def _features(
        self, given: Given, cameras: Int[ndarray, " n"] | None
    ) -> tuple[Float[Tensor, "n d"], Int[ndarray, " n"] | None]:
        """Features of length 1, and the cameras where they are known."""
        if isinstance(given, Split):
            known = given.cameras if given.cameras_known else None
            v, cameras = l2_normalize(self._tracklets(given)), known if cameras is None else cameras
        else:
            v = l2_normalize(self._images(given))
        if cameras is not None and len(cameras) != len(v):
            raise ModelError(f"cameras: {len(cameras):,} for {len(v):,} rows; give one for each")
        return v, None if cameras is None else np.asarray(cameras, dtype=np.int64)

    @torch.inference_mode()
    def _tracklets(self, split: Split) -> Float[Tensor, "n d"]:
        """Pooled features of all readable frames; frames are read some at a time, and kept nowhere."""
        n, device = len(split), self.network.device
        owner = torch.from_numpy(np.repeat(np.arange(n), split.lengths)).to(device)
        sums, counts = torch.zeros(n, self.dim, device=device), torch.zeros(n, device=device)
        for start in range(0, len(owner), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(owner)), dtype=np.int64)
            pixels, readable = split.frames.read(rows, *self._size)
            good = torch.from_numpy(np.flatnonzero(readable))
            if len(good):
                of = owner[start + good.to(device)]
                features = self.network.eval_features(torch.from_numpy(pixels)[good].to(device))
                sums.index_add_(0, of, features)
                counts.index_add_(0, of, torch.ones(len(of), device=device))
        lost = torch.nonzero(counts == 0).flatten().tolist()
        if lost:
            first = split.frames.name(int(split.offsets[lost[0]]))
            raise DataError(
                f"{split.name}: {len(lost):,} tracklet(s) without a frame that can be read, first {first}; "
                "restore or remove them"
            )
        return (sums / counts[:, None]).cpu()

    @torch.inference_mode()
    def _images(self, given: Images) -> Float[Tensor, "n d"]:
        """Backbone features, a row each."""
        if isinstance(given, str | Path) or not len(given):
            raise ModelError("expected several images: paths, or frames (n, h, w, 3); one is [image]")
        parts = []
        for start in range(0, len(given), _BATCH):
            frames = self._frames(given[start : start + _BATCH]).to(self.network.device)
            parts.append(self.network.eval_features(frames).cpu())
        return torch.cat(parts)

    def _frames(self, given: Images) -> UInt8[Tensor, "n h w 3"]:
        if isinstance(given[0], str | Path):
            paths = [Path(str(path)) for path in given]
            pixels, readable = read_jpegs(paths, *self._size)
            if not readable.all():
                path = paths[int(np.argmin(readable))]
                raise DataError(f"{path}: cannot be read as an image ({explain(path)})")
            return torch.from_numpy(pixels)
        return torch.stack([self._frame(torch.as_tensor(frame)) for frame in given])

    def _frame(self, frame: Tensor) -> UInt8[Tensor, "h w 3"]:
        if frame.dtype != torch.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.numel():
            raise ModelError(
                f"a frame of {frame.dtype} {tuple(frame.shape)}: expected uint8 (height, width, 3) in RGB"
            )
        return resize(frame.permute(2, 0, 1), *self._size).permute(1, 2, 0)

    @property
    def _size(self) -> tuple[int, int]:
        return self.config.data.height, self.config.data.width


def _are_vectors(given: object) -> bool:
    return isinstance(given, np.ndarray) and given.ndim == 2


def device_named(name: str) -> torch.device:
    """cpu, cuda, cuda:1, …; auto = cuda where there is one. Raises ModelError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # which `meta`, a device without numbers, does not have
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"--device {name}: not on this machine ({str(error).splitlines()[0]})") from None
    return device


def _for_use(config: Config) -> Config:
    """With random weights to be replaced, no head, and nothing that only training needs."""
    changes = {"model.weights": "none", "model.head": "none", "train.compile": False}
    return config.replace(**changes, **{"train.precision": "fp32"})


def _second_line(error: Exception) -> str:
    """What torch says behind "Error(s) in loading state_dict for …"."""
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[min(1, len(lines) - 1)][:200]
