"""What the paper claims, each as contrasts between experiments that must be above zero.

A contrast is a weighted sum over experiments, taken per seed and tested against zero. A claim with
several contrasts ("the best of all") is supported if every one is significantly positive, and
contradicted if any is significantly negative, with Bonferroni's correction for their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.data import published as printed
from analysis.data.results import Group
from analysis.data.runs import Run, of_experiment, steps_told, why_missing
from analysis.page.typeset import Table, p_value
from analysis.stats.comparisons import FEWEST_SEEDS, Comparison, compare
from search_spaces.paper import CRITERIA, FIG4_LAMBDA1, FIG5_LAMBDA2, TABLE3_TEMPERATURES
from study.record.intervals import MISSING, interval_text

Contrast = Mapping[str, float]  # experiment to weight


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper; every contrast, under a name where there are several, is above zero."""

    text: str
    contrasts: Mapping[str, Contrast]


def _best(prefix: str, symbol: str, best: float, values: tuple[float, ...]) -> dict[str, Contrast]:
    own = f"{prefix}/{best:g}"
    return {f"over {symbol} = {v:g}": {own: 1.0, f"{prefix}/{v:g}": -1.0} for v in values if v != best}


_BASELINE, _L1, _BOTH = CRITERIA
CLAIMS = (
    Claim("λ1 helps", {"": {_L1: 1, _BASELINE: -1}}),
    Claim("λ2 helps on top of λ1", {"": {_BOTH: 1, _L1: -1}}),
    Claim("λ2 adds more than λ1 did", {"": {_BOTH: 1, _L1: -2, _BASELINE: 1}}),
    Claim("growing α beats fixed", {"": {"table2/linear": 1, "table2/fixed": -1}}),
    Claim("τ = 0.1 is best", _best("table3", "τ", 0.1, TABLE3_TEMPERATURES)),
    Claim("τ = 0.3 collapses: below half of τ = 0.1", {"": {"table3/0.1": 0.5, "table3/0.3": -1}}),
    Claim("λ1 = 0.06 is best", _best("fig4", "λ1", printed.BEST_LAMBDA1, FIG4_LAMBDA1)),
    Claim("λ2 = 0.003 is best", _best("fig5", "λ2", printed.BEST_LAMBDA2, FIG5_LAMBDA2)),
)


@dataclass(frozen=True)
class Finding:
    """What a study says of a claim: the weakest contrast, and the verdict in words."""

    verdict: str
    against: str
    mAP: Comparison | None
    rank1: Comparison | None


def judge(claim: Claim, found: Sequence[Run], group: Group, at: str) -> Finding:
    """Tests a claim on mAP (trapezoid), the paper's measure."""
    needed = dict.fromkeys(name for contrast in claim.contrasts.values() for name in contrast)
    missing = [name for name in needed if of_experiment(found, name, "mAP", at).empty]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return Finding(f"{why_missing(group, missing[0])}: {missing[0]}{more}", MISSING, None, None)
    tested = {
        name: compare(per_seed(contrast, found, "mAP_trapezoid", at))
        for name, contrast in claim.contrasts.items()
    }
    weakest = min(tested, key=lambda name: tested[name].difference.mean)
    rank1 = compare(per_seed(claim.contrasts[weakest], found, "rank1", at))
    return Finding(verdict_of(list(tested.values())), weakest, tested[weakest], rank1)


def claims_table(found: Sequence[Run], group: Group) -> Table:
    """Every claim at every step told of."""
    rows, numbers = [], []
    for claim in CLAIMS:
        for at in steps_told(found):
            finding = judge(claim, found, group, at)
            closest = finding.against not in ("", MISSING)
            text = f"{claim.text} ({finding.against})" if closest else claim.text
            rows.append((text, published(claim), at, finding.verdict, *_cells(finding)))
            numbers.append({"claim": claim.text, "at": at, "verdict": finding.verdict, **_numbers(finding)})
    return Table(
        name="claims",
        title=f"What the paper claims, and what this study says, {group.name}",
        columns=("claim", "paper (mAP)", "step", "this study", "mAP trapezoid", "p", "rank-1", "seeds"),
        rows=tuple(rows),
        caption=(
            "Differences in points, mean ± 95 % interval of the per-seed contrast; p of a two-sided paired "
            f"t test over seeds on mAP (trapezoid); fewer than {FEWEST_SEEDS} seeds give no verdict. Where a "
            "value must beat several others, the row shows the closest of them, and all must be beaten."
        ),
        numbers=pd.DataFrame(numbers),
        left=4,
    )


def published(claim: Claim) -> str:
    """The claim's difference in the paper's own mAP, per data set; – where the text prints no numbers."""
    differences = []
    for dataset, short in printed.SHORT.items():
        rows = printed.ablations(dataset)
        if all(name in rows for contrast in claim.contrasts.values() for name in contrast):
            sums = [sum(w * rows[name].mAP for name, w in c.items()) for c in claim.contrasts.values()]
            differences.append(f"{short} {interval_text(min(sums), signed=True)}")
    return ", ".join(differences) or "curve only"


def per_seed(contrast: Contrast, found: Sequence[Run], metric: str, at: str) -> pd.Series[float]:
    """The weighted sum of every seed that all experiments ran on."""
    parts = [weight * of_experiment(found, name, metric, at) for name, weight in contrast.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part  # aligned by seed; a missing one gives NaN
    return total.dropna()


def verdict_of(tested: list[Comparison]) -> str:
    """What contrasts that all have to be above zero say together."""
    seeds = min(each.difference.n for each in tested)
    if seeds < FEWEST_SEEDS:
        return f"not enough seeds ({seeds} of at least {FEWEST_SEEDS})"
    if all(each.sign() > 0 for each in tested):
        return "supported"
    if any(each.sign(tests=len(tested)) < 0 for each in tested):
        return "contradicted"
    return "not decided"


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    if finding.mAP is None or finding.rank1 is None:
        return (MISSING,) * 4
    mean_ap, rank1 = finding.mAP.difference, finding.rank1.difference
    return mean_ap.text(signed=True), p_value(finding.mAP.p), rank1.text(signed=True), str(mean_ap.n)


def _numbers(finding: Finding) -> dict[str, object]:
    if finding.mAP is None or finding.rank1 is None:
        return {}
    return {
        "against": finding.against,
        **finding.mAP.difference.columns("mAP_trapezoid"),
        "p": finding.mAP.p,
        **finding.rank1.difference.columns("rank1"),
        "seeds": finding.mAP.difference.n,
    }
