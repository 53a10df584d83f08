"""Differences between settings as forest plots: the paper's claims, and what variants are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from analysis.charts.forest import ABOVE, BELOW, OPEN, UNTESTED, Row, forest
from analysis.data.published import SHORT
from analysis.data.results import Group
from analysis.data.runs import Run, runs_of
from analysis.page.frame import chart
from analysis.page.typeset import Table, number, p_value
from analysis.sections.paper_parts import heading, hidden
from analysis.stats.comparisons import Comparison
from analysis.stats.confirmed import Candidate, confirmation, step_maximised
from analysis.stats.findings import CONTRADICTED, SUPPORTED, Finding
from analysis.stats.variants import gain, gains, labels
from search_spaces.paper import BOUND_NOTE
from study.record.intervals import FEWEST_SEEDS, LEVEL, interval_text

_VARIANTS = {
    "bound": "What training with identities is worth",
    "leak_audit": "What leaking labels is worth",
    "choices": "What each choice is worth: what the paper leaves open",
    "practice": "What each choice is worth: what others do",
}
_VERDICTS = {ABOVE: "supported", BELOW: "contradicted", OPEN: "not decided", UNTESTED: "no verdict"}
_CLAIMED = (
    "Above zero is what the paper claims, in mAP (trapezoid) or, where the claim names it, in rank-1. Where "
    "several differences must be above zero, the one that decides is shown. The paper's own are of its best "
    "step."
)
_SIGNS = {ABOVE: "better", BELOW: "worse", OPEN: "not decided", UNTESTED: "no verdict"}


def claims(
    group: Group, found: Sequence[Run], judged: Sequence[Finding], held: Mapping[str, Table]
) -> Iterator[Markup]:
    """The paper's claims as a forest plot; judged: the findings of all groups of the page."""
    shown = [one for one in judged if one.group is group and one.per_seed and one.at != "best"]
    if not shown:
        return
    yield heading(f"What the paper claims, {group.name}")
    rows = [_claim(one, found, group) for one in shown]
    yield chart(forest(rows, "difference (points)", _VERDICTS), f"{_CLAIMED} {_corrected(judged)}")
    yield hidden(held, "claims")


def _corrected(judged: Sequence[Finding]) -> str:
    tests = sum(one.is_tested for one in judged)
    if not tests:
        return f"A verdict takes {FEWEST_SEEDS} seeds or more."
    corrected = f"p and verdicts are corrected for the {number(tests, 'test')} of this page (Holm)"
    return f"{corrected}; intervals are not."


def _claim(finding: Finding, found: Sequence[Run], group: Group) -> Row:
    assert finding.difference is not None
    lost = {
        run.trial.seed for name in finding.claim.experiments for run in runs_of(found, name) if run.diverged
    }
    signs = {SUPPORTED: ABOVE, CONTRADICTED: BELOW}
    more = f"{finding.shown}: {finding.text}" if finding.shown else finding.text
    return Row(
        finding.claim.text,
        finding.at,
        finding.difference,
        {f"seed {seed}": value for seed, value in finding.per_seed.items()},
        signs.get(finding.verdict, OPEN) if finding.is_tested else UNTESTED,
        _verdict(finding),
        more,
        _printed(finding, group),
        frozenset(f"seed {seed}" for seed in lost),
    )


def _verdict(finding: Finding) -> str:
    """In a few words."""
    if not finding.is_tested:
        return _untested(len(finding.per_seed), finding.verdict)
    return f"{finding.verdict.split(' (')[0]}, p {p_value(finding.holm)}"


def _printed(finding: Finding, group: Group) -> dict[str, float]:
    """The paper's difference on the group's data set; failing that, on those where it prints one."""
    known = {whose: size for whose, size in finding.printed.items() if size is not None}
    own = SHORT.get(group.dataset)
    return {own: known[own]} if own in known else known


def confirmed(group: Group, found: Sequence[Run], held: Mapping[str, Table]) -> Iterator[Markup]:
    """The configurations of a search that were run on fresh seeds, against the paper's."""
    if "search" not in held:
        return
    of, at = confirmation(found, group), step_maximised(group)
    rows = [_candidate(one, at) for one in of.others if one.gain.difference.n]
    if rows:
        many = f" Corrected for the choice among {of.judged} (Dunnett)." if of.judged > 1 else ""
        yield heading(f"The best of the search on fresh seeds, {group.name}")
        yield chart(
            forest(rows, "gain in mAP over the paper's configuration (points)", _SIGNS),
            f"Against the paper's configuration, on seeds that the search did not see, paired by seed.{many}",
        )
    yield hidden(held, "search")


def _candidate(one: Candidate, at: str) -> Row:
    difference = one.gain.difference
    sign = _sign(one.gain, one.gain.p)  # by Dunnett
    return Row(
        one.name,
        at,
        difference,
        {f"run {number}": value for number, value in enumerate(difference.runs, start=1)},
        sign,
        _said(one.gain, one.gain.p) if sign == UNTESTED else f"{_SIGNS[sign]}, {_said(one.gain, one.gain.p)}",
        f"mAP {one.fresh.text()} on fresh seeds, {interval_text(one.chosen)} when chosen",
    )


def variants(group: Group, found: Sequence[Run], held: Mapping[str, Table]) -> Iterator[Markup]:
    """What variants of the base are worth, where a plan of variants was run."""
    asked = {study.plan.experiments for study in group.studies}
    for plan, title in _VARIANTS.items():
        rows = list(_gains(plan, group, found)) if plan in asked and plan in held else []
        if rows:
            base = next(iter(labels(plan, group).values()))
            note = f" {BOUND_NOTE}." if plan == "bound" else ""
            yield heading(f"{title}, {group.name}")
            yield chart(
                forest(rows, "gain in mAP trapezoid (points)", _SIGNS),
                f"Against {base}, paired by seed. p and colours: corrected for all gains here at "
                f"the last and the selected step (Holm).{note}",
            )
            yield hidden(held, plan)


def _gains(plan: str, group: Group, found: Sequence[Run]) -> Iterator[Row]:
    base, *_ = called = labels(plan, group)
    for (experiment, at), (compared, p) in gains(called, found).items():
        if experiment == base or at == "best" or not compared.difference.n:
            continue
        lost = {run.trial.seed for name in (base, experiment) for run in runs_of(found, name) if run.diverged}
        by_seed = gain(found, experiment, base, at).dropna()
        yield Row(
            called[experiment],
            at,
            compared.difference,
            {f"seed {seed}": value for seed, value in by_seed.items()},
            _sign(compared, p),
            _said(compared, p),
            diverged=frozenset(f"seed {seed}" for seed in lost),
        )


def _sign(compared: Comparison, p: float) -> str:
    """p: corrected."""
    if compared.obstacle:
        return UNTESTED
    if not p < LEVEL:
        return OPEN
    return ABOVE if compared.difference.mean > 0 else BELOW


def _said(compared: Comparison, p: float) -> str:
    if compared.obstacle:
        return _untested(compared.difference.n, compared.obstacle)
    return f"p {p_value(p)}"


def _untested(seeds: int, why: str) -> str:
    """How few seeds there are, or what else is in the way."""
    return number(seeds, "seed") if seeds < FEWEST_SEEDS else why.split(":")[0]
