"""How trials, values and times are written for people: on the console, in the summary, by `status`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dcreid.config import Config
from dcreid.presets import PRESETS, laid_over, settings_of
from search_spaces.paper import BOUND_LABEL
from search_spaces.rivals import RIVAL_BASES, RIVAL_LABELS
from search_spaces.symbols import symbol, value_text
from study.plan import PAPERS, StudyPlan
from study.record.intervals import MISSING
from study.record.ledger import TrialRecord

_MANY = 12  # fields that a line does not hold
# Headings that nobody takes for those of the measures themselves.
NORMALISED = {"mAP_camera_normalised": "cam-norm mAP", "rank1_camera_normalised": "cam-norm rank-1"}
NORMALISED_MEANS = "cam-norm: on test features normalised per camera (--eval-camera-normalise)"


def parameters(trial: TrialRecord, plan: StudyPlan) -> str:
    """What distinguishes a trial from the others: `λ1 0.06 λ2 0.003 τ 0.1 α linear 0.5`

    In a search the fields searched; in one over many fields, and in a plan of given runs, what differs from
    trial 0. Runs of another method than trial 0's go by its name.
    """
    own, base = Config.from_dict(trial.config).flat(), plan.config.flat()
    searched = [] if plan.space is None else [prior["field"] for prior in plan.space["priors"]]
    if len(searched) > _MANY:
        searched = []
    method = method_of(trial, plan)
    differing = [] if method else [name for name in own if own[name] != base[name] and name != "seed"]
    shown = [name for name in own if name in searched or name in differing]
    texts = [method] if method else []
    for name in sorted(shown, key=lambda name: (name.split(".")[-1] not in ("lambda1", "lambda2"),)):
        if name == "train.alpha_schedule":
            end = f" {value_text(own['train.alpha'])}" if "train.alpha" in shown else ""
            texts.append(f"α {own[name]}{end}")
        elif name != "train.alpha" or "train.alpha_schedule" not in shown:
            texts.append(f"{symbol(name)} {value_text(own[name])}")
    if trial.seed != plan.config.seed or (plan.seeds > 1 and not plan.confirm):
        texts.append(f"seed {trial.seed}")
    return " ".join(texts) or whose(plan)


def method_of(trial: TrialRecord, plan: StudyPlan) -> str:
    """A rival by its name, the bound as what it is, and a preset that trial 0 does not have; else nothing."""
    if is_bound(trial):
        return BOUND_LABEL
    rivals = [
        RIVAL_LABELS[label] for label in trial.labels if label not in RIVAL_BASES and label in RIVAL_LABELS
    ]
    if rivals:
        return rivals[0]
    beside = next((name for name in trial.labels if name in PRESETS and name != plan.preset), "")
    return "the paper's" if beside == PAPERS else beside


def is_bound(trial: TrialRecord) -> bool:
    """Whether a trial was trained with identities, and is no result of the method."""
    return Config.from_dict(trial.config).trains_with_identities


def whose(plan: StudyPlan) -> str:
    """Whose configuration trial 0 has: `the paper's`, `preset buc's`"""
    return "the paper's" if plan.preset == PAPERS else f"preset {plan.preset}'s"


def changed_by_options(plan: StudyPlan) -> str:
    """`, 3 fields changed by options`: only without any is trial 0's configuration the method's own."""
    own = laid_over(settings_of(plan.config.data.dataset), plan.preset).flat()
    count = sum(value != own[name] for name, value in plan.config.flat().items() if name != "seed")
    return f", {count} field{'s' if count > 1 else ''} changed by options" if count else ""


def normalised_columns(trials: Iterable[TrialRecord], *metrics: str) -> dict[str, str]:
    """Metric to heading, of those on test features normalised per camera that some trial has measured."""
    rows = [row for trial in trials for row in trial.steps.values()]
    measured = (name for name in metrics or NORMALISED if any(row.get(name) is not None for row in rows))
    return {name: NORMALISED[name] for name in measured}


def trial_name(trial: TrialRecord) -> str:
    """`trial 3`, and where it was not drawn what it is: `trial 3 [table1/baseline]`"""
    if trial.origin == "search":
        return f"trial {trial.number}"
    return f"trial {trial.number} [{trial.labels[0] if trial.labels else trial.origin}]"


def trial_numbers(numbers: Sequence[int], most: int | None = None) -> str:
    """`trial 3`, `trials 3, 4`; at most so many one by one: `trials 3, 4 …`"""
    more = " …" if most is not None and len(numbers) > most else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:most]))}{more}"


def taken_over(trial: TrialRecord) -> str:
    """`trial 3 [table1] taken over from study mars-table1, trial 3: complete, mAP 61.2`"""
    result = ", ".join(filter(None, (trial.state, come_to(trial))))
    return f"{trial_name(trial)} taken over from {trial.reused}: {result}"


def come_to(trial: TrialRecord) -> str:
    """`mAP 28.1, selected 27.0 at 6`, without labels `score 91.3 at 6`; nothing before either is measured."""
    if not trial.curve():
        return f"score {selected_text(trial, 'unlabelled')}" if trial.selected else ""
    text = f"mAP {percent(last_value(trial))}"
    return f"{text}, selected {selected_text(trial, 'mAP')}" if trial.selected else text


def selected_text(trial: TrialRecord, metric: str) -> str:
    """`27.0 at 6`: a metric at the merge step selected without labels; – where none is."""
    row = trial.selected
    return f"{percent(row.get(metric))} at {row['step']}" if row else MISSING


def last_value(trial: TrialRecord, metric: str = "mAP") -> float | None:
    """mAP, or another metric, at the last merge step that was measured."""
    curve = trial.curve(metric)
    return curve[max(curve)] if curve else None


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal."""
    return MISSING if value is None else f"{100 * value:.1f}"


def clock(seconds: float) -> str:
    """`4:05`, `2:04:05` or `3 d 02:04`"""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe_objective(objective: str) -> str:
    """What a study maximises."""
    return _OBJECTIVES[objective]


_OBJECTIVES = {
    "last": "the mAP of the last merge step",
    "best": "the mAP of the best merge step (chosen with test labels)",
    "unlabelled": "the highest score without labels of any merge step",
}
