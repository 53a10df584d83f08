"""Faults in how scores without labels are judged and shown. How they are read is in `mutants.py`."""

from __future__ import annotations

from mutation.run import Mutant, of

SELECTION: list[Mutant] = [
    *of(
        "scores",
        "dcreid/evaluation/unlabelled.py",
        "tests/dcreid/evaluation/test_unlabelled.py",
        ("a tracklet competes with itself", "& (part[:, None] != rows)", "& (part[:, None] >= 0)"),
        ("equally near is not nearer", ">= own[:, None]) & (part", "> own[:, None]) & (part"),
        (
            "tracklets of one frame are retrieved",
            "there = first.any(dim=1) & last.any(dim=1)",
            "there = torch.ones(len(first), dtype=torch.bool, device=first.device)",
        ),
        ("a camera's only tracklet is counted", "if len(rows) < 2:", "if len(rows) < 1:"),
        ("one gallery whatever the camera", "if cameras is None:\n        yield", "if True:\n        yield"),
        ("chance counts the tracklet itself", "((counts - 1).double() / (n - 1))", "(counts.double() / n)"),
        (
            "cameras of the next tracklets",
            "own[nearest] == own[part, None]",
            "own[nearest] == own[nearest[:, :1]]",
        ),
        ("moments that only touch are apart", "(begin[:, None] <= end) &", "(begin[:, None] < end) &"),
        (
            "at one time whatever the class",
            "(both & (labels[rows][:, None] == labels[rows])).sum()",
            "both.sum()",
        ),
        (
            "stability knows no camera",
            "half if cameras is None else camera_normalised",
            "half if True else camera_normalised",
        ),
        (
            "the largest partition alone",
            "for a, b in zip(one, other, strict=True)]))",
            "for a, b in list(zip(one, other, strict=True))[-1:]]))",
        ),
        (
            "halves of the last tracklets, cameras of the first",
            "halves = halves[:, :MOST_TRACKLETS]",
            "halves = halves[:, -MOST_TRACKLETS:]",
        ),
        (
            "information that is not adjusted",
            "(information - expected) / max(most - expected,",
            "information / max(most,",
        ),
        ("normalised by the larger entropy", "most = (h_a + h_b) / 2", "most = max(h_a, h_b)"),
        ("joins of the larger half only", "return both / (a + b - both) if", "return both / max(a, b) if"),
        (
            "every tracklet counts as a class",
            "_, first = np.unique(before, return_index=True)",
            "first = np.arange(len(before))",
        ),
        ("entropy in bits over nats", "/ math.log(len(sizes))) if", "/ math.log2(len(sizes))) if"),
        ("a tracklet is far from itself", "(sizes[own] - 1).clamp(min=1)", "sizes[own].clamp(min=1)"),
        ("its own class is the next one", "to_all[rows, own] = torch.inf", "to_all[rows, own] += 0"),
        (
            "single tracklets are well placed",
            "worth.where(sizes[own] > 1, 0.0)",
            "worth.where(sizes[own] > 0, 0.0)",
        ),
        ("worse than chance counts against", "retrieved * max(0.0, stable)", "retrieved * stable"),
        (
            "every tracklet is a pair",
            "int((counts * (counts - 1)).sum())\n        for",
            "int((counts * counts).sum())\n        for",
        ),
        (
            "classes of one camera run together",
            "(int(cameras.max()) + 1) + cameras",
            "int(cameras.max()) + cameras",
        ),
        ("stability alone", "float(retrieved * max(0.0, stable))", "float(max(0.0, stable))"),
    ),
    *of(
        "scores",
        "dcreid/network/tracklets.py",
        "tests/dcreid/network/test_tracklets.py",
        ("the middle in both halves", "sixths[:, 3:].sum(dim=1)]", "sixths[:, 2:].sum(dim=1)]"),
        ("two thirds for the first", "sixths[:, :2].sum(dim=1), sixths", "sixths[:, :4].sum(dim=1), sixths"),
        (
            "one frame in one half",
            "torch.where(single, pooled, halves)",
            "torch.where(single & False, pooled, halves)",
        ),
        ("a frame where it begins", "(2 * place + 1) * _SIXTHS", "(2 * place) * _SIXTHS"),
    ),
    *of(
        "scores",
        "dcreid/network/tracklets.py",
        "tests/dcreid/test_algorithm.py::test_scores_of_a_step_are_those_of_its_features_and_its_classes",
        (
            "halves in the order on disk",
            "self.halves[:, rows], self.ends[:, rows])",
            "self.halves, self.ends[:, rows])",
        ),
    ),
    *of(
        "scores",
        "dcreid/algorithm.py",
        "tests/dcreid/test_algorithm.py::test_scores_of_a_step_are_those_of_its_features_and_its_classes",
        (
            "silhouette of the classes before",
            "silhouette(v.float(), self.labels)",
            "silhouette(v.float(), before)",
        ),
        (
            "reliability of one half with itself",
            "for half in stage.halves\n",
            "for half in stage.halves[:1].repeat(2, 1, 1)\n",
        ),
        (
            "times of the tracklets on disk",
            "exclusivity(labels, cameras, times[order])",
            "exclusivity(labels, cameras, times)",
        ),
    ),
    *of(
        "selection",
        "analysis/data/candidates.py",
        "tests/analysis/data/test_candidates.py",
        ("pruned runs are no candidates", "runs(group, pruned=True)", "runs(group, pruned=False)"),
        ("the more camera excess the better", "float(-value if name", "float(value if name"),
        (
            "the combination of the time",
            "combined(row) if name == COMBINED else row.get(name)",
            "row.get(name)",
        ),
        (
            "a collapse has no scores",
            "DIVERGED_VALUE if name == COMBINED else -np.inf",
            "DIVERGED_VALUE if name == COMBINED else np.nan",
        ),
        (
            "the bound is a candidate",
            "if not run.config.trains_with_identities]",
            "if run.config.seed >= 0]",
        ),
        ("a run without its queries is lost", "or len(queries) < len(kept) or", "or"),
    ),
    *of(
        "selection",
        "analysis/data/candidates.py",
        "tests/analysis/test_selection.py",
        ("presets are drawn", 'run.trial.origin == "search" or', 'run.trial.origin != "plan" or'),
    ),
    *of(
        "selection",
        "analysis/stats/selection.py",
        "tests/analysis/stats/test_selection.py",
        ("the worst weigh most", "np.maximum(r, t) ** 2", "np.minimum(r, t) ** 2"),
        ("weights are not squared", "np.maximum(r, t) ** 2", "np.maximum(r, t)"),
        (
            "the last of equals is chosen",
            "int(rows[s[rows].argmax()])",
            "int(rows[-1 - s[rows][::-1].argmax()])",
        ),
        (
            "against networks that nobody would choose",
            "_best(m, list(picked.values())) - m[winner]",
            "_best(m) - m[winner]",
        ),
        ("the first step for the last step", "- m[rows[-1]] for rows", "- m[rows[0]] for rows"),
        ("the best of every resample", "m[rows][m[rows][:, 0].argmax()]", "m[rows].max(axis=0)"),
        ("random choice of all networks", "- m[last].mean(axis=0)", "- m.mean(axis=0)"),
        ("a one-sided interval", "[LEVEL / 2, 1 - LEVEL / 2]", "[LEVEL, 1 - LEVEL]"),
        ("the first half for both", "[:drawn] for each in measured]", "[:drawn] for each in measured[:1]]"),
        ("settled by the half that judges", "best, there = settled(one)", "best, there = settled(other)"),
        (
            "judged by the half that settled",
            "judge_score(other, products(other)[best])",
            "judge_score(one, products(one)[best])",
        ),
        ("settled by the most regret", "best = min((name for name", "best = max((name for name"),
        (
            "settled by runs alone",
            'measures["regret_runs"][0] + measures["regret_steps"][0])',
            'measures["regret_runs"][0])',
        ),
        (
            "a collapse is worth something",
            "np.clip(turned(found.scores[name]), 0, 1)",
            "np.nan_to_num(turned(found.scores[name]), neginf=1)",
        ),
    ),
    *of(
        "selection",
        "analysis/data/runs.py",
        "tests/analysis/data/test_runs.py",
        (
            "a run that diverged has a selected network",
            "self.trial.diverged_at if self.diverged else self.trial.selected_step",
            "self.trial.selected_step or self.trial.diverged_at",
        ),
        (
            "a pruned run is chosen",
            'left_out = trial.state != "complete" or trial.origin',
            "left_out = trial.origin",
            "tests/analysis/stats/test_unlabelled.py",
        ),
        (
            "the lowest score comes first",
            'left_out, -(trial.objective_value("unlabelled")',
            'left_out, (trial.objective_value("unlabelled")',
            "tests/analysis/stats/test_unlabelled.py",
        ),
    ),
    *of(
        "selection",
        "analysis/stats/unlabelled.py",
        "tests/analysis/stats/test_unlabelled.py",
        (
            "scores of a network that is lost",
            "row = {} if run.diverged else run.trial.selected",
            "row = run.trial.selected",
        ),
    ),
    *of(
        "selection",
        "analysis/people/rank_lists.py",
        "tests/analysis/people/test_rank_lists.py",
        (
            "neighbours of the same camera",
            "else cameras != cameras[tracklet]",
            "else cameras == cameras[tracklet]",
        ),
        ("the farthest first", "np.argsort(-(v[rows]", "np.argsort((v[rows]"),
    ),
    *of(
        "selection",
        "analysis/stats/confirmed.py",
        "tests/analysis/test_tables.py",
        (
            "a search by score in the order of mAP",
            "trial.objective_value(objective) or",
            'trial.objective_value("last") or',
        ),
    ),
    *of(
        "selection",
        "analysis/people/network.py",
        "tests/analysis/test_ranks.py",
        (
            "the best step before the selected one",
            "(step != selected, step != best,",
            "(step != best, step != selected,",
        ),
    ),
    *of(
        "selection",
        "analysis/selection.py",
        "tests/analysis/test_selection.py",
        ("halves of other settings are averaged", "for group in groups}) == 1", "for group in groups}) >= 1"),
    ),
    *of(
        "selection",
        "analysis/figures/selection.py",
        "tests/analysis/test_selection.py",
        (
            "the worst run is shown as the chosen one",
            "key=lambda run: -s[chosen_of",
            "key=lambda run: s[chosen_of",
        ),
        (
            "the last step is marked as the selected one",
            '"selected": chosen_of[run]}',
            '"selected": rows[-1]}',
        ),
    ),
]
