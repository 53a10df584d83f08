"""Faults in presets, and in what is shown beside the rivals. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

PRESETS: list[Mutant] = [
    *of(
        "presets",
        "dcreid/presets.py",
        "tests/dcreid/test_presets.py",
        (
            "random weights are frozen",
            'if base.model.weights == "none" else {}',
            "if not base.model.weights else {}",
        ),
        (
            "a preset goes before options",
            "**preset.changes(under) | on_top)",
            "**on_top | preset.changes(under))",
        ),
        ("the method looks at the settings", "**preset.changes(under) |", "**preset.changes(base) |"),
        (
            "every preset has the base's budget",
            "dict(preset.published) if published",
            "dict(preset.published) if not published",
        ),
        ("BUC trains a stage too many", "1 / base.merge.merge_rate - 1),", "1 / base.merge.merge_rate),"),
        ("OIM trains a stage longer", "1 / base.merge.merge_rate) - 1", "1 / base.merge.merge_rate)"),
        (
            "OIM's rate falls later than the others'",
            "min(base.train.lr_decay_epoch, base.train.first_epochs)",
            "base.train.lr_decay_epoch",
        ),
        ("a shorter base makes no shorter rivals", "min(whole, most) if most else whole", "whole"),
        (
            "recommended stops merging anywhere",
            "round(0.88 / base.merge.merge_rate)",
            "round(0.95 / base.merge.merge_rate)",
        ),
        ("recommended forms no classes at the end", '"merge.regroup_steps": 8', '"merge.regroup_steps": 0'),
        ("DBC joins in chains", '"merge.method": "star"', '"merge.method": "once"'),
        ("DBC's rows are BUC's", '"train.memory_init": "old_classes"', '"train.memory_init": "zeros"'),
        ("BUC's last batch is kept", '"train.drop_last": True', '"train.drop_last": False'),
        ("BUC's rate falls at the paper's epoch", '"train.lr_decay_epoch": 16', '"train.lr_decay_epoch": 15'),
    ),
    *of(
        "presets",
        "study/command/resolve.py",
        "tests/study/command/test_preset.py",
        (
            "recommended in every space",
            'given.tables and given.space == "full":\n        return _recommended(base',
            "given.tables:\n        return _recommended(base",
        ),
        (
            "recommended although not wanted",
            'if given.tables and given.space == "full":\n        return _recommended(base',
            'if given.space == "full":\n        return _recommended(base',
        ),
        (
            "recommended without the user's options",
            "laid_over(settings_of(base.data.dataset), name, chosen)",
            "laid_over(settings_of(base.data.dataset), name)",
        ),
        (
            "recommended left out without a word",
            'return [], [f"left out, the recommended configuration: {error}"]',
            'return [], [f"{error}"][1:]',
        ),
    ),
    *of(
        "presets",
        "dcreid/config.py",
        "tests/dcreid/test_algorithm.py",
        (
            "classes made again are fewer",
            "if step > self.joining_steps(n):",
            "if step > self.merge_steps(n):",
        ),
        (
            "the last merge makes as many classes",
            "if step > self.joining_steps(n):",
            "if step >= self.joining_steps(n):",
        ),
    ),
    *of(
        "presets",
        "study/plan.py",
        "tests/study/command/test_preset.py",
        (
            "the sampler learns from another method",
            "all(own[n] == held[n] for n in own if n not in searched)",
            "bool(own and held and searched)",
        ),
        ("trial 1 is taken for trial 0", "return given[0] if given else self.config", "return self.config"),
    ),
    *of(
        "presets",
        "study/decide/queue.py",
        "tests/study/command/test_preset.py",
        (
            "a grid leaves out what another method has run",
            "for _, item, _ in self._given if self.plan.in_space(item.config)]",
            "for _, item, _ in self._given]",
        ),
    ),
    *of(
        "presets",
        "study/command/resolve.py",
        "tests/study/command/test_preset.py",
        ("tables beside another preset", 'given.preset != "paper" or', ""),
    ),
    *of(
        "presets",
        "study/decide/confirmation.py",
        "tests/study/command/test_preset.py",
        (
            "the paper is not confirmed",
            "return base if plan.papers_config == plan.config else",
            "return base if plan.papers_config else",
        ),
        (
            "the paper's is one of the best",
            "for config, _ in _compared(plan):",
            "for config, _ in _compared(plan)[:1]:",
        ),
    ),
    *of(
        "presets",
        "study/show/view.py",
        "tests/study/command/test_preset.py",
        (
            "another preset passes for the paper's",
            "is_base(trial, plan) if plan.preset == PAPERS else",
            "is_base(trial, plan) if plan.preset else",
        ),
    ),
    *of(
        "presets",
        "analysis/stats/confirmed.py",
        "tests/analysis/test_preset_studies.py",
        (
            "the search against its own preset",
            "papers = setting(_searched(group).plan.papers_config.to_dict())",
            "papers = setting(group.base.to_dict())",
        ),
    ),
    *of(
        "presets",
        "analysis/stats/searched.py",
        "tests/analysis/test_preset_studies.py",
        ("the paper among a preset's trials", "or not study.plan.in_space(config):", "or not config:"),
    ),
    *of(
        "presets",
        "analysis/data/results.py",
        "tests/analysis/test_preset_studies.py",
        (
            "the paper's numbers beside another method",
            "return self.preset == PAPERS and",
            "return bool(self.preset) and",
        ),
    ),
    *of(
        "presets",
        "analysis/page/reproduce.py",
        "tests/analysis/page/test_reproduce.py",
        (
            "a preset's own fields are not looked at again",
            "while differing := _differing(",
            "if differing := _differing(",
        ),
        (
            "the longest command",
            "for name in names), key=len))",
            "for name in names), key=lambda words: -len(words)))",
        ),
    ),
    *of(
        "rivals",
        "search_spaces/rivals.py",
        "tests/search_spaces/test_rivals.py",
        ("all rivals have their own budget", 'plan == "rivals-published", base', "bool(plan), base"),
        ("DBC's λ is applied nowhere", "**further}", "}"),
        (
            "a user's frames are not the rivals'",
            "if held[field] != standard[field]}",
            "if held[field] == standard[field]}",
        ),
    ),
    *of(
        "rivals",
        "analysis/stats/rivals.py",
        "tests/analysis/stats/test_rivals.py",
        ("quoted beside the last step", 'if value is None or at != "best" else', "if value is None else"),
        ("own figures in italics too", "quoted=len(headings),", "quoted=len(headings) + 3,"),
    ),
    *of(
        "rivals",
        "analysis/data/published.py",
        "tests/analysis/stats/test_rivals.py",
        ("BUC's figures are quoted as OIM's", '"buc": "BUC"', '"buc": "OIM"'),
    ),
    *of(
        "rivals",
        "analysis/stats/claims.py",
        "tests/analysis/stats/test_rivals.py",
        (
            "the rival over this method",
            '/paper": 1, f"{plan}/{rival}": -1',
            '/paper": -1, f"{plan}/{rival}": 1',
        ),
        (
            "rank-1 by mAP's margin",
            'row.rank1 if measure == "rank1" else row.mAP',
            "row.mAP",
            "tests/analysis/stats/test_claims.py::test_what_the_paper_printed",
        ),
    ),
    *of(
        "rivals",
        "analysis/stats/series.py",
        "tests/analysis/figures/test_rivals.py",
        ("a stage too many", "train.first_epochs + (step - 1) *", "train.first_epochs + step *"),
        ("the untrained network as a point", "if step >= 1", "if step >= 0"),
    ),
    *of(
        "rivals",
        "analysis/figures/rivals.py",
        "tests/analysis/figures/test_rivals.py",
        ("a line that is not a mean", "sum(untrained) / len(untrained)", "sum(untrained)"),
    ),
    *of(
        "rivals",
        "analysis/data/runs.py",
        "tests/analysis/stats/test_rivals.py",
        (
            "every study has rivals",
            "(name not in RIVAL_PLANS or name in asked))",
            "(name not in RIVAL_PLANS or asked))",
        ),
    ),
    *of(
        "rivals",
        "study/command/resolve.py",
        "tests/study/command/test_preset.py",
        (
            "rivals of a rival",
            "plan.experiments in RIVAL_PLANS and plan.preset != PAPERS",
            "plan.experiments in RIVAL_PLANS and plan.preset == PAPERS",
        ),
    ),
]
