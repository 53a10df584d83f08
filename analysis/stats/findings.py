"""What runs say of the paper's claims: judged together, since many tests find something by chance alone.

A claim is judged at the last and at the selected step, both chosen without test labels, and one about curves
once. Its p is two-sided and of the claim as a whole. Of several contrasts that all must be above zero the
largest one-sided p speaks for it (an intersection-union test), and the smallest, times their number, against
it. Holm's correction is over all claims, steps and groups given together, that is, of a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from statsmodels.stats.multitest import multipletests

from analysis.data import published
from analysis.data.results import Group, setting
from analysis.data.runs import (
    Run,
    experiments_of,
    of_experiment,
    runs,
    runs_of,
    steps_told,
    unlabelled,
    why_missing,
)
from analysis.stats.claims import FEWEST_STEPS, PAPERS_MAP, Claim, claims
from analysis.stats.comparisons import Comparison, best_set, compare
from analysis.stats.power import MOST_SEEDS, detectable, seeds_needed
from study.record.intervals import LEVEL, Estimate, estimate, interval_text, same

CURVE = "whole curve"  # in place of a step
SUPPORTED, CONTRADICTED, NOT_DECIDED = "supported", "contradicted", "not decided"
IN_BEST_SET = "in the best set"
UNJUDGED = "not judged"  # at the best step, which test labels have chosen


@dataclass(frozen=True)
class Finding:
    """What a group's runs say of a claim at one step.

    Of several contrasts the one that decides is shown: the least significant of them.
    """

    group: Group
    claim: Claim
    at: str  # last, selected, best, or CURVE; empty where nothing could be measured
    verdict: str
    remarks: str = ""  # runs that diverged or failed
    shown: str = ""  # name of the contrast that is shown
    per_seed: Mapping[int, float] = field(default_factory=dict)  # it, in points
    mAP: Estimate | None = None  # of the same experiments, trapezoid
    rank1: Estimate | None = None
    p: float = math.nan  # NaN where nothing was tested
    speaks_for: bool = False  # whether it is that of the claim rather than of its opposite
    also_best: tuple[str, ...] | None = None  # with the claimed value in the best set; None: it is not in it
    holm: float = math.nan  # p corrected for `tests`
    tests: int = 0
    could_have_found: float = math.nan  # where it is not decided
    papers: tuple[str, float] | None = None  # then a printed difference, whose it is,
    papers_seeds: int | None = None  # and the seeds that it would need; None: more than `MOST_SEEDS`

    @property
    def difference(self) -> Estimate | None:
        """In the measure that decides, with its uncorrected 95 % interval; None without a measurement."""
        if not self.at:
            return None
        return self.rank1 if self.claim.contrasts[self.shown].measure == "rank1" else self.mAP

    @property
    def is_tested(self) -> bool:
        """Whether it counts among the tests of its page."""
        return not math.isnan(self.p)

    @property
    def printed(self) -> dict[str, float | None]:
        """The paper's own difference by data set, None where it prints none."""
        return {short: self.claim.printed(dataset) for dataset, short in published.SHORT.items()}

    @property
    def text(self) -> str:
        """The verdict and all that goes with it, in a line."""
        parts = [self.verdict, self.remarks, self._power() if self.could_have_found > 0 else ""]
        return "; ".join(filter(None, parts))

    def _power(self) -> str:
        found = f"could have found {interval_text(self.could_have_found)}"
        if self.papers is None:
            return found
        whose, size = self.papers
        seeds = f"more than {MOST_SEEDS:,}" if self.papers_seeds is None else f"{self.papers_seeds:,}"
        return (
            f"{found}, and the paper's {interval_text(size, signed=True)} ({whose}) would need {seeds} seeds"
        )


def findings(groups: Sequence[Group]) -> list[Finding]:
    """Every claim on every group with labels at every step told of; corrected for all that is tested."""
    found = []
    for group in groups:
        if not unlabelled(group):
            done = runs(group)
            failed = _failed(done, group)
            found += [each for claim in claims(group) for each in measured(claim, done, group, failed)]
    return corrected(found)


def corrected(found: Sequence[Finding]) -> list[Finding]:
    """With Holm's p, and with verdicts by it, for these findings together."""
    holm = iter(multipletests([each.p for each in found if each.is_tested], method="holm")[1])
    tests = sum(each.is_tested for each in found)
    return [_judged(each, float(next(holm)), tests) if each.is_tested else each for each in found]


