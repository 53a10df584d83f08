"""The data sets: what a study hands to the algorithm, whichever files it comes from."""

from __future__ import annotations

from pathlib import Path

from dcreid.config import DataConfig
from dcreid.data.halves import HALVES, on_half
from dcreid.data.readers.duke import load_duke
from dcreid.data.readers.folder import load_folder
from dcreid.data.readers.layout import check_layout
from dcreid.data.readers.mars import load_mars
from dcreid.data.readers.walk import check_root
from dcreid.data.tracklets import DataError, Split, TrackletDataset

__all__ = ["DataError", "Split", "TrackletDataset", "load_dataset"]

_READERS = {"mars": load_mars, "duke": load_duke, "folder": load_folder}


def load_dataset(config: DataConfig, root: Path | None) -> TrackletDataset:
    """The configured data set, split and gallery; frames stay on disk until they are read.

    root: the folder that holds it; the embedded data set needs none. Raises DataError, naming file
    or folder and what to do about it, for whatever cannot be used.
    """
    if config.dataset == "synthetic":
        from dcreid.data.synthetic.dataset import load_synthetic

        data = load_synthetic(config.synthetic)
    else:
        data = _read(config.dataset, root)
    if config.split in HALVES:
        data = on_half(data, config.split)
    return data.with_gallery(config.gallery)


def _read(dataset: str, root: Path | None) -> TrackletDataset:
    if root is None:
        raise DataError(f"data set {dataset}: needs the folder that holds it: --data-root FOLDER")
    root = root.expanduser()
    check_root(root)
    check_layout(root, dataset)
    return _READERS[dataset](root)
