"""How a class grew, as a drawing: its tracklets on the left, merge steps from left to right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from analysis.page.frame import render
from analysis.people.history import Branch, commonest
from dcreid.data.tracklets import Ints

_LINE, _TEXT, _STEP, _TOP = (
    16,
    236,
    34,
    20,
)  # pixels: of a leaf, for its name, of a merge step, above the first
_LONGEST = 36  # characters of a name


@dataclass(frozen=True)
class _Placed:
    x: float
    y: float


def tree(grown: Branch, step: int, name: Callable[[Branch], str], identities: Ints | None) -> Markup:
    """A class after merge step `step` as a tree; where identities are known a merge is right or wrong.

    name: what a leaf is called. A merge is right if the commonest person of all its parts is the same.
    """
    leaves: list[str] = []
    lines: list[dict[str, object]] = []
    begin = _first_step(grown)
    across = {at: _TEXT + _STEP * (at - begin) for at in range(begin, step + 1)}

    def place(branch: Branch) -> _Placed:
        if not branch.parts:
            leaves.append(name(branch))
            return _Placed(across[begin], _TOP + _LINE * (len(leaves) - 0.5))
        parts = [place(part) for part in branch.parts]
        x, kind = across[branch.step], _kind(branch, identities)
        low, high = min(part.y for part in parts), max(part.y for part in parts)
        paths = [f"M{part.x:g} {part.y:g}H{x:g}" for part in parts] + [f"M{x:g} {low:g}V{high:g}"]
        said = (
            f"merge step {branch.step}: "
            f"{' + '.join(str(len(part.members)) for part in branch.parts)} tracklets"
        )
        lines.append({"path": "".join(paths), "kind": kind, "said": f"{said}{_WORDS[kind]}"})
        return _Placed(x, (low + high) / 2)

    root = place(grown)
    lines.append(
        {
            "path": f"M{root.x:g} {root.y:g}H{across[step] + 8:g}",
            "kind": "",
            "said": f"class after step {step}",
        }
    )
    names = [(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…", text) for text in leaves]
    return render(
        "people-tree.html",
        width=across[step] + 24,
        height=_TOP + _LINE * len(leaves) + 4,
        leaves=[(_TOP + _LINE * (i + 0.5) + 4, *both) for i, both in enumerate(names)],
        lines=lines,
        axis=[(x, str(at)) for at, x in across.items() if at],
        left=_TEXT - 6,
    )


_WORDS = {"": "", "right": ", the same person", "wrong": ", several persons"}


def _kind(branch: Branch, identities: Ints | None) -> str:
    if identities is None:
        return ""
    persons = {commonest(identities[part.members]) for part in branch.parts}
    return "right" if len(persons) == 1 else "wrong"


def _first_step(branch: Branch) -> int:
    """The step that the tree begins with: that of its leaves."""
    return branch.step if not branch.parts else _first_step(branch.parts[0])
