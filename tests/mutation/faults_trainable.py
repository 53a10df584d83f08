"""Faults in the trainable for anyone's Tuner. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

_TESTS = "tests/study/test_tuner.py"

TRAINABLE: list[Mutant] = [
    *of(
        "public trainable",
        "study/tuner.py",
        f"{_TESTS}::test_every_merge_step_is_told_with_its_number_and_a_checkpoint",
        (
            "the checkpoint of a step is of what Tune gave",
            "config = _trial_config(Config.from_dict(base), settings)",
            "config = _trial_config(Config.from_dict(base), {})",
            f"{_TESTS}::test_numbers_of_samplers_are_taken",
        ),
        (
            "a restored trial begins again",
            "algorithm.load_state_dict(state)",
            "algorithm.fitting(state)",
            f"{_TESTS}::test_a_trial_that_was_cut_goes_on_to_the_same_bits",
        ),
        (
            "steps of the checkpoint are told again",
            "algorithm_rows(algorithm, algorithm.steps_done)",
            "algorithm_rows(algorithm, 0)",
            f"{_TESTS}::test_a_trial_that_was_cut_goes_on_to_the_same_bits",
        ),
        (
            "steps are counted from zero",
            'found | {"training_iteration": row["step"]}',
            'found | {"training_iteration": row["step"] - 1}',
        ),
        (
            "the trained network's value as the untrained one's",
            '"untrained_mAP": None if metrics is None else metrics.mAP,',
            '"untrained_mAP": row["mAP"],',
        ),
        (
            "steps that were not measured are told",
            'if algorithm.data.labelled and row["mAP"] is None:',
            "if algorithm.data.labelled and row is None:",
            f"{_TESTS}::test_a_step_that_is_not_measured_is_not_told",
        ),
        (
            "without labels nothing is told",
            'if algorithm.data.labelled and row["mAP"] is None:',
            'if row["mAP"] is None:',
            f"{_TESTS}::test_without_labels_every_step_is_told_by_its_score",
        ),
        (
            "the learning rate may not change",
            '"train.later_epochs", "train.lr", ',
            '"train.later_epochs", ',
            f"{_TESTS}::test_all_that_is_not_fixed_may_be_another_where_a_checkpoint_goes_on",
        ),
        (
            "the merge rate may change",
            '("merge.lambda1", "merge.lambda2", "merge.intra",',
            '("merge.lambda1", "merge.lambda2", "merge.merge_rate", "merge.intra",',
            f"{_TESTS}::test_the_fixed_fields_are_these_and_those_that_name_the_data",
        ),
        (
            "only the first fixed field is compared",
            "differing = [name for name in FIXED_FIELDS if",
            "differing = [name for name in FIXED_FIELDS[:1] if",
            f"{_TESTS}::test_each_fixed_field_is_compared",
        ),
        (
            "other data are continued on",
            'if state[_STAMP]["data"] != fingerprint:',
            'if state[_STAMP]["data"] == "":',
            f"{_TESTS}::test_a_checkpoint_of_other_data_is_refused",
        ),
        (
            "what diverged is preferred",
            "**dict.fromkeys(worst, 0.0),",
            "**dict.fromkeys(worst, 1.0),",
            f"{_TESTS}::test_a_training_that_diverges_is_told_as_the_worst_and_ends",
        ),
        (
            "what diverged is of the step before",
            "step = algorithm.steps_done + 1",
            "step = algorithm.steps_done",
            f"{_TESTS}::test_a_later_step_that_diverges_counts_from_there_on",
        ),
        (
            "data of a trial's own",
            "if name.startswith(_READS):",
            "if name in _READS:",
            f"{_TESTS}::test_settings_that_cannot_be_used_fail_the_trial_before_anything_is_read",
        ),
        (
            "one thread whatever Tune gives",
            'torch.set_num_threads(max(1, int(resources.get("CPU", 1))))',
            'torch.set_num_threads(max(1, int(resources.get("cpu", 1))))',
            f"{_TESTS}::test_a_trial_computes_on_what_tune_gives_it",
        ),
        (
            "a model of the first step's scores",
            'row = state["history"][-1] if step',
            'row = state["history"][0] if step',
            f"{_TESTS}::test_a_checkpoint_is_a_model",
        ),
        (
            "paths of the folder that the user was in",
            "str(user_path(argument, str(path)).resolve())",
            "str(user_path(argument, str(path)))",
            f"{_TESTS}::test_a_data_set_is_known_by_its_folder",
        ),
    ),
]