def measured(
    claim: Claim, found: Sequence[Run], group: Group, failed: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """A claim's findings, one for each step told of, with p; verdicts on what is tested are still missing.

    failed: experiment to trials that crashed, by name.
    """
    missing = [name for name in claim.experiments if not runs_of(found, name)]
    void = [list(c.weights) for c in claim.contrasts.values() if c.is_void(found)]
    remarks = _remarks(claim, found, failed)
    if claim.untestable:
        yield Finding(group, claim, "", f"not tested: {claim.untestable}")
    elif missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        verdict = f"{why_missing(group, missing[0])}: {missing[0]}{more}"
        yield Finding(group, claim, "", verdict, remarks)
    elif void:
        yield Finding(group, claim, "", f"not tested: {' and '.join(void[0])} are one configuration here")
    else:
        for at in (CURVE,) if claim.of_curves else steps_told(found):
            yield replace(_at_step(claim, found, group, at), remarks=remarks)


def _at_step(claim: Claim, found: Sequence[Run], group: Group, at: str) -> Finding:
    values = {name: contrast.per_seed(found, at) for name, contrast in claim.contrasts.items()}
    tested = {name: compare(series - claim.least) for name, series in values.items()}
    shown = max(tested, key=lambda name: (_one_sided(tested[name]), -tested[name].difference.mean))
    finding = Finding(
        group,
        claim,
        at,
        NOT_DECIDED,
        shown=shown,
        per_seed={int(str(seed)): float(value) for seed, value in values[shown].items()},
        mAP=estimate(claim.contrasts[shown].per_seed(found, at, "mAP_trapezoid")),
        rank1=estimate(claim.contrasts[shown].per_seed(found, at, "rank1")),
    )
    fewest = min(tested.values(), key=lambda each: each.difference.n)
    if at == "best":
        return replace(finding, verdict=UNJUDGED)
    if claim.of_curves and not fewest.difference.n:
        return replace(finding, verdict=f"too few merge steps measured (at least {FEWEST_STEPS} are needed)")
    if not fewest.enough or all(each.obstacle for each in tested.values()):
        return replace(finding, verdict=fewest.obstacle)
    p, speaks_for = p_of_claim(list(tested.values()))
    return replace(finding, p=p, speaks_for=speaks_for, also_best=_also_best(claim, found, at))


def p_of_claim(tested: Sequence[Comparison]) -> tuple[float, bool]:
    """Two-sided p of a claim that all contrasts are above zero, and whether it speaks for the claim.

    For it speaks the largest one-sided p, against it the smallest the other way, times their number.
    """
    support = max(_one_sided(each) for each in tested)
    against = min(1.0, len(tested) * min(_one_sided(each, below=True) for each in tested))
    return min(1.0, 2 * min(support, against)), support <= against


def _one_sided(tested: Comparison, *, below: bool = False) -> float:
    """p of a contrast's being above zero, or below it; 1 without spread, which proves nothing."""
    if math.isnan(tested.p):
        return 1.0
    return tested.p / 2 if (tested.difference.mean > 0) != below else 1 - tested.p / 2


def _also_best(claim: Claim, found: Sequence[Run], at: str) -> tuple[str, ...] | None:
    """The other values that may be best, if the claimed one may be."""
    if not claim.values:
        return None
    claimed, *_ = claim.values
    best = best_set(
        {label: of_experiment(found, name, PAPERS_MAP, at) for label, name in claim.values.items()}
    )
    return tuple(label for label in claim.values if label in best - {claimed}) if claimed in best else None


def _judged(finding: Finding, holm: float, tests: int) -> Finding:
    """With its verdict; undecided with what it could have found at the level of Holm's first step."""
    finding = replace(finding, holm=holm, tests=tests)
    if holm < LEVEL:
        return replace(finding, verdict=SUPPORTED if finding.speaks_for else CONTRADICTED)
    verdict = NOT_DECIDED
    if finding.also_best is not None:
        others = ", ".join(finding.also_best)
        why = f"not told apart from {others}" if others else "alone, before the correction"
        verdict = f"{IN_BEST_SET} ({why})"
    values, level = np.array(list(finding.per_seed.values())), LEVEL / tests
    if same(values):
        return replace(finding, verdict=verdict)
    sd, papers = float(values.std(ddof=1)), _papers(finding)
    return replace(
        finding,
        verdict=verdict,
        could_have_found=detectable(sd, len(values), level),
        papers=papers,
        papers_seeds=seeds_needed(papers[1], sd, level) if papers else None,
    )


def _papers(finding: Finding) -> tuple[str, float] | None:
    """The paper's difference on these data or, failing that, on others, if it is one to be found."""
    printed = {name: size for name, size in finding.printed.items() if size is not None}
    own = published.SHORT.get(finding.group.dataset)
    whose = own if own in printed else next(iter(printed), None)
    if whose is None or printed[whose] <= finding.claim.least:
        return None
    return whose, printed[whose] - finding.claim.least


# --- runs that came to nothing


def _remarks(claim: Claim, found: Sequence[Run], failed: Mapping[str, Sequence[str]]) -> str:
    """Per experiment how many of its runs diverged, and which trials failed."""
    parts = []
    for name in claim.experiments:
        diverged = [run.diverged for run in runs_of(found, name)]
        if any(diverged):
            parts.append(f"{name}: {sum(diverged)} of {len(diverged)} diverged")
        if name in failed:
            parts.append(f"{name}: {', '.join(failed[name])} failed")
    return ", ".join(parts)


def _failed(found: Sequence[Run], group: Group) -> dict[str, list[str]]:
    """Experiment to its failed trials, without those whose configuration and seed were run again."""
    done = {(run.setting, run.trial.seed) for run in found}
    named: dict[str, list[str]] = {}
    for study in group.studies:
        for trial in study.trials:
            if trial.state == "failed" and (setting(trial.config), trial.seed) not in done:
                name = f"trial {trial.number}" + (f" of {study.name}" if len(group.studies) > 1 else "")
                for experiment in experiments_of(trial, group):
                    named.setdefault(experiment, []).append(name)
    return named
