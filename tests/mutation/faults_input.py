"""Faults in what is said of bad input and in what a terminal gets. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

INPUT: list[Mutant] = [
    *of(
        "terminal",
        "dcreid/commandline.py",
        "tests/dcreid/test_commandline.py",
        ("codes of eight bits reach the terminal", r'"[\x00-\x1f\x7f-\x9f', r'"[\x00-\x1f\x7f'),
        ("what turns text round reaches the terminal", r"\u2028-\u202e", r"\u2028-\u2029"),
        ("a page is one line", 'map(visible, page.split("\\n"))', "[visible(page)]"),
        (
            "a full disk behind the output is kept quiet",
            "or isinstance(self._error, BrokenPipeError)",
            "or isinstance(self._error, OSError)",
        ),
        (
            "a reader that went away is an error",
            "if self._error is None or isinstance(self._error, BrokenPipeError):",
            "if self._error is None:",
        ),
        ("a wrong path is the disk's fault", "return 2 if error.errno in _WRONG_PATH else 1", "return 1"),
        ("output that is lost hides what the work said", "return status or lost", "return lost"),
    ),
    *of(
        "terminal",
        "study/show/terminal.py",
        "tests/study/show/test_terminal.py",
        ("text is Rich's markup", "markup=False", "markup=True"),
    ),
    *of(
        "data folders",
        "dcreid/data/jpeg.py",
        "tests/dcreid/data/test_jpeg.py",
        (
            "pipes are read as frames",
            "if not stat.S_ISREG(found.st_mode):",
            "if stat.S_ISDIR(found.st_mode):",
        ),
        ("height for width", "return int(width), int(height)", "return int(height), int(width)"),
        ("marks without a length are given one", "elif marker in _BARE_MARKERS:", "elif marker == 0x02:"),
    ),
    *of(
        "data folders",
        "dcreid/data/readers/mars_info.py",
        "tests/dcreid/data/readers/test_mars_info.py",
        ("queries in the order of their numbers", "rows[np.sort(first)] - 1", "rows[first] - 1"),
        ("a query counts as often as it is listed", "return rows[np.sort(first)] - 1", "return rows - 1"),
        ("a track of one frame counts none", "(last - first + 1).sum()", "(last - first).sum()"),
    ),
    *of(
        "data folders",
        "dcreid/data/readers/walk.py",
        "tests/dcreid/data/readers/test_folder.py",
        ("a link back is noticed at the top alone", "(*above, place)", "(*above[:0], place)"),
        ("labels of any length", "and len(name) <= _LONGEST_NUMBER", ""),
    ),
    *of(
        "data folders",
        "dcreid/paths.py",
        "tests/dcreid/test_paths.py",
        ("a link is replaced", "Path(os.path.realpath(path))", "Path(path)"),
        ("a disk that is full has no name", "error.filename = str(named)", "error.filename = None"),
    ),
    *of(
        "data folders",
        "dcreid/data/readers/mat.py",
        "tests/dcreid/data/readers/test_mat.py",
        ("rows for columns", 'order="F"', 'order="C"'),
        ("complex numbers lose a part", "or word & _COMPLEX", ""),
    ),
    *of(
        "left out",
        "analysis/report.py",
        "tests/analysis/test_report.py",
        ("what the ledger lost is not on the page", "for problem in study.problems]", "for problem in ()]"),
        (
            "what trials warned of is not on the page",
            "for note in trial.warnings:",
            "for note in trial.warnings[:0]:",
        ),
        ("what a table lost is not on the page", "(*left_out, *collected.messages)", "(*left_out,)"),
        ("stray folders are left out in silence", "{*found} - {*trials}", "{*trials} - {*trials}"),
    ),
    *of(
        "left out",
        "analysis/figures/style.py",
        "tests/analysis/test_curves.py::test_a_dollar_in_the_name_of_the_data_begins_no_formula",
        ("a dollar begins a formula", r'visible(text).replace("$", r"\$")', "visible(text)"),
    ),
    *of(
        "left out",
        "analysis/page/typeset.py",
        "tests/analysis/page/test_typeset.py",
        ("HTML in Markdown is HTML", "<(?=[A-Za-z/!?])", "<(?=[0-9])"),
    ),
    *of(
        "given values",
        "dcreid/checked.py",
        "tests/dcreid/test_checked.py",
        ("digits of other scripts are numbers", 'r"[+-]?[0-9]{1,300}"', 'r"[+-]?\\d{1,300}"'),
        ("one entry of a list has the type", "and all(has_type(entry, *", "and any(has_type(entry, *"),
    ),
    *of(
        "given values",
        "dcreid/paths.py",
        "tests/dcreid/test_paths.py",
        ("names are measured in letters", 'len(part.encode(errors="surrogateescape"))', "len(part)"),
    ),
    *of(
        "given values",
        "dcreid/network/weights.py",
        "tests/dcreid/network/test_weights.py::test_tensors_that_would_give_no_features_are_named",
        ("weights overflow in 32 bits", "value.float().isfinite()", "value.isfinite()"),
        ("one variance may be negative", "(value < 0).any()", "(value < 0).all()"),
    ),
    *of(
        "given values",
        "study/plan.py",
        "tests/study/record/test_any_description.py::test_what_cannot_be_is_named",
        ("a stored number has no upper end", "not low <= value <= high", "not low <= value"),
    ),
    *of(
        "given values",
        "study/command/effects.py",
        "tests/study/command/test_effects.py",
        ("grace without a pruner is taken", '"none": (("--grace", *_OF_ASHA),', '"none": ((*_OF_ASHA,),'),
        (
            "heads count where they are not searched",
            "return base[needed] in values or needed in plan.search_space.fields",
            "return base[needed] in values or needed in base",
        ),
        (
            "a rival's own dropout is one that was given",
            "any(run[needed] in values and run[name] == base[name]",
            "any(run[needed] in values and run[name] is not None",
        ),
    ),
    *of(
        "given values",
        "study/command/networks.py",
        "tests/study/command/test_networks.py",
        ("the most stages are not tried", "(prior.low, prior.high)", "(prior.low,)"),
    ),
    *of(
        "given values",
        "study/on_ray/address.py",
        "tests/study/on_ray/test_address.py",
        ("the user's patience does not count", "if name not in os.environ", ""),
    ),
    *of(
        "left out",
        "dcreid/data/inspection.py",
        "tests/dcreid/data/test_inspection.py",
        (
            "data without a query that counts are trained on",
            "if unmatched == total:",
            "if unmatched > total:",
        ),
    ),
]
