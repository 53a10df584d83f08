"""Faults in studies that a Python program makes, and in what it enqueues."""

from __future__ import annotations

from mutation.run import Mutant, of

_ENQUEUED = "tests/study/decide/test_enqueued.py"
_ENQUEUE = "tests/study/command/test_enqueue.py"
_API = "tests/study/test_api.py"

PYTHON: list[Mutant] = [
    *of(
        "studies from Python",
        "study/decide/queue.py",
        _ENQUEUED,
        (
            "what is enqueued waits for the settings of the tables",
            "config in ledger.enqueued), *others)",
            "config in ledger.enqueued[:0]), *others, *((ENQUEUED, self._enqueued(config)) for config in "
            "ledger.enqueued))",
        ),
        (
            "enqueued ones are beside the samples",
            "max(self._samples(), len(self._begun())",
            "max(self._samples(), self._samples()",
        ),
        (
            "a study that is complete runs no more",
            "return max(self._samples(), len",
            "return min(self._samples(), len",
        ),
        (
            "enqueued ones may be drawn over",
            "len(self._begun()) + len(self.waiting) >= self._samples()",
            "len(self._begun()) >= self._samples()",
        ),
        (
            "a grid has no room for it",
            "len(self.plan.given) + len(self.ledger.enqueued)",
            "len(self.plan.given)",
        ),
        (
            "a confirmation does not wait for it",
            "len(finished) < self._wanted():",
            "len(finished) < self._samples():",
        ),
    ),
    *of(
        "studies from Python",
        "study/record/ledger.py",
        _ENQUEUED,
        ("a session lasts to what was enqueued after it", "return  # it is no part", "pass  # it is no part"),
        (
            "older fields are missing",
            'self._enqueue(completed(entry["config"]))',
            'self._enqueue(entry["config"])',
        ),
    ),
    *of(
        "studies from Python",
        "study/command/enqueue.py",
        _ENQUEUED,
        (
            "what has failed is there",
            'if trial.config == stored and trial.state != "failed":',
            "if trial.config == stored:",
        ),
        ("it is enqueued twice", "if stored in ledger.enqueued:", "if config in ledger.enqueued:"),
        (
            "a trial runs on other people",
            'name in _OF_THE_DATA or ".synthetic." in name',
            "name in _OF_THE_DATA",
            _ENQUEUE,
        ),
        (
            "no batch is full",
            "config.train.check_batches(tracklets)",
            "config.train.draws(tracklets)",
            _ENQUEUE,
        ),
    ),
    *of(
        "studies from Python",
        "study/command/keywords.py",
        f"{_API}::test_it_is_made_as_the_command_makes_it",
        ("no is left out", 'else [f"--no-{option[2:]}"]', "else []"),
        (
            "numbers in words are numbers",
            "if not has_type(value, hints[name]):",
            "if not has_type(value, hints[name] | str):",
            f"{_API}::test_what_cannot_be_run_is_refused_and_leaves_nothing",
        ),
        (
            "what a preset changes is no difference",
            "there = laid_over(settings_of(config.data.dataset), preset, held).flat()",
            "there = settings_of(config.data.dataset).replace(**held).flat()",
            f"{_API}::test_a_whole_configuration_is_trial_0s_and_the_rest_is_searched",
        ),
        (
            "the second of two seeds wins",
            "if own in options and chosen.pop(field, options[own]) != options[own]:",
            "if own in options and chosen.pop(field, options[own]) is None:",
            f"{_API}::test_what_cannot_be_run_is_refused_and_leaves_nothing",
        ),
    ),
    *of(
        "studies from Python",
        "study/show/trials.py",
        f"{_API}::test_trials_are_a_tidy_table",
        (
            "fields in which trials differ are not told",
            "(name in searched or any(own[name] != base[name] for own in others))",
            "name in searched",
        ),
        ("the best step is the last", '"best": trial.highest_step("mAP")}', '"best": trial.last_step}'),
        (
            "a trial cut off is running",
            'view.state(trial) if trial.state == "running" else trial.state',
            "trial.state",
            f"{_API}::test_a_trial_cut_off_has_a_row_without_a_value",
        ),
    ),
    *of(
        "studies from Python",
        "study/api.py",
        f"{_API}::test_a_study_is_run_looked_at_and_gone_on_with",
        ("a notebook's directory is changed", "own_process=False)", "own_process=True)"),
        (
            "trials are judged at the last step",
            'if status.plan.objective == "unlabelled" else status.plan.objective',
            'if status.plan.objective == "unlabelled" else "last"',
            f"{_API}::test_the_best_is_the_trial_with_the_highest_objective_at_its_step",
        ),
        ("it is quiet for ever", "console.quiet = quiet", "console.quiet = True"),
        (
            "one that is there is said to run",
            "return there is None",
            "return True",
            f"{_API}::test_what_is_enqueued_is_run_next_by_python_and_by_the_command",
        ),
    ),
    *of(
        "studies from Python",
        "study/command/driver.py",
        f"{_API}::test_the_callers_loggers_are_left_as_they_were",
        ("Optuna stays silent", "optunas.setLevel(level)", "optunas.setLevel(optunas.level)"),
    ),
    *of(
        "studies from Python",
        "study/on_ray/loop.py",
        "tests/study/on_ray/test_loop.py",
        ("the environment stays Ray's", "del os.environ[name]", "os.environ.get(name)"),
        ("a Ray with other code is used", "if theirs != code_version():", "if not theirs:"),
        ("Ray's loggers stay silent", "log.setLevel(level)", "log.setLevel(log.level)"),
        (
            "workers import another checkout",
            'if here != REPOSITORY and (here / package / "__init__.py").is_file():',
            'if here != REPOSITORY and (here / package / "__init__.py").is_dir():',
        ),
    ),
    *of(
        "studies from Python",
        "study/show/terminal.py",
        "tests/study/show/test_terminal.py::test_in_a_notebook_lines_are_text_like_all_else_that_is_printed",
        ("every line is a picture in a notebook", "force_jupyter=False", "force_jupyter=None"),
    ),
]
