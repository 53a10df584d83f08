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
    *of(
        "exports",
        "dcreid/export/graph.py",
        "tests/dcreid/export/test_graph.py",
        ("mean and deviation stay", "if self.normalises else images", "if not self.normalises else images"),
        ("mirror images from top to bottom", "frames.flip(3)", "frames.flip(2)"),
        ("features leave with any length", "l2_normalize(features) if self.unit", "features if self.unit"),
        (
            "mirror images are left out of graphs",
            "mirrored = model.config.data.eval_mirror",
            "mirrored = False",
        ),
    ),
    *of(
        "exports",
        "dcreid/export/onnx_file.py",
        "tests/dcreid/export/test_files.py",
        (
            "a batch of two for ever",
            "{0: torch.export.Dim(BATCH)}",
            "{}",
            "tests/dcreid/export/test_graph.py",
        ),
        ("what an exporter says last", "while error.__cause__ is not None:", "while False:"),
    ),
    *of(
        "exports",
        "dcreid/export/files.py",
        "tests/dcreid/export/test_files.py",
        (
            "single pictures are not compared",
            "[_unit(draft.run(pictures[:1])), _unit(",
            "[expected[:1], _unit(",
        ),
        ("NaN is near enough", "if not difference <= _TOLERANCE:", "if difference > _TOLERANCE:"),
        (
            "vectors that are all alike are fine",
            "nearest <= _APART * difference or nearest == 0",
            "nearest < 0",
        ),
        (
            "ultralytics takes the batch for fixed",
            'if target == "ultralytics":',
            'if target == "boxmot":',
        ),
        ("weights are not run", "difference = _compared(draft, model, f", "difference = 0.0 * len(f"),
        (
            "the card stands under the same name for all",
            '".metadata.json" if target == "boxmot"',
            '".json" if target == "boxmot"',
        ),
    ),
    *of(
        "exports",
        "dcreid/export/torchvision_file.py",
        "tests/dcreid/export/test_files.py",
        ("weights with another stride", "config.model.last_stride, 2)", "2, 2)"),
        ("weights of mirror images", "config.data.eval_mirror, False)", "False, False)"),
    ),
    *of(
        "exports",
        "dcreid/export/boxmot.py",
        "tests/dcreid/export/test_boxmot.py tests/dcreid/export/test_files.py",
        (
            "a longer name of another network",
            "for known in (*_OTHERS, *LOADABLE) if",
            "for known in LOADABLE if",
        ),
        ("capitals hide a name", "name = path.name.lower()", "name = path.name"),
        ("width first", '"img_size": [height, width]', '"img_size": [width, height]'),
    ),
]
