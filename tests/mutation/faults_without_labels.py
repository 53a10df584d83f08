"""Faults in studies of data without labels and in the selected step. How they are read: `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

WITHOUT_LABELS: list[Mutant] = [
    *of(
        "studies without labels",
        "study/command/resolve.py",
        "tests/study/command/test_unlabelled.py",
        (
            "a preset does not keep the default space",
            "if given.preset is None and given.space is None and given.plan is None:",
            "if given.space is None and given.plan is None:",
        ),
        (
            "a space does not keep the paper's preset",
            "if given.preset is None and given.space is None and given.plan is None:",
            "if given.preset is None and given.plan is None:",
        ),
        (
            "a best step is asked for without labels",
            'if given.objective in ("last", "best"):',
            'if given.objective == "last":',
        ),
        (
            "mAP is maximised without labels",
            'decided["objective"] = "unlabelled"',
            'decided["objective"] = "last"',
        ),
        (
            "the data decide against what is given",
            "for name, value in decided.items() if values[name] is None}",
            "for name, value in decided.items() if name in values}",
        ),
    ),
    *of(
        "studies without labels",
        "dcreid/data/readers/folder.py",
        "tests/study/command/test_unlabelled.py",
        (
            "a folder with a gallery has no labels",
            'for part in _PARTS if part != "train")',
            'for part in _PARTS if part == "query")',
        ),
    ),
    *of(
        "studies without labels",
        "study/record/ledger.py",
        "tests/study/record/test_results.py tests/study/decide/test_failures.py",
        (
            "the latest of equal scores is selected",
            "max(curve, key=lambda step: (curve[step], -step))",
            "max(curve, key=lambda step: (curve[step], step))",
        ),
        (
            "what diverged is worth its best score",
            'return so_far | end if objective == "unlabelled" else so_far',
            "return so_far",
        ),
        (
            "what diverged is worth nothing by its best step",
            'return so_far | end if objective == "unlabelled" else so_far',
            "return so_far | end",
        ),
    ),
    *of(
        "studies without labels",
        "study/record/results.py",
        "tests/study/record/test_results.py",
        (
            "the selected step's mAP is the best",
            '"selected_mAP": selected.get("mAP"),',
            '"selected_mAP": best.get("mAP"),',
        ),
    ),
    *of(
        "studies without labels",
        "study/worker/rows.py",
        "tests/study/worker/test_trainable.py::test_the_checkpoints_kept_are_the_first_of_the_highest_map_and_of_the_highest_score",
        (
            "the selected checkpoint is dropped",
            'for metric in ("mAP", "unlabelled"):',
            'for metric in ("mAP",):',
        ),
    ),
    *of(
        "studies without labels",
        "study/search/rungs.py",
        "tests/study/search/test_rungs.py",
        (
            "cuts by the score wait for retrieval",
            'every = config.evaluate.eval_every if OBJECTIVES[objective] == "mAP" else 1',
            "every = config.evaluate.eval_every",
        ),
    ),
    *of(
        "studies without labels",
        "study/decide/session.py",
        "tests/study/search/test_pruners.py::test_without_labels_trials_end_by_the_highest_score_so_far",
        (
            "no trial ends by the score",
            "_measured(row, OBJECTIVES[self.plan.objective])",
            '_measured(row, "mAP")',
        ),
    ),
    *of(
        "studies without labels",
        "study/show/view.py",
        "tests/study/show/test_scores.py",
        (
            "nothing is ranked without labels",
            "t.curve(metric) and t.origin",
            "t.curve() and t.origin",
        ),
    ),
    *of(
        "studies without labels",
        "study/show/summary.py",
        "tests/study/show/test_scores.py",
        (
            "the chosen network before training is the last one",
            "scores_in_words(trial.steps.get(0, {}))",
            "scores_in_words(trial.steps[trial.last_step])",
        ),
    ),
    *of(
        "studies without labels",
        "study/show/scores.py",
        "tests/study/show/test_scores.py",
        (
            "scores stand in the place of mAP that was measured",
            "    if any(trial.measured for trial in trials):",
            "    if all(trial.measured for trial in trials):",
        ),
    ),
    *of(
        "studies without labels",
        "study/show/wording.py",
        "tests/study/show/test_scores.py",
        (
            "the last step passes for the selected one",
            """{row['step']}" if row else MISSING""",
            """{trial.last_step}" if row else MISSING""",
        ),
    ),
]
