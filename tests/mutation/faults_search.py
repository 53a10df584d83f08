"""Faults in what is searched and in which trials end early: spaces, rungs, their dry run."""

from __future__ import annotations

from mutation.run import Mutant, of

_SPACE = "tests/search_spaces/test_space.py"
_RUNGS = "tests/study/search/test_rungs.py"
_PRUNERS = "tests/study/search/test_pruners.py"
_CUTS = "tests/study/command/test_dry_run.py::test_cuts_are_printed_with_their_epochs_and_shares"

SEARCH: list[Mutant] = [
    *of(
        "spaces",
        "search_spaces/prior.py",
        "tests/search_spaces/test_prior.py::test_a_weight_is_log_uniform_above_zero_and_zero_half_the_time",
        ("zero has another prior where it is a strip", "_ZERO_STRIP = 1.0", "_ZERO_STRIP = 0.5"),
        (
            "priors of one field share a parameter",
            'return f"{self.field}.{self.suffix}" if self.suffix else self.field',
            "return self.field",
            f"{_SPACE}::test_of_several_priors_of_a_field_the_one_whose_condition_holds_is_drawn",
        ),
    ),
    *of(
        "spaces",
        "search_spaces/space.py",
        f"{_SPACE}::test_of_several_priors_of_a_field_the_one_whose_condition_holds_is_drawn",
        (
            "the first value of a list alone",
            "prior.when[0] in values and values[prior.when[0]] in prior.wanted",
            "prior.when[0] in values and values[prior.when[0]] in prior.wanted[:1]",
        ),
        (
            "one value that can be is enough",
            "if not any(one.contains(value) for one in asked):",
            "if not any(one.contains(value) for one in asked for value in prior.wanted):",
            f"{_SPACE}::test_impossible_spaces_are_refused",
        ),
        (
            "priors that meet are apart",
            "return one.suffix != other.suffix and not any(value in other.wanted for value in one.wanted)",
            "return one.suffix != other.suffix",
            f"{_SPACE}::test_impossible_spaces_are_refused",
        ),
        (
            "parameters of one name",
            "return one.suffix != other.suffix and not any(value in other.wanted for value in one.wanted)",
            "return not any(value in other.wanted for value in one.wanted)",
            f"{_SPACE}::test_impossible_spaces_are_refused",
        ),
        (
            "what is fixed decides by the first value alone",
            "if field not in fixed or fixed[field] not in prior.wanted:",
            "if field not in fixed or fixed[field] not in prior.wanted[:1]:",
            f"{_SPACE}::test_without_decides_lists_of_values_and_keeps_the_prior_that_is_left",
        ),
        (
            "older spaces are written with what came later",
            'if not prior["suffix"]:',
            'if prior["suffix"]:',
            f"{_SPACE}::test_lists_of_values_go_through_json_and_older_spaces_are_written_as_they_were",
        ),
        (
            "a single choice is left to be drawn",
            "if len(left) < min(2, len(prior.choices)):",
            "if len(left) < min(1, len(prior.choices)):",
            f"{_SPACE}::TestFitted",
        ),
        (
            "what cannot run stays among the choices",
            "possible = {entry for values, error in refused.items() if not error for entry in values}",
            "possible = {entry for values, error in refused.items() for entry in values}",
            f"{_SPACE}::TestFitted",
        ),
        (
            "ends of ranges are not tried",
            "values[prior.field] = rng.choice(prior.choices or (prior.low, prior.high))",
            "values[prior.field] = rng.choice(prior.choices or (prior.low, prior.low))",
            f"{_SPACE}::TestFitted",
        ),
    ),
    *of(
        "spaces",
        "search_spaces/spaces.py",
        "tests/search_spaces/test_full.py",
        (
            "rows of classes that are gone",
            'choices=("members", "zeros"),\n        when=("merge.method", "anew"),',
            'choices=("members", "zeros", "carry"),\n        when=("merge.method", "anew"),',
        ),
        (
            "frozen batch norm may go unclipped",
            '        log=True,\n        when=("model.batch_norm", "frozen"),',
            '        log=True, zero=True,\n        when=("model.batch_norm", "frozen"),',
        ),
        ("more neighbours than there are", '"merge.k2", "int", 1, 10,', '"merge.k2", "int", 1, 12,'),
        (
            "DBC's rows are not in it",
            'choices=("members", "zeros", "carry", "old_classes"),',
            'choices=("members", "zeros", "carry"),',
        ),
    ),
    *of(
        "spaces",
        "study/command/resolve.py",
        "tests/study/command/test_resolve.py::test_options_narrow_what_is_searched_or_are_refused",
        ("options do not narrow the space", ".without(chosen).fitted(base)", ".without(chosen)"),
    ),
    *of(
        "spaces",
        "study/search/optuna_study.py",
        "tests/study/search/test_optuna_study.py::test_a_study_whose_strip_for_zero_was_narrower_goes_on_with_todays",
        (
            "older trials keep the ranges they were drawn from",
            "name: self.distributions.get(name) or json_to_distribution(text)",
            "name: json_to_distribution(text)",
        ),
        (
            "a storage of older ranges is taken up",
            "return any(known.get(name, stored) != stored for",
            "return all(known.get(name, stored) != stored for",
        ),
    ),
    *of(
        "rungs",
        "study/search/rungs.py",
        _RUNGS,
        (
            "the first stage counts like the others",
            'train["first_epochs"] + (step - 1) * train["later_epochs"]',
            'train["later_epochs"] + (step - 1) * train["later_epochs"]',
        ),
        ("rungs are counted up", "range(count, 0, -1)", "range(1, count + 1)"),
        ("a rung at the end", "range(count, 0, -1)", "range(count - 1, -1, -1)"),
        ("the step before the rung", "1 + math.ceil((epochs - first)", "1 + math.floor((epochs - first)"),
        ("rungs before grace go", "max(step, grace) for step", "min(step, grace) for step"),
        (
            "a cut where nothing is measured",
            "every * math.ceil(step / every)",
            "1 * math.ceil(step / 1)",
        ),
        ("a cut at the last step", "if step < last)", "if step <= last)"),
    ),
    *of(
        "rungs",
        "study/search/pruners.py",
        _PRUNERS,
        (
            "one more than its share goes on",
            "values[max(1, len(values) // self.share) - 1]",
            "values[max(1, len(values) // self.share)]",
        ),
        (
            "a rung by its newest step",
            "trial.intermediate_values[min(reached)]",
            "trial.intermediate_values[max(reached)]",
        ),
        (
            "others are taken at this trial's step",
            "[_at(other, self.steps(other)[rung]) for other in trials]",
            "[_at(other, self.steps(trial)[rung]) for other in trials]",
        ),
        ("only the first rung that is passed counts", "for rung in passed)", "for rung in passed[:0])"),
        ("between rungs too", "if before < at <= step]", "if at <= step]"),
    ),
    *of(
        "rungs",
        "study/search/build.py",
        f"{_PRUNERS}::test_a_session_ends_the_trials_that_a_plain_reference_ends",
        (
            "every trial has trial 0's epochs",
            'ledger.trials[number].config["train"]',
            'ledger.trials[0 * number].config["train"]',
        ),
    ),
    *of(
        "rungs",
        "study/command/dry_run.py",
        _CUTS,
        ("the share that goes on stays the same", "{100 / eta**i:.2g} %", "{100 / eta:.2g} %"),
        (
            "a trial costs what its epochs are",
            "cost.seconds_after[step] / cost.seconds:.0f}",
            "step / cost.steps:.0f}",
        ),
        (
            "a late cut is not told",
            "2 * cost.seconds_after[steps[0]] > cost.seconds",
            "cost.seconds_after[steps[0]] > cost.seconds",
        ),
        (
            "features of one pass, whatever the step",
            "(s + 1) * sum(per_pass) + more",
            "2 * sum(per_pass) + more",
            "tests/study/command/test_dry_run.py::test_a_trial_takes_its_frames_at_the_rate_of_each_kind",
        ),
    ),
    *of(
        "spaces",
        "analysis/stats/searched.py",
        "tests/analysis/stats/test_searched.py::test_of_many_parameters_those_that_tell_are_shown",
        ("those that tell least are shown", "(-item[1], item[0])", "(item[1], item[0])"),
    ),
    *of(
        "rungs",
        "study/command/effects.py",
        "tests/study/command/test_effects.py",
        ("rungs of another pruner are taken", '"median": (_OF_ASHA,', '"median": ((),'),
    ),
]
