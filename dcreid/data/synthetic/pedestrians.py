"""Who walks through the embedded data set: people described by seven traits.

A trait is one whole number per person, so that "differs in exactly one trait" has a plain meaning.
Notation: n people, 7 traits; colours are RGB in [0, 1] as seen in white light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

F32 = Float32[np.ndarray, "..."]  # any shape; docstrings give it
Ints = NDArray[np.int64]


def _palette(colours: str) -> F32:
    """RGB in [0, 1] (colours, 3) from hex codes."""
    return np.array([list(bytes.fromhex(colour)) for colour in colours.split()], dtype=np.float32) / 255


# Many dark and grey clothes: on streets they are the rule, and telling them apart is the hard part.
_UPPER: Final = _palette(
    "1d1e22 26282f 3a3c42 55585e 868a90 c9c7c2 e9e7e2 1f2a4a 2f4f8f 6d9bc8 "
    "8c1c24 b8453c c98f4a cdbb62 2f5b3a 7fa35a 5a3a2a a98a68 6a3f7a d995a8"
)
_LOWER: Final = _palette(
    "17181c 24262c 3c3e44 6b6e73 1e2a48 3a5580 7d9cc0 b8a98a 5a4634 dcd8d0 4b5238 7a2a30"
)
_ACCENT: Final = _palette("f0efea 16171a a83a34 31508c d0b050 467a50 9aa0a6 c5804a")
_HAIR: Final = _palette("14110f 2a1c14 54371f a07c4a 8f8d8a")
_SKIN: Final = _palette("f0c8a8 dba57e b07a52 6f4a33")
_BAG: Final = _palette("1a1b1e 6a4a30 9b2226 27406e c8b48a")
_SHOES: Final = _palette("18181a e8e6e0 7a4f32")

HEIGHTS: Final = (0.92, 1.0, 1.07)  # relative to the camera's usual height of a person
BREADTHS: Final = (0.88, 1.0, 1.2)
PLAIN, STRIPES, PINSTRIPES, CHECKS, HALVES, YOKE, BAND, OPEN_JACKET, LOGO = range(9)
TROUSERS, SHORTS, SKIRT = range(3)
CROPPED, BOB, LONG = range(3)
NO_BAG, BACKPACK, SHOULDER_BAG, TOTE = range(4)

TRAITS: Final = {  # trait: how many values it takes
    "build": len(HEIGHTS) * len(BREADTHS),
    "upper": len(_UPPER),
    "lower": len(_LOWER),
    "pattern": 1 + LOGO * len(_ACCENT),  # 0 is plain, whatever the accent
    "cut": 3 * 2 * 3 * len(_SHOES),  # garment, sleeves, length (one in three long), shoes
    "hair": 3 * len(_HAIR) * len(_SKIN),
    "bag": 1 + TOTE * len(_BAG),  # 0 is none
}
_PLAIN_SHARE, _NO_BAG_SHARE, _TROUSERS_SHARE = 0.35, 0.45, 0.7

# What is painted in one colour, front to back within a figure; FAR = limbs on the side away from us.
UPPER, ACCENT, LOWER, SKIN, HAIR, BAG, SHOES, FAR_UPPER, FAR_LOWER, FAR_SKIN, SHADOW = range(11)
_FAR_SHADE = 0.78


@dataclass(frozen=True)
class People:
    """n people: their traits, and what the renderer reads off them."""

    traits: Ints  # (n, 7)
    height: F32  # (n,)
    breadth: F32  # (n,)
    pattern: Ints  # (n,) PLAIN … LOGO
    garment: Ints  # (n,) TROUSERS, SHORTS, SKIRT
    long_sleeves: NDArray[np.bool_]  # (n,)
    long_coat: NDArray[np.bool_]  # (n,)
    hairstyle: Ints  # (n,) CROPPED, BOB, LONG
    bag: Ints  # (n,) NO_BAG … TOTE
    colours: F32  # (n, 11, 3) by UPPER … SHADOW

    def __len__(self) -> int:
        return len(self.traits)


def draw_people(n: int, lookalikes: float, rng: np.random.Generator, taken: Ints | None = None) -> People:
    """n people, no two alike in all traits nor like one of `taken` (m, 7).

    round(lookalikes · n / 2) pairs of them differ in exactly one trait.
    """
    traits = _draw_traits(n, rng)
    pairs = rng.permutation(n)[: 2 * round(lookalikes * n / 2 - 1e-9)].reshape(-1, 2)
    copies = np.full(n, -1)
    copies[pairs[:, 1]] = pairs[:, 0]
    seen = set() if taken is None else {tuple(row) for row in taken.tolist()}
    for person in np.argsort(copies >= 0, kind="stable"):  # originals first
        original = copies[person]
        while True:
            if original >= 0:
                traits[person] = _change_one(traits[original], rng)
            if tuple(traits[person].tolist()) not in seen:
                break
            traits[person] = _draw_traits(1, rng)[0]
        seen.add(tuple(traits[person].tolist()))
    return dress(traits)


def _draw_traits(n: int, rng: np.random.Generator) -> Ints:
    traits = rng.integers(0, list(TRAITS.values()), size=(n, len(TRAITS)))
    names = list(TRAITS)
    traits[rng.random(n) < _PLAIN_SHARE, names.index("pattern")] = 0
    traits[rng.random(n) < _NO_BAG_SHARE, names.index("bag")] = 0
    traits[rng.random(n) < _TROUSERS_SHARE, names.index("cut")] %= TRAITS["cut"] // 3
    return traits


def _change_one(traits: Ints, rng: np.random.Generator) -> Ints:
    changed, column = traits.copy(), rng.integers(len(TRAITS))
    values = list(TRAITS.values())[column]
    changed[column] = (traits[column] + rng.integers(1, values)) % values
    return changed


def dress(traits: Ints) -> People:
    """People (n) from their traits (n, 7), in the order of TRAITS."""
    build, upper, lower, pattern, cut, hair, bag = traits.T
    garment, rest = np.divmod(cut, TRAITS["cut"] // 3)
    sleeves, rest = np.divmod(rest, 3 * len(_SHOES))
    length, shoes = np.divmod(rest, len(_SHOES))
    style, rest = np.divmod(hair, len(_HAIR) * len(_SKIN))
    hair_colour, skin = np.divmod(rest, len(_SKIN))
    accent = (pattern - 1) % len(_ACCENT)
    colours = np.zeros((len(traits), SHADOW + 1, 3), dtype=np.float32)
    for group, palette, chosen in (
        (UPPER, _UPPER, upper),
        (ACCENT, _ACCENT, accent),
        (LOWER, _LOWER, lower),
        (SKIN, _SKIN, skin),
        (HAIR, _HAIR, hair_colour),
        (BAG, _BAG, (bag - 1) % len(_BAG)),
        (SHOES, _SHOES, shoes),
    ):
        colours[:, group] = palette[chosen]
    far, near = [FAR_UPPER, FAR_LOWER, FAR_SKIN], [UPPER, LOWER, SKIN]
    colours[:, far] = colours[:, near] * np.float32(_FAR_SHADE)
    return People(
        traits=traits,
        height=np.array(HEIGHTS, dtype=np.float32)[build // len(BREADTHS)],
        breadth=np.array(BREADTHS, dtype=np.float32)[build % len(BREADTHS)],
        pattern=np.where(pattern == 0, PLAIN, 1 + (pattern - 1) // len(_ACCENT)),
        garment=garment,
        long_sleeves=sleeves == 0,
        long_coat=length == 2,
        hairstyle=style,
        bag=np.where(bag == 0, NO_BAG, 1 + (bag - 1) // len(_BAG)),
        colours=colours,
    )
