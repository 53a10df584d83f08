"""Faults in `dcreid/clustering` and `dcreid/evaluation`. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

CLUSTERING: list[Mutant] = [
    *of(
        "criterion",
        "dcreid/evaluation/joins.py",
        "tests/dcreid/test_algorithm.py::test_merges_by_every_option_are_the_references",
        (
            "Eq (3) always as printed",
            "merging.lambda1, merging.lambda2, merging.intra)",
            'merging.lambda1, merging.lambda2, "samples")',
        ),
        (
            "sizes have no part in a merge",
            "merging.lambda1, merging.lambda2, merging.intra)",
            "merging.lambda1, 0.0, merging.intra)",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/dispersion.py",
        "tests/dcreid/clustering/test_dispersion.py tests/dcreid/clustering/test_merging.py",
        (
            "the two readings of Eq (3) exchanged",
            'sizes if intra == "samples" else sizes.square()',
            'sizes if intra == "pairs" else sizes.square()',
        ),
        ("half of the product in Eq (4)'s distances", "alpha=-2.0)", "alpha=-1.0)"),
        (
            "norms of the first rows in every block",
            "norms[None, start:], out=rows",
            "norms[None, : n - start], out=rows",
        ),
        (
            "single tracklets in any order taken as sorted",
            "bool((index.diff() > 0).all())",
            "bool((index.diff() != 0).all())",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/merging.py",
        "tests/dcreid/clustering/test_merging.py",
        (
            "lambda1 and lambda2 exchanged",
            "penalty = lambda1 * dispersion + lambda2 * count",
            "penalty = lambda2 * dispersion + lambda1 * count",
        ),
        (
            "dispersion of one of two classes",
            "rows.add_(penalty_a[:, None]).add_(penalty)",
            "rows.add_(penalty_a[:, None]).add_(penalty_a[:, None])",
        ),
        (
            "sums of distances over one class's size",
            "rows.div_(n_a[:, None]).div_(count)",
            "rows.div_(n_a[:, None])",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/merging.py",
        "tests/dcreid/clustering/test_merging.py",
        (
            "ties go by the second class",
            "np.lexsort((second, first, weight))",
            "np.lexsort((first, second, weight))",
        ),
        (
            "any m edges of the forest",
            "np.sort(forest.data.astype(np.int64))[:m]",
            "forest.data.astype(np.int64)[:m]",
        ),
        ("the lower triangle is read", "upper = first < second", "upper = first > second"),
    ),
    *of(
        "merging",
        "dcreid/clustering/agglomeration.py",
        "tests/dcreid/clustering/test_merging.py::test_merge_exact_is_the_loop_that_recomputes_everything "
        "tests/dcreid/clustering/test_merging.py::test_a_joined_class_can_come_closer_and_wins_ties_by_its_place",
        (
            "a joined class counts its halves only",
            "self.sums[a, a] += self.sums[a, b]",
            "self.sums[a, a] += 0.0",
        ),
        (
            "a joined class keeps its old penalty",
            "self.penalty[a] = self._penalty(a)",
            "self.penalty[a] += 0.0",
        ),
        (
            "a tie with a joined class goes by age",
            "| ((cost == self.lowest[:a]) & (a < self.nearest[:a]))",
            "",
        ),
        (
            "rows near the joined class are not scanned",
            "(self.nearest == a) | (self.nearest == b)",
            "self.nearest == b",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/blocked.py",
        "tests/dcreid/clustering/test_blocked.py",
        ("pairs inside a class counted once", "inside = 2.0 * (", "inside = 1.0 * ("),
        ("nothing heavier than the first join", "float(weight[kept[-1]])", "float(weight[kept[0]])"),
    ),
    *of(
        "metrics",
        "dcreid/evaluation/retrieval.py",
        "tests/dcreid/evaluation/test_retrieval.py",
        (
            "everybody of the query's camera is ignored",
            "ignored = (same & same_camera) |",
            "ignored = same_camera |",
        ),
        ("junk takes ranks", "| (g_ids == JUNK)[None, :]", "| (g_ids == JUNK - 1)[None, :]"),
        ("distractors are right for one another", "(q_ids > 0)[:, None]", "(q_ids >= 0)[:, None]"),
        (
            "equal distances rank as if the positive came first",
            "equal & (position < column[some, None])",
            "equal & (position < 0 * column[some, None])",
        ),
        ("precision above the first match is 0", "torch.ones_like(r))", "torch.zeros_like(r))"),
        (
            "mean over positives, not over queries",
            "sums[measured] / positives[measured]",
            "sums[measured] / positives[measured].double().mean()",
        ),
    ),
    *of(
        "metrics",
        "dcreid/evaluation/partitions.py",
        "tests/dcreid/evaluation/test_partitions.py::test_clustering_quality_is_the_loops",
        (
            "purity of persons, not of classes",
            "np.maximum.at(commonest, cell // len(b), both)",
            "np.maximum.at(commonest, cell % len(a), both)",
        ),
        (
            "Rand index not adjusted",
            "expected = in_class * in_person / total if total else 0.0",
            "expected = 0.0",
        ),
    ),
]
