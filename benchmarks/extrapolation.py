"""From measured rates to the hours of a trial and of a study at MARS's size."""

from __future__ import annotations

from dataclasses import dataclass

from dcreid.config import Config
from dcreid.presets import paper
from study.plan import StudyPlan
from study.search.rungs import cuts

# MARS: training tracklets and their frames, test tracklets and theirs.
TRACKLETS, FRAMES, TEST_TRACKLETS, TEST_FRAMES = 8_298, 509_914, 12_180, 681_089
ETA, RUNGS = StudyPlan.asha_eta, StudyPlan.asha_rungs  # a study's defaults


@dataclass(frozen=True)
class Rates:
    """What was measured on one device."""

    train: float  # frames per second
    features: float  # frames per second
    merge: float  # seconds of distances, criterion and joins at MARS's size
    evaluate: float  # seconds of distances and retrieval at MARS's size


def trial_seconds(rates: Rates, config: Config | None = None, steps: int | None = None) -> float:
    """Seconds of a trial up to merge step `steps` (None: to its end).

    Counts what `Algorithm` does: every stage trains on `frames` of each tracklet per epoch; the
    untrained network's and every stage's features take all training frames, and every evaluation
    all test frames, `eval_frames` of each tracklet at most; the untrained network and the last step are
    measured on all. Assumes that the rates hold all along,
    that reading frames, checkpoints and reports hide behind the network, and MARS's counts.
    """
    config = config or paper("mars")
    total = config.merge.merge_steps(TRACKLETS)
    steps = total if steps is None else min(steps, total)
    if steps == 0:
        return 0.0
    train, most = config.train, config.data.eval_frames
    epochs = train.first_epochs + (steps - 1) * train.later_epochs
    own = min(FRAMES, most * TRACKLETS) if most else FRAMES
    test = min(TEST_FRAMES, most * TEST_TRACKLETS) if most else TEST_FRAMES
    evaluations = steps // config.evaluate.eval_every
    tested = evaluations * test + TEST_FRAMES  # the untrained network's
    if steps == total:  # the last evaluation always takes place, on all frames
        tested += TEST_FRAMES - test * (steps % config.evaluate.eval_every == 0)
        evaluations += steps % config.evaluate.eval_every != 0
    seconds = epochs * TRACKLETS * config.data.frames / rates.train
    seconds += ((steps + 1) * own + tested) / rates.features
    return seconds + steps * rates.merge + (evaluations + 1) * rates.evaluate


def study_seconds(
    rates: Rates, config: Config | None = None, *, samples: int = 50, pruning: bool, sharing: int = 0
) -> float:
    """Seconds of device time of a study of `samples` trials, one of them the paper's, which runs to its end.

    pruning: of the others one in two goes on at each rung of a study's default, as in successive halving
    once it has seen many trials; early ones are let through more easily.
    sharing: first stages that all trials have in common and only the first computes: 0 where τ and α
    are searched, 2 where only λ1, λ2 and the like are (the second as a rule: Eq (7) hardly acts on
    single tracklets).
    """
    config = config or paper("mars")
    steps = config.merge.merge_steps(TRACKLETS)
    whole = trial_seconds(rates, config)
    others, reached, share = 0.0, 0, 1.0
    for stop in [*(cuts(config, TRACKLETS, ETA, RUNGS) if pruning else ()), steps]:
        others += share * (trial_seconds(rates, config, stop) - trial_seconds(rates, config, reached))
        reached, share = stop, share / ETA
    saved = trial_seconds(rates, config, sharing) if sharing else 0.0
    return whole + (samples - 1) * (others - saved)
