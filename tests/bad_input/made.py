"""Files that bad inputs are about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Make: TypeAlias = Callable[[Path], object]
_OLD = Path(__file__).resolve().parents[1] / "study" / "record" / "schema1"


def file(name: str, content: str | bytes) -> Make:
    """A file, and the folders above it."""

    def make(here: Path) -> None:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def folder(name: str) -> Make:
    """An empty folder."""
    return lambda here: (here / name).mkdir(parents=True)


def both(*makes: Make) -> Make:
    """One after another."""
    return lambda here: [make(here) for make in makes]


def study(here: Path) -> Path:
    """The study `s` in `studies/`: five finished trials on the synthetic data."""
    made = here / "studies" / "s"
    made.mkdir(parents=True)
    for name in ("study.json", "ledger.jsonl", "optuna.journal"):
        shutil.copy(_OLD / name, made / name)
    return made


def described(change: Callable[[dict[str, Any]], object]) -> Make:
    """The study `s` after its `study.json` has been changed by hand."""

    def make(here: Path) -> None:
        path = study(here) / "study.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return make


# --- weights


class Harmful:
    """Unpickling it makes the file `harmed`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def saved(content: object) -> Make:
    """What torch.save makes of an object, in `w.pt`."""

    def make(here: Path) -> None:
        import torch  # here: most cases need none

        torch.save(content, here / "w.pt")

    return make


def weights(change: Callable[[Any], Any]) -> Make:
    """Weights of the embedded data's network in `w.pt`, the first tensor changed."""

    def make(here: Path) -> None:
        import torchvision

        state = torchvision.models.shufflenet_v2_x0_5().state_dict()
        saved(state | {"conv1.0.weight": change(state["conv1.0.weight"])})(here)

    return make
