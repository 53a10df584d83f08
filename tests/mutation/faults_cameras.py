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
]
