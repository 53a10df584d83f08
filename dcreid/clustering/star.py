"""Method `star`: the m joins of one D as DBC's code makes them.

Pairs are taken in ascending D, ties by (smaller a, smaller b). A pair is passed over if either class has
been absorbed; else a absorbs b, keeps its distances as they were, and may absorb more. So no join goes
through a class that was absorbed, as those of `once` may. A class that has absorbed others can still be
absorbed, by one before it, and takes them along.
"""

from __future__ import annotations

import numpy as np

from dcreid.clustering.kruskal import Edges

_AT_ONCE = 4096  # edges, of which those of absorbed classes are left out before the rest is walked


def stars(edges: Edges, c: int, m: int) -> Edges:
    """The first m joins, in order (fewer if `edges` do not hold m)."""
    order = edges.order()
    absorbed = np.zeros(c, dtype=np.bool_)
    joins: list[int] = []
    for start in range(0, len(order), _AT_ONCE):
        some = order[start : start + _AT_ONCE]
        for edge in some[~(absorbed[edges.a[some]] | absorbed[edges.b[some]])].tolist():
            if not (absorbed[edges.a[edge]] or absorbed[edges.b[edge]]):
                absorbed[edges.b[edge]] = True
                joins.append(edge)
                if len(joins) == m:
                    return edges.at(np.array(joins))
    return edges.at(np.array(joins, dtype=np.int64))
