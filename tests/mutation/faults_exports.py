"""Faults in exact search and in exported networks. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

EXPORTS: list[Mutant] = [
    *of(
        "exact search",
        "dcreid/nearest.py",
        "tests/dcreid/test_nearest.py",
        ("rows counted within their block", "query, found, row + start)", "query, found, row)"),
        ("the rounding of products decides", "4 * (block.shape[1] + 2) * _UNIT *", "0 * _UNIT *"),
        (
            "differences in float32",
            "queries[some].double() - block[others].double()",
            "queries[some] - block[others]",
        ),
        (
            "the limit is a distance, not its square",
            "distances[part, -1].square(), slack",
            "distances[part, -1], slack",
        ),
        ("the limit is of the nearest one", "distances[part, -1].square()", "distances[part, 0].square()"),
        (
            "ties in any order",
            "order = distance.argsort(stable=True)",
            "order = distance.argsort(stable=True).flip(0)",
        ),
        (
            "what is found replaces what is known",
            "distance[kept], index[kept]",
            "distance[kept], index[kept].flip(1)",
        ),
        (
            "NaN in the gallery is searched",
            'block_norms = _norms(block, "gallery")',
            "block_norms = block.square().sum(dim=1)",
        ),
        (
            "the first queries are compared again",
            "queries[part], block, squared=True",
            "queries[:len(norms[part])], block, squared=True",
        ),
    ),
]
