"""Faults in the network's choices and in the varied frames. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

NETWORK: list[Mutant] = [
    *of(
        "network",
        "dcreid/network/backbone.py",
        "tests/dcreid/network/test_backbone.py",
        ("frozen batch norm follows the batches", 'if batch_norm == "frozen":', 'if batch_norm == "fixed":'),
        (
            "frozen batch norm is not trained",
            "for module in self._fixed:\n            module.eval()",
            "for module in self._fixed:\n            module.eval().requires_grad_(False)",
        ),
        ("stages up to the stride alone", "reduction < 1.5 * stride", "reduction < stride"),
        (
            "random weights are not told apart",
            'config.model.batch_norm == "frozen" and config.model.weights == "none"',
            'config.model.batch_norm == "frozen"',
            "tests/dcreid/network/test_tracklets.py",
        ),
    ),
    *of(
        "network",
        "dcreid/network/tracklets.py",
        "tests/dcreid/test_stage_reference.py",
        (
            "frames upside down for mirrored",
            "self.frame_features(frames.flip(2))",
            "self.frame_features(frames.flip(1))",
        ),
        (
            "mirror images count twice as much",
            "self.frame_features(frames.flip(2))) / 2",
            "2 * self.frame_features(frames.flip(2))) / 3",
        ),
        ("no mirror images", "mirrored=config.data.eval_mirror", "mirrored=False"),
    ),
    *of(
        "network",
        "study/command/dry_run.py",
        "tests/study/command/test_dry_run.py",
        (
            "mirror images cost nothing",
            "times = 2 if config.data.eval_mirror",
            "times = 1 if config.data.eval_mirror",
        ),
    ),
    *of(
        "network",
        "dcreid/network/batch_norm.py",
        "tests/dcreid/network/test_batch_norm.py",
        (
            "ranks synchronise frozen batch norm",
            "isinstance(child, _BatchNorm) and child.training",
            "isinstance(child, _BatchNorm)",
        ),
    ),
    *of(
        "network",
        "dcreid/network/last_stride.py",
        "tests/dcreid/network/test_last_stride.py",
        ("the first reduction instead of the last", "size == called[-1][1]", "size == called[0][1]"),
        ("a map of any size will do", "abs(long - 2 * short) > 1", "long < short"),
        ("a map that did not grow will do", "if after == before or any(", "if any("),
    ),
    *of(
        "network",
        "dcreid/network/pooling.py",
        "tests/dcreid/network/test_pooling.py",
        (
            "the highest position for the mean",
            "features.flatten(2).mean(dim=2)",
            "features.flatten(2).amax(dim=2)",
        ),
    ),
    *of(
        "network",
        "dcreid/network/head.py",
        "tests/dcreid/network/test_head.py",
        ("BUC's weights by inputs", 'mode="fan_out"', 'mode="fan_in"'),
        ("BUC's head as the other", '"buc": BucHead', '"buc": EmbeddingHead'),
        (
            "L2 behind BUC's dropout",
            "self.layers[2](functional.normalize(self._normed(features), dim=1))",
            "functional.normalize(self.layers[2](self._normed(features)), dim=1)",
        ),
    ),
    *of(
        "network",
        "study/command/networks.py",
        "tests/study/command/test_networks.py",
        ("last strides are not tried", '"model.batch_norm", "model.last_stride"', '"model.batch_norm"'),
        ("given runs are not tried", "for origin, item in plan.fixed_items():", "for origin, item in ():"),
    ),
    *of(
        "network",
        "study/command/dry_run.py",
        "tests/study/command/test_dry_run.py",
        (
            "BUC's memory as wide as the backbone",
            'config.model.head == "none" else',
            'config.model.head != "embedding" else',
        ),
    ),
    *of(
        "augmentation",
        "dcreid/data/augmentation.py",
        "tests/dcreid/data/test_augmentation.py",
        ("frames of a tracklet always alike", 'f if per == "frame" else 1', 'f if per == "frames" else 1'),
        ("crops wider than high", "_CROP_ASPECTS = (2.0, 3.0)", "_CROP_ASPECTS = (1 / 3, 1 / 2)"),
        ("crops of the largest area alone", "rng.uniform(smallest, 1.0", "rng.uniform(1.0 - smallest, 1.0"),
        (
            "crops at the top left",
            "(rng.random((2, *drawn)) * (limits",
            "(0 * rng.random((2, *drawn)) * (limits",
        ),
        ("a crop that does not fit is cut", "fits = (sides <= limits[..., None])", "fits = (sides > 0)"),
        ("positions from pixels' corners", "(index + 0.5) * length / count - 0.5", "index * length / count"),
        ("crops see beyond their window", "- 0.5, start, start + length - 1)", "- 0.5, 0, count - 1)"),
        ("grey levels rounded down", "seen.round_().to(", "seen.to("),
        ("crops of every share as the first", "windows[:, share]", "windows[:, :s]"),
    ),
    *of(
        "augmentation",
        "dcreid/training.py",
        "tests/dcreid/test_training.py::test_frames_are_varied_as_the_configuration_says",
        ("crops are left out", "crop=data.crop,", "crop=1.0,"),
    ),
    *of(
        "frame sampling",
        "dcreid/data/sampling.py",
        "tests/dcreid/data/test_sampling.py",
        (
            "distinct frames may repeat",
            "taken = (drawn[:, :k] == place[:, None]).any(axis=1)",
            "taken = (drawn[:, :k] != drawn[:, :k]).any(axis=1)",
        ),
        ("distinct frames in the order drawn", "return np.sort(drawn, axis=1)", "return drawn"),
        ("short tracklets repeat their last frame", "& (lengths >= count)", "& (lengths > 0)"),
        ("the last frames are seldom drawn", "lengths - count + k)\n", "lengths - count)\n"),
    ),
]
