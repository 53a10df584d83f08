"""What was run, on what, how long, what it cost; and what did not finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from analysis.data.changes import changed_in_base, changed_in_settings
from analysis.data.results import Group, Results, Study
from analysis.data.runs import unlabelled
from analysis.page.frame import Section, command, facts, paragraph, render
from analysis.page.spent import spent
from dcreid.config import Config
from dcreid.presets import PRESETS
from search_spaces.paper import BOUND_LABEL
from study.record.intervals import MISSING
from study.record.ledger import TrialRecord
from study.show.next_command import next_command, retry_command
from study.show.wording import trial_numbers

_NAMED = 10  # trials that are named one by one


def about(results: Results) -> Section:
    """Every study's facts, then the trials that failed, diverged or have not ended."""
    parts = [Markup("<h3>{}</h3>\n{}").format(study.name, facts(_facts(study))) for study in results.studies]
    return Section("about", "What was run", Markup().join([*parts, _unfinished(results)]))


def warned(studies: Sequence[Study]) -> Iterator[str]:
    """What the studies' trials warned of, such as frames that could not be read."""
    for study in studies:
        trials: dict[str, list[int]] = {}
        for trial in study.trials:
            for note in trial.warnings:
                trials.setdefault(note, []).append(trial.number)
        for note, numbers in trials.items():
            yield f"{study.name}, {trial_numbers(numbers, _NAMED)}: {note}"


def _facts(study: Study) -> list[tuple[str, str | Markup]]:
    described, plan = study.description, study.plan
    states = Counter(trial.state for trial in study.trials)
    hardware = described.get("hardware", {})
    kind = (
        f"plan {plan.experiments}" if plan.experiments else f"search by {plan.sampler}, pruner {plan.pruner}"
    )
    seeds = f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    if plan.confirm:
        seeds = f"the best {plan.confirm}, trial 0's and the paper's again on {seeds}"
    group = Group(study.name, (study,))
    if plan.experiments == "bound":
        kind += f", {BOUND_LABEL}"
    return [
        ("what", f"{kind}; {seeds}"),
        ("preset", f"{plan.preset}: {PRESETS[plan.preset].help}"),
        ("trials", ", ".join(f"{count} {state}" for state, count in states.items())),
        ("data", f"{study.data['name']}: {study.data['train_tracklets']:,} training tracklets, "
                 + ("no labels" if unlabelled(group)
                    else f"{study.data['queries']:,} queries; {study.data['protocol']}")),
        ("problems of the data", "; ".join(study.data.get("problems", [])) or "none"),
        ("changed from the settings", changed_in_settings(group)),
        *spent(study),
        ("machine", f"{hardware.get('host')}, {hardware.get('cpus')} CPUs, "
                    f"GPUs: {', '.join(hardware.get('gpus') or []) or 'none'}; {hardware.get('platform')}"),
        ("code", f"commit {_short(described.get('git'))}, dcreid {described.get('code')}, "
                 f"Python {described.get('python')}"),
        ("packages", ", ".join(f"{k} {v}" for k, v in described.get("packages", {}).items() if v)),
    ]  # fmt: skip


def _short(commit: str | None) -> str:
    """12 digits of a commit, and whether files differed from it."""
    return "unknown" if commit is None else commit[:12] + commit[40:]


def _unfinished(results: Results) -> Markup:
    rows, again = [], []
    for group in results.groups:
        for study in group.studies:
            states = {trial.state for trial in study.trials}
            if "running" in states:
                again.append(next_command(study.plan, complete=False).removeprefix("to go on: "))
            if "failed" in states:
                again.append(retry_command(study.plan))
            rows += [
                (study.name, str(trial.number), *_unfinished_row(trial, group))
                for trial in study.trials
                if trial.state in ("failed", "diverged", "running")
            ]
    retried = sum(max(0, trial.attempts - 1) for study in results.studies for trial in study.trials)
    started = paragraph(f"Trials started again after a crash or a stop: {retried}.") if retried else Markup()
    if not rows:
        ended = "Every trial that was started has ended; none has failed or diverged."
        return Markup().join([paragraph(ended), started])
    columns = ("study", "trial", "configuration", "state", "steps", "reason")
    table = render("unfinished.html", columns=columns, rows=rows)
    goes_on = [paragraph("To go on:"), command("\n".join(again))] if again else []
    return Markup().join([table, started, *goes_on])


def _unfinished_row(trial: TrialRecord, group: Group) -> tuple[str, str, str, str]:
    name = f"{changed_in_base(Config.from_dict(trial.config), group)}, seed {trial.seed}"
    state = "not finished" if trial.state == "running" else trial.state
    total = MISSING if trial.total_steps is None else trial.total_steps
    return name, state, f"{max(trial.last_step, 0)} of {total}", trial.reason or MISSING
