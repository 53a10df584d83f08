"""Faults in the bound: its labels, its fence, what is said of it. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

_TESTS = "tests/dcreid/test_bound.py"
_PLAN = "tests/search_spaces/test_paper.py::test_the_bound_lays_identities_over_any_base"
_COMMAND = "tests/study/command/test_bound.py"
_EFFECTS = "tests/study/command/test_effects.py"
_SHOWN = "tests/study/show/test_bound.py"
_REPORTS = "tests/analysis/test_bound.py"

BOUND: list[Mutant] = [
    *of(
        "the bound",
        "dcreid/bound.py",
        _TESTS,
        ("identities as the data set lists them", "identities[order]", "identities"),
        ("no word of missing identities", "data.train.identities is None:", "data.test is None:"),
        ("identities wanted by every method", "if config.trains_with_identities and", "if"),
    ),
    *of(
        "the bound",
        "dcreid/clustering/merging.py",
        _TESTS,
        ("classes in order of name", "rank[start.argsort()] = np.arange", "rank[:] = np.arange"),
    ),
    *of(
        "the bound",
        "dcreid/algorithm.py",
        _TESTS,
        (
            "an open fence lets identities in",
            "if self.config.trains_with_identities:\n            assert",
            "if self.config.train.leak_audit:\n            assert",
        ),
        (
            "room for merges that are not made",
            "if ranks.rank == 0 and not config.trains_with_identities:",
            "if ranks.rank == 0:",
        ),
        (
            "missing identities found too late",
            "        check_identities(config, data)\n",
            "        check_identities(Config(), data)\n",
        ),
    ),
    *of(
        "the bound",
        "dcreid/config.py",
        _TESTS,
        (
            "the fence stands open",
            "if self.trains_with_identities and not self.train.leak_audit:",
            "if self.trains_with_identities and self.seed < 0:",
        ),
        (
            "every audit is the bound",
            'return self.merge.method == "identities"',
            "return self.train.leak_audit",
        ),
    ),
    *of(
        "the bound",
        "search_spaces/paper.py",
        _PLAN,
        ("the bound at the base's rate", "min(rate, BOUND_LR) if pretrained else rate", "rate"),
        (
            "a rate for random weights too low",
            "min(rate, BOUND_LR) if pretrained else rate",
            "min(rate, BOUND_LR)",
        ),
        (
            "a rate raised to the bound's",
            "min(rate, BOUND_LR) if pretrained else rate",
            "BOUND_LR if pretrained else rate",
        ),
        ("a rate that collapses", "BOUND_LR = 0.004", "BOUND_LR = 0.02"),
        (
            "tracklets trained as classes first",
            '"train.first_epochs": 0,',
            '"train.first_epochs": base.train.first_epochs,',
        ),
        ("the bound's rate falls", '"train.later_lr": "restart",', '"train.later_lr": base.train.later_lr,'),
        (
            "plans start from identities",
            "    if base.trains_with_identities:\n",
            '    if base.trains_with_identities and name == "rivals":\n',
            "tests/search_spaces/test_paper.py::test_only_the_leak_audit_leaks_and_only_the_bound_has_identities",
        ),
    ),
    *of(
        "the bound",
        "study/command/resolve.py",
        "tests/study/command/test_resolve.py::test_options_that_do_not_go_together",
        (
            "a search starts from identities",
            "    if base.trains_with_identities:\n",
            "    if base.trains_with_identities and given.plan:\n",
        ),
    ),
    *of(
        "the bound",
        "study/command/effects.py",
        _EFFECTS,
        (
            "what the bound sets may be given",
            'if plan.experiments == "bound":',
            'if plan.experiments == "bounds":',
        ),
        (
            "options of merges that are not made",
            '("once", "star", "exact", "anew"),\n',
            '("once", "star", "exact", "anew", "identities"),\n',
        ),
    ),
    *of(
        "the bound",
        "study/command/driver.py",
        _COMMAND,
        ("begun without a word", 'if plan.experiments == "bound":', 'if plan.experiments == "leak_audit":'),
        (
            "begun on data without identities",
            "        check_identities(item.config, data)\n",
            "        check_identities(plan.config, data)\n",
        ),
    ),
    *of(
        "the bound",
        "study/command/dry_run.py",
        _COMMAND,
        (
            "the base's cost for the bound",
            "estimate(plan.fixed_items()[0][1].config, data",
            "estimate(plan.config, data",
        ),
    ),
    *of(
        "the bound",
        "study/show/wording.py",
        _SHOWN,
        (
            "trials of the bound without a name",
            "    if is_bound(trial):\n",
            "    if is_bound(trial) and plan.preset != PAPERS:\n",
        ),
    ),
    *of(
        "the bound",
        "study/show/summary.py",
        _SHOWN,
        (
            "a summary without a word",
            "if any(map(is_bound, ranking)):",
            "if all(not is_bound(trial) for trial in ranking):",
        ),
    ),
    *of(
        "the bound",
        "study/show/status_text.py",
        _SHOWN,
        (
            "a status without a word",
            "if any(map(is_bound, view.trials)):",
            "if not all(map(is_bound, view.trials)):",
        ),
    ),
    *of(
        "the bound",
        "analysis/data/results.py",
        _REPORTS,
        (
            "every group has a bound",
            'return any(study.plan.experiments == "bound" for',
            'return all(study.plan.experiments != "bound" for',
        ),
    ),
    *of(
        "the bound",
        "analysis/tables.py",
        _REPORTS,
        (
            "tables without a word",
            "[BOUND_NOTE] * group.has_bound + [",
            "[",
        ),
    ),
    *of(
        "the bound",
        "analysis/stats/variants.py",
        _REPORTS,
        (
            "the bound against itself",
            "base = next(iter(called))\n    worth",
            "base = list(called)[-1]\n    worth",
        ),
    ),
    *of(
        "the bound",
        "analysis/sections/answer.py",
        _REPORTS,
        (
            "the page shows the base as the bound",
            "bound = runs_of(found, BOUND)",
            "bound = runs_of(found, FINAL)",
        ),
        ("an answer without a word of the bound", "if group.has_bound:", "if not group.has_bound:"),
    ),
    *of(
        "the bound",
        "analysis/sections/about.py",
        _REPORTS,
        ("a plan without a word", 'if plan.experiments == "bound":', 'if plan.experiments == "fig3":'),
    ),
    *of(
        "the bound",
        "analysis/page/reproduce.py",
        _REPORTS,
        ("the bound laid over itself", 'base = plan.config if named == "bound" else config', "base = config"),
        ("the base for the bound", 'named = "bound" if config', 'named = "fig3" if config'),
    ),
    *of(
        "the bound",
        "analysis/ranks.py",
        "tests/analysis/test_ranks.py::test_pictures_of_the_bound_say_what_it_is",
        ("pictures without a word", 'bound = f", {BOUND_LABEL}" if', 'bound = "" if'),
        (
            "joins that were made anew",
            '"the identities are the classes: nothing was joined"',
            '"no joins: classes are made anew at every step"',
        ),
    ),
]
