"""The paper's claims as a table: what was found at each step, with p, and what it could have found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.data.results import Group
from analysis.page.typeset import Table, p_value
from analysis.stats.findings import CURVE, Finding
from study.plan import PAPERS
from study.record.intervals import LEVEL, MISSING, interval_text


def claims_table(found: Sequence[Finding], group: Group) -> Table:
    """A group's findings, a row for each claim and step."""
    own = [each for each in found if each.group is group]
    return Table(
        name="claims",
        title=f"What the paper claims, and what this study says, {group.name}",
        columns=(
            "claim",
            "step",
            "this study",
            "contrast",
            "mAP trapezoid",
            "rank-1",
            "p",
            "p (Holm)",
            "seeds",
            "paper",
        ),
        rows=tuple(_cells(each) for each in own),
        caption=_caption(own, group),
        numbers=pd.DataFrame([_numbers(each) for each in own]),
        left=4,
        quoted=1,
    )


def _cells(finding: Finding) -> tuple[str, ...]:
    claim, shown = finding.claim.text, finding.shown or MISSING
    printed = ", ".join(
        f"{name} {interval_text(size, signed=True)}"
        for name, size in finding.printed.items()
        if size is not None
    )
    # The paper's are of its best step.
    papers = (printed or "curve only") if finding.at in ("", "best", CURVE) else MISSING
    if finding.mAP is None or finding.rank1 is None:
        return claim, MISSING, finding.text, *(MISSING,) * 6, papers
    return (
        claim,
        finding.at,
        finding.text,
        shown,
        finding.mAP.text(signed=True),
        finding.rank1.text(signed=True),
        p_value(finding.p),
        p_value(finding.holm),
        str(len(finding.per_seed)),
        papers,
    )


def _caption(found: Sequence[Finding], group: Group) -> str:
    tests = max((each.tests for each in found), default=0)
    level = f"{LEVEL:g}/{max(tests, 1)}"
    text = (
        "Points, mean ± 95 % interval over seeds (uncorrected), judged by mAP where a claim does not name "
        "rank-1. p: two-sided, paired over seeds, of the whole claim; of several contrasts a row shows the "
        f"one that decides. p (Holm): corrected for the {tests} tests of this page (claims, steps, data); "
        "verdicts go by it, at 5 %. best: the paper's protocol, beside the paper's difference; test labels "
        "have chosen that step, so it is no test. 'Could have found': what so many seeds of this spread "
        f"would find four times in five, at the level that Holm asks first ({level}), and the seeds that the "
        "paper's difference needs there. Best set: not significantly below the best value (Hsu's test, 5 % "
        "for each set). Fig 3, in our words: to rise is to be higher in the last quarter of the merge steps "
        "than after the first; to flatten, to change less per step in the last third than in the first."
    )
    if any("diverged" in each.remarks for each in found):
        text += " A run whose training diverged counts as 0 from there on."
    if group.preset != PAPERS:
        text += f" The paper's claims are of its own method, these runs vary the preset {group.preset}."
    return text


def _numbers(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": finding.claim.text, "at": finding.at, "verdict": finding.verdict}
    if finding.mAP is not None and finding.rank1 is not None:
        row |= {
            "shown": finding.shown,
            **finding.mAP.columns("mAP_trapezoid"),
            **finding.rank1.columns("rank1"),
            "p": finding.p,
            "p_holm": finding.holm,
            "tests": finding.tests,
            "seeds": len(finding.per_seed),
            "could_have_found": finding.could_have_found,
            "seeds_needed": finding.papers_seeds,
        }
    return row | {f"paper_{name}": size for name, size in finding.printed.items()}
