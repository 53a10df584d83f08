"""Faults in what acts per camera. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

CAMERAS: list[Mutant] = [
    *of(
        "cameras",
        "dcreid/data/readers/folder.py",
        "tests/dcreid/data/readers/test_folder.py",
        ("camera 0 counts as unknown", "known = cameras != _NONE", "known = cameras > _UNKNOWN_CAMERA"),
    ),
    *of(
        "cameras",
        "dcreid/data/tracklets.py",
        "tests/dcreid/data/test_cameras.py",
        (
            "one known camera is enough",
            "return not self.unknown_cameras",
            "return self.unknown_cameras < len(self)",
        ),
    ),
    *of(
        "cameras",
        "dcreid/algorithm.py",
        "tests/dcreid/data/test_cameras.py",
        ("made-up cameras are used", "if data.train.cameras_known:", "if len(data.train.cameras):"),
        ("cameras in the order on disk", "data.train.cameras[self.order])", "data.train.cameras)"),
        ("a run does not say what is off", "*switched_off(acting_per_camera(config), data),", ""),
    ),
    *of(
        "cameras",
        "study/record/ledger.py",
        "tests/study/show/test_view.py",
        ("what a run found wrong with the data is not shown", "[*self.notes, *found]", "self.notes"),
    ),
    *of(
        "cameras",
        "study/command/effects.py",
        "tests/study/command/test_effects.py",
        (
            "what a search tries is not told",
            "set(plan.search_space.fields) & set(PER_CAMERA)",
            "set(plan.search_space.fields) - set(PER_CAMERA)",
        ),
    ),
    *of(
        "cameras",
        "dcreid/clustering/cameras.py",
        "tests/dcreid/clustering/test_cameras.py",
        (
            "all cameras alike",
            "rows = torch.nonzero(cameras == camera)",
            "rows = torch.nonzero(cameras > -1)",
        ),
        ("deviations stay", "(own - mean) / deviation, 0.0)", "own - mean, 0.0)"),
        ("rows of any length", "functional.normalize(scaled, dim=1)", "scaled"),
        (
            "a camera with one tracklet is 0",
            "deviation, mean = everyone",
            "deviation, mean = deviation, everyone[1]",
        ),
    ),
    *of(
        "cameras",
        "dcreid/clustering/merging.py",
        "tests/dcreid/clustering/test_cameras.py tests/dcreid/test_algorithm.py",
        (
            "features with their cameras in a merge",
            "if merge.camera_normalise and cameras is not None:",
            "if merge.camera_normalise and cameras is None:",
            "tests/dcreid/test_algorithm.py::test_merges_by_every_option_are_the_references",
        ),
        (
            "cameras are always taken out",
            "if merge.camera_normalise and cameras is not None:",
            "if cameras is not None:",
            "tests/dcreid/test_algorithm.py::test_merges_by_every_option_are_the_references",
        ),
    ),
    *of(
        "jaccard",
        "dcreid/clustering/jaccard.py",
        "tests/dcreid/clustering/test_jaccard.py",
        (
            "a copy before the tracklet itself",
            "np.where(column == start + row, -1.0, rows",
            "np.where(column == start + row, 0.0, rows",
        ),
        (
            "ties in the order of a sort that is not stable",
            "column = column[np.lexsort((nearness, row))]",
            "column = column[np.lexsort((-column, nearness, row))]",
        ),
        ("a tracklet itself in the first rows only", "column == start + row", "column == row"),
        (
            "one tile of every row",
            "for other in range(start, n, _ROWS):",
            "for other in range(start, start + 1, _ROWS):",
        ),
        ("one neighbour fewer", "neighbours[:, : k + 1])", "neighbours[:, :k])"),
        ("neighbours need not be reciprocal", "csr_array(near.multiply(near.T))", "near"),
        ("half of k1 rounded down", "round(k1 / 2)", "k1 // 2"),
        ("half of the overlap is enough", "3 * common.data > 2 *", "2 * common.data > 1 *"),
        ("two thirds are enough", "3 * common.data > 2 *", "3 * common.data >= 2 *"),
        ("overlap as a share of the other set", "halves.sum(axis=1)[", "reciprocal.sum(axis=1)["),
        ("neighbourhoods do not expand", "csr_array(reciprocal + common @ halves)", "reciprocal"),
        (
            "weights of the distance, not its square",
            "np.exp(-squares[at].double()",
            "np.exp(-squares[at].sqrt().double()",
        ),
        ("mean over one row too many", "neighbours[:, :k2])", "neighbours[:, : k2 + 1])"),
        ("mean as if there were always k2 rows", "(nearest / min(k2, n))", "(nearest / k2)"),
        (
            "the larger of two values",
            "np.lexsort((-entries.data, entries.col))",
            "np.lexsort((entries.data, entries.col))",
        ),
        (
            "the highest bit has no node",
            "int(counts.max() - 1).bit_length()",
            "int(counts.max() // 2).bit_length()",
        ),
        ("every pair counts once", "s = upper + lower.T", "s = upper + 0.0 * lower.T"),
        ("shares of one sum", "s.div_(2.0 - s)", "s.div_(1.0 + 0.0 * s)"),
    ),
    *of(
        "jaccard",
        "dcreid/clustering/distances.py",
        "tests/dcreid/clustering/test_jaccard.py::test_distances_of_a_merge",
        (
            "Jaccard distances of plain distances",
            "jaccard_distances(pairwise_distances(features, squared=True)",
            "jaccard_distances(pairwise_distances(features, squared=False)",
        ),
        ("k1 for k2", "merge.k1, merge.k2)", "merge.k1, merge.k1)"),
    ),
    *of(
        "cameras",
        "dcreid/algorithm.py",
        "tests/dcreid/test_reports.py::test_retrieval_without_cameras_is_that_of_the_reference",
        (
            "normalised features in both measurements",
            "found = ranked(v)",
            "found = ranked(self._camera_normalised(v, test.cameras))",
        ),
        (
            "moments of rows that nobody measures",
            "np.union1d(self.data.query, self.data.gallery))",
            "np.arange(len(cameras)))",
        ),
        (
            "a stage may lack the measurement",
            "else data.eval_frames, evaluate.camera_normalise",
            "else data.eval_frames, False",
            "tests/dcreid/test_algorithm_state.py::test_an_adopted_stage_has_the_measurements_that_are_wanted",
        ),
    ),
    *of(
        "cameras",
        "dcreid/evaluation/retrieval.py",
        "tests/dcreid/test_reports.py::test_retrieval_without_cameras_is_that_of_the_reference",
        (
            "any match on normalised features is the first",
            "float((first == 1).double().mean())",
            "float((first >= 1).double().mean())",
        ),
    ),
    *of(
        "cameras",
        "analysis/data/runs.py",
        "tests/analysis/test_tables.py",
        (
            "a diverged run has what it did not measure",
            "(metric in NORMALISED and found)",
            "metric in NORMALISED",
        ),
    ),
    *of(
        "cameras",
        "study/show/wording.py",
        "tests/study/show/test_status.py",
        (
            "normalised measurements are called mAP",
            '"mAP_camera_normalised": "cam-norm mAP"',
            '"mAP_camera_normalised": "mAP"',
        ),
    ),
]
