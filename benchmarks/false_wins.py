"""How often a confirmed search is told to beat the paper's configuration where nothing is better.

    python benchmarks/false_wins.py --quick      200 ledgers, half a minute
    python benchmarks/false_wins.py              2,000, six minutes

Every ledger is made up: a search of 20 configurations on one seed, of which the best K are run on five fresh
seeds beside the paper's, as `--confirm K --seeds 5` chooses them. A run is worth 35 points of mAP, its seed's
effect (deviation 3, the same for all configurations) and noise (deviation 1). The report's own verdict
is then asked for (`analysis/stats/confirmed.py`), which takes the noise to be the same everywhere
(--papers-noise 2: the paper's runs have more of it). "false wins": how often it says better, nominally 2.5 %;
"of one": how often the paired t test of the configuration picked would, as if it were the only one. Power:
how often a win is told if one of the 20 is truly better by --gain points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measure import options, set_up, table, write_json

from analysis.data.results import Group, Study
from analysis.data.runs import runs
from analysis.stats.comparisons import compare
from analysis.stats.confirmed import confirmation
from dcreid.config import Config
from study.command.parser import parser
from study.command.resolve import resolve
from study.decide.confirmation import confirmation as runs_to_confirm
from study.plan import StudyPlan
from study.record.ledger import TrialRecord

CONFIRMED = (3, 10)
_LAMBDA1 = [0.1 + 0.01 * i for i in range(20)]  # of the configurations drawn; the first is the better one
_MEAN, _OF_SEEDS, _OF_RUNS = 35.0, 3.0, 1.0  # points of mAP


def plan_of(confirmed: int, seeds: int) -> StudyPlan:
    """A search of 20 configurations that confirms so many of them."""
    words = ["--samples", str(len(_LAMBDA1)), "--confirm", str(confirmed), "--seeds", str(seeds)]
    return resolve(parser().parse_args([*words, "--pruner", "none"]))


def made_up(
    plan: StudyPlan, drawn: Sequence[Config], rng: np.random.Generator, gain: float = 0.0, noise: float = 1.0
) -> Group:
    """A finished search with its confirmation. gain: of the first drawn; noise: of the paper's, in points."""
    effects = _OF_SEEDS * rng.standard_normal(1 + plan.seeds)

    def ended(number: int, config: Config, origin: str) -> TrialRecord:
        own = gain if config.merge.lambda1 == _LAMBDA1[0] else 0.0
        spread = _OF_RUNS if config.merge.lambda1 in _LAMBDA1 else noise
        value = _MEAN + own + effects[config.seed - plan.config.seed] + spread * rng.standard_normal()
        return _ended(number, config, origin, float(value) / 100)

    trials = [ended(0, plan.config, plan.preset)]
    trials += [ended(number, config, "search") for number, config in enumerate(drawn, start=1)]
    confirming = enumerate(runs_to_confirm(plan, trials), start=len(trials))
    trials += [ended(number, item.config, "confirm") for number, item in confirming]
    described = {"dataset": {"name": "made up", "protocol": "none", "fingerprint": "", "train_tracklets": 0}}
    return Group("made up", (Study(Path("made-up"), described, plan, tuple(trials)),))


def _ended(number: int, config: Config, origin: str, value: float) -> TrialRecord:
    """A complete trial of one merge step."""
    row = {"mAP": value, "total_steps": 1}
    return TrialRecord(
        number, config.to_dict(), "", origin, (), {}, {}, 0.0,
        state="complete", value=value, steps={0: row, 1: row},
    )  # fmt: skip


def win(group: Group) -> tuple[bool, bool]:
    """Whether the verdict says better, and whether the paired test of the one picked would by itself."""
    best = confirmation(runs(group), group).best
    assert best is not None
    alone = compare(pd.Series(best.gain.difference.runs))
    return best.gain.sign > 0, alone.sign > 0


def rates(
    confirmed: int, seeds: int, ledgers: int, gain: float = 0.0, noise: float = 1.0
) -> tuple[float, float]:
    """How many percent of the ledgers have a `win`: by the verdict, and by the paired test."""
    rng, plan = np.random.default_rng(0), plan_of(confirmed, seeds)
    drawn = [plan.config.replace(**{"merge.lambda1": value}) for value in _LAMBDA1]
    won = [win(made_up(plan, drawn, rng, gain, noise)) for _ in range(ledgers)]
    verdict, alone = 100 * np.mean(won, axis=0)
    return float(verdict), float(alone)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--ledgers", type=int, metavar="N", help="made up for every number [2000]")
    parser.add_argument("--seeds", type=int, default=5, help="fresh ones of each configuration [5]")
    parser.add_argument("--gain", type=float, default=2.0, help="points, for the power [2]")
    parser.add_argument("--papers-noise", type=float, default=1.0, help="deviation of its runs in points [1]")
    args = parser.parse_args()
    set_up(args)
    ledgers = args.ledgers or (200 if args.quick else 2000)
    rows = []
    for confirmed in CONFIRMED:
        verdict, alone = rates(confirmed, args.seeds, ledgers, noise=args.papers_noise)
        power, _ = rates(confirmed, args.seeds, ledgers, args.gain, args.papers_noise)
        rows.append((confirmed, verdict, alone, power))
    error = 100 * math.sqrt(0.025 * 0.975 / ledgers)
    table(
        f"{ledgers:,} ledgers, {args.seeds} fresh seeds; percent, ± {error:.2f} (standard error) at 2.5",
        ("K confirmed", "false wins", "of one", f"power at {args.gain:g} points"),
        rows,
    )
    found = [dict(zip(("confirmed", "false_wins", "alone", "power"), row, strict=True)) for row in rows]
    write_json(args.json, "false_wins", {"rates": found}, args)


if __name__ == "__main__":
    main()
