"""Faults in `dcreid/clustering` and `dcreid/evaluation`. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

CLUSTERING: list[Mutant] = [
    *of(
        "criterion",
        "dcreid/clustering/merging.py",
        "tests/dcreid/test_algorithm.py::test_merges_by_every_option_are_the_references",
        (
            "Eq (3) always as printed",
            "(merge.lambda1, merge.lambda2, merge.intra)",
            '(merge.lambda1, merge.lambda2, "samples")',
        ),
        (
            "sizes have no part in a merge",
            "(merge.lambda1, merge.lambda2, merge.intra)",
            "(merge.lambda1, 0.0, merge.intra)",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/dispersion.py",
        "tests/dcreid/clustering/test_dispersion.py tests/dcreid/clustering/test_criterion.py",
        (
            "the two readings of Eq (3) exchanged",
            'sizes if intra == "samples" else sizes.square()',
            'sizes if intra == "pairs" else sizes.square()',
        ),
        (
            "single tracklets in any order taken as sorted",
            "bool((index.diff() > 0).all())",
            "bool((index.diff() != 0).all())",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/distances.py",
        "tests/dcreid/test_algorithm.py::test_merges_by_every_option_are_the_references",
        (
            "distances never squared",
            'return pairwise_distances(features, squared=merge.distance == "squared")',
            "return pairwise_distances(features, squared=False)",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/distances.py",
        "tests/dcreid/clustering/test_distances.py",
        ("half of the product in Eq (4)'s distances", "alpha=-2.0)", "alpha=-1.0)"),
        (
            "norms of the first rows in every block",
            "norms[None, start:], out=rows",
            "norms[None, : n - start], out=rows",
        ),
    ),
    *of(
        "criterion",
        "dcreid/clustering/criterion.py",
        "tests/dcreid/clustering/test_criterion.py",
        (
            "lambda1 and lambda2 exchanged",
            "return lambda1 * dispersion + lambda2 * count",
            "return lambda2 * dispersion + lambda1 * count",
        ),
        (
            "dispersion of one of two classes",
            "between.add_(p_a[:, None]).add_(p_b)",
            "between.add_(p_a[:, None]).add_(p_a[:, None])",
        ),
        (
            "sums of distances over one class's size",
            "between.div_(n_a[:, None]).div_(n_b)",
            "between.div_(n_a[:, None])",
        ),
        (
            "the penalties stay in the recorded distance",
            "total - self.lambda1 * intra - self.lambda2 * size",
            "total - self.lambda1 * intra",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/kruskal.py",
        "tests/dcreid/clustering/test_kruskal.py",
        (
            "ties go by the second class",
            "np.lexsort((self.b, self.a, self.cost))",
            "np.lexsort((self.a, self.b, self.cost))",
        ),
        (
            "any m edges of the forest",
            "np.sort(forest.data.astype(np.int64))[:m]",
            "forest.data.astype(np.int64)[:m]",
        ),
        ("the lower triangle is read", "upper = a < b", "upper = a > b"),
    ),
    *of(
        "merging",
        "dcreid/clustering/merging.py",
        "tests/dcreid/clustering/test_merging.py",
        (
            "one join fewer than asked for",
            "_joins(features, labels.to(features.device), merge, m, on_join)",
            "_joins(features, labels.to(features.device), merge, max(0, m - 1), on_join)",
        ),
        ("classes are numbered as SciPy finds them", "rank[start.argsort()] =", "rank[:] ="),
        (
            "the matrix is made whatever is free",
            "> _SHARE * free_bytes(device)",
            "> 1e30 * free_bytes(device)",
        ),
        (
            "blocks where the matrix fits",
            "matrix_bytes(n, c, number) > _SHARE",
            "matrix_bytes(n, c, number) <= _SHARE",
        ),
        ("all of the free memory for the matrix", "_SHARE = 0.5", "_SHARE = 1.0"),
        ("only the distances are counted", "(n * n + c * n + c * c)", "(n * n)"),
        (
            "joins in blocks are not reported",
            "*weights, squared=squared, on_join=on_join)",
            "*weights, squared=squared, on_join=None)",
        ),
        (
            "classes made anew begin with those before",
            "labels, m, on_join = torch.arange(n, device=labels.device), n - (c - m), None",
            "m, on_join = m, None",
        ),
        (
            "classes made anew are as many as before",
            "torch.arange(n, device=labels.device), n - (c - m), None",
            "torch.arange(n, device=labels.device), n - c, None",
        ),
        (
            "joins of classes made anew are reported",
            "torch.arange(n, device=labels.device), n - (c - m), None",
            "torch.arange(n, device=labels.device), n - (c - m), on_join",
        ),
        (
            "stars chain",
            'stars if merge.method == "star" else',
            'spanning_forest if merge.method == "star" else',
        ),
        (
            "a star's classes are as far apart as their nearest two",
            "merge.linkage, on_join, choose)",
            '"nearest", on_join, choose)',
        ),
        (
            "exact joins are by averages",
            "return exact_joins(distances, labels, m, *weights, merge.linkage, on_join)",
            'return exact_joins(distances, labels, m, *weights, "average", on_join)',
        ),
        (
            "nearest pairs are merged in blocks of averages",
            '(merge.method, merge.linkage) == ("once", "average")',
            'merge.method == "once"',
        ),
        ("a merge without room is tried", "if needed > free:", "if needed > 1e30 * free:"),
        (
            "the CPU's memory is not asked for",
            'on_cpu = merge.method in ("exact", "anew") or merge.distance == "jaccard"',
            'on_cpu = merge.distance == "jaccard"',
        ),
    ),
    *of(
        "merging",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm.py::test_a_merge_without_room_is_refused_before_anything_is_trained",
        (
            "a run begins whatever room its merges need",
            "check_memory(config.merge, self.device, len(self.store))",
            "check_memory(config.merge, self.device, 0)",
        ),
    ),
    *of(
        "merging",
        "study/record/trial_tables.py",
        "tests/analysis/stats/test_joins.py::test_classes_made_anew_have_no_joins",
        ("a table of no joins is written", "if len(table):", "if len(table) >= 0:"),
    ),
    *of(
        "merging",
        "analysis/stats/joins.py",
        "tests/analysis/stats/test_joins.py::test_classes_made_anew_have_no_joins "
        "tests/analysis/figures/test_joins.py::test_classes_made_anew_have_no_joins_to_draw",
        (
            "joins of classes made anew were lost",
            'run.config.merge.method == "anew" for run in runs',
            'run.config.merge.method == "star" for run in runs',
        ),
    ),
    *of(
        "merging",
        "analysis/figures/joins.py",
        "tests/analysis/figures/test_joins.py::test_classes_made_anew_have_no_joins_to_draw",
        ("no joins look like no identities", "if joins.empty:", "if joins is None:"),
    ),
    *of(
        "merging",
        "dcreid/clustering/star.py",
        "tests/dcreid/clustering/test_star.py tests/dcreid/clustering/test_public_merging.py",
        ("the earlier class is absorbed", "absorbed[edges.b[edge]] = True", "absorbed[edges.a[edge]] = True"),
        (
            "what was absorbed absorbs",
            "if not (absorbed[edges.a[edge]] or absorbed[edges.b[edge]]):",
            "if not absorbed[edges.b[edge]]:",
        ),
        (
            "what was absorbed is absorbed again",
            "if not (absorbed[edges.a[edge]] or absorbed[edges.b[edge]]):",
            "if not absorbed[edges.a[edge]]:",
        ),
        ("stars in the wrong order", "edges.at(np.array(joins))", "edges.at(np.array(joins[::-1]))"),
        ("stars in any order", "order = edges.order()", "order = np.arange(len(edges.a))"),
    ),
    *of(
        "merging",
        "dcreid/clustering/dispersion.py",
        "tests/dcreid/clustering/test_dispersion.py tests/dcreid/clustering/test_public_merging.py",
        (
            "the farthest two of a class and a tracklet",
            'by_row.scatter_reduce_(0, index[:, None].expand(n, n), distances, "amin")',
            'by_row.scatter_reduce_(0, index[:, None].expand(n, n), distances, "amax")',
        ),
        (
            "distances to other classes counted inside",
            "rows.where(own[:, None] == index, 0.0).sum(dim=1)",
            "rows.where(own[:, None] >= index, 0.0).sum(dim=1)",
        ),
        (
            "smallest distances divided by the sizes",
            "ClassDistances(minima, torch.ones_like(within), within, sizes)",
            "ClassDistances(minima, sizes.to(within.dtype), within, sizes)",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/free_memory.py",
        "tests/dcreid/clustering/test_free_memory.py",
        (
            "a cgroup's limit without what is used",
            "yield _number(folder / limit) - used if",
            "yield _number(folder / limit) if",
        ),
        (
            "kibibytes taken for bytes",
            '.get("MemAvailable:", math.inf) * 1024',
            '.get("MemAvailable:", math.inf)',
        ),
        (
            "what PyTorch keeps is not free",
            "torch.cuda.mem_get_info(device)[0] + kept",
            "torch.cuda.mem_get_info(device)[0]",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/agglomeration.py",
        "tests/dcreid/clustering/test_agglomeration.py::"
        "test_the_joins_are_those_of_the_loop_that_recomputes_everything "
        "tests/dcreid/clustering/test_agglomeration.py::"
        "test_a_joined_class_can_come_closer_and_wins_ties_by_its_place "
        "tests/dcreid/clustering/test_agglomeration.py::test_most_classes_joined_one_after_the_other "
        "tests/dcreid/clustering/test_agglomeration.py::"
        "test_ties_of_nearest_pairs_go_by_smaller_a_then_smaller_b_to_the_end "
        "tests/dcreid/clustering/test_agglomeration.py::test_distances_need_not_be_euclidean",
        (
            "a joined class counts its halves only",
            "self.within[a] = (self.within[a] + of_b[a]) + (of_a[b] + self.within[b])",
            "self.within[a] = self.within[a] + self.within[b]",
        ),
        (
            "a joined class of nearest pairs counts its halves only",
            "self.within[a] += self.within[b] + 2 * self.distances[np.ix_(few, many)].sum()",
            "self.within[a] += self.within[b]",
        ),
        (
            "pairs of a joined class counted once",
            "self.within[a] += self.within[b] + 2 * self.distances",
            "self.within[a] += self.within[b] + self.distances",
        ),
        (
            "a joined class forgets its members",
            "self.members[a] = np.concatenate([few, many])",
            "self.members[a] = many",
        ),
        (
            "a joined class is as near as its first half",
            "np.minimum(of_a, of_b, out=of_a)",
            "np.minimum(of_a, of_a, out=of_a)",
        ),
        (
            "a joined class keeps its old penalty",
            "self.penalty[a] = self.lambda1 * self._dispersion(a) + self.lambda2 * self.sizes[a]",
            "self.penalty[a] += 0.0",
        ),
        (
            "a joined class's sums are divided by its old size",
            'self.divisor[a] = self.sizes[a] if self.linkage == "average" else 1.0',
            "self.divisor[a] += 0.0",
        ),
        (
            "a tie with a joined class goes by age",
            "| ((cost == lowest) & (was_theirs | (a < nearest)))",
            "| ((cost == lowest) & was_theirs)",
        ),
        (
            "rows near the joined class keep it",
            "lost[(lost == a) | (lost == b)] = _UNKNOWN",
            "lost[lost == b] = _UNKNOWN",
        ),
        (
            "rows near a class that is gone keep it",
            "lost[(lost == a) | (lost == b)] = _UNKNOWN",
            "lost[lost == a] = _UNKNOWN",
        ),
        (
            "only the rows above a look for another",
            "lost = self.nearest[:b]",
            "lost = self.nearest[:a]",
        ),
    ),
    *of(
        "merging",
        "dcreid/clustering/blocked.py",
        "tests/dcreid/clustering/test_blocked.py",
        ("pairs inside a class counted once", "inside = 2.0 * (", "inside = 1.0 * ("),
        ("nothing heavier than the first join", "float(joins.cost[-1])", "float(joins.cost[0])"),
        (
            "terms of the record exchanged in blocks",
            "PairTerms(self.classes.pair_sum(a, b) / n_a / n_b, d_a + d_b, n_a + n_b)",
            "PairTerms(d_a + d_b, self.classes.pair_sum(a, b) / n_a / n_b, n_a + n_b)",
            "tests/dcreid/clustering/test_merging.py::"
            "test_blocks_report_the_joins_of_the_matrix_with_the_terms_of_the_pair",
        ),
        (
            "a large class's distances by its first block alone",
            "for start in range(low, high, _ROWS)",
            "for start in range(low, min(high, low + _ROWS), _ROWS)",
            "tests/dcreid/clustering/test_merging.py::"
            "test_blocks_report_the_joins_of_the_matrix_with_the_terms_of_the_pair",
        ),
    ),
    *of(
        "merging",
        "dcreid/evaluation/joins.py",
        "tests/dcreid/evaluation/test_joins.py",
        (
            "the joined class is lost on the record",
            'if self._merge.method == "exact":',
            'if self._merge.method == "once":',
        ),
        (
            "what a star has absorbed is open to joins",
            "np.where(open_to & ~self._closed, cost, np.inf)",
            "np.where(open_to, cost, np.inf)",
        ),
        (
            "what has been joined once is closed",
            'self._closed[b] = self._merge.method != "once"',
            "self._closed[b] = True",
        ),
        (
            "the record weighs sizes by the other weight",
            "self._merge.lambda2 * terms.size",
            "self._merge.lambda1 * terms.size",
        ),
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
    *of(
        "number of classes",
        "analysis/classes.py",
        "tests/analysis/test_classes.py",
        (
            "the nearest number by difference",
            "abs(math.log(count / wanted))",
            "abs(count - wanted)",
        ),
        ("the latest of equals, selected or not", "step != trial.selected_step, -step)", "-step)"),
        ("the untrained network has classes", "if step > 0}", "if step >= 0}"),
    ),
    *of(
        "number of classes",
        "dcreid/evaluation/class_counts.py",
        "tests/dcreid/evaluation/test_class_counts.py",
        (
            "the proposal is the larger choice",
            "round(math.sqrt(math.prod(self.interval)))",
            "max(self.interval)",
        ),
        ("the most stable, not the fewest", "[self._stable.argmax()]", "[self.stability.argmax()]"),
        ("twice the level", "(1 - _LEVEL) *", "(1 - 2 * _LEVEL) *"),
        (
            "a stable silhouette decides nothing",
            "int(self.classes[best]) if self._stable[best]",
            "int(self.classes[best]) if self._stable.all()",
        ),
        ("the worst silhouette", "best = self.silhouette.argmax()", "best = self.silhouette.argmin()"),
        (
            "cameras are never normalised",
            "camera_normalised(v, cameras)\n        distances",
            "v\n        distances",
        ),
        ("nearest neighbours for classes", 'checks=False), "average")', 'checks=False), "single")'),
        ("stability of all frames and a half", "whole, one, other = cuts", "one, whole, other = cuts"),
        ("a tracklet is near itself", "np.maximum(own - 1, 1)", "own"),
        (
            "the farthest class is next",
            "outer = means.min(axis=1)",
            "outer = np.where(np.isinf(means), 0.0, means).max(axis=1)",
        ),
        ("classes of one are far from all", "np.where(own > 1, worth, 0.0)", "np.where(own > 0, worth, 0.0)"),
        ("exclusivity of a half", "for labels in whole.T]", "for labels in one.T]"),
    ),
]
