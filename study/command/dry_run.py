"""`--dry-run`: the resolved plan, its first configurations, and what it would cost on this machine.

The cost comes from one timed training batch and one timed feature batch of the real network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import optuna
import torch
from rich.console import Console
from rich.table import Table

from dcreid.config import Config
from dcreid.data.augmentation import normalise
from dcreid.data.store import store_bytes
from dcreid.data.tracklets import TrackletDataset
from dcreid.network.backbone import Backbone, backbone_of
from dcreid.precision import autocast
from search_spaces.grid import grid_points
from search_spaces.symbols import symbol, value_text
from study.decide.confirmation import runs_to_confirm
from study.decide.sharing import Sharing
from study.plan import StudyPlan
from study.search.rungs import cuts, epochs_trained
from study.search.samplers import make_sampler
from study.show.wording import describe_objective

_TIMED_FRAMES = 32
_FIRST = 5  # configurations that would be drawn
_GIVEN = 8  # runs that are given: trial 0 and the settings of the paper's tables are seven


@dataclass(frozen=True)
class Cost:
    """Of one trial. `train`, `feature` and `test_frames` count passes of single frames."""

    steps: int
    train_frames: int
    feature_frames: int
    seconds_after: tuple[float, ...]  # merge step 0 (the untrained network), 1, …, the last
    first_stages_seconds: float  # of that, what trials of a search over λ1 and λ2 have in common
    store_bytes: int
    checkpoint_bytes: int  # of a trial under way
    weight_bytes: int  # what a finished one keeps of a step, but for tables of labels and joins

    @property
    def seconds(self) -> float:
        """Of the whole trial."""
        return self.seconds_after[-1]


def estimate(config: Config, data: TrackletDataset, cpus: float = 1.0) -> Cost:
    """Counts the frames of a trial and times the network on them, on a GPU or on `cpus` cores."""
    torch.set_num_threads(max(1, int(cpus)))
    n = len(data.train)
    steps = config.merge.merge_steps(n)
    epoch_frames = config.train.draws(n) * config.data.frames
    train, most = config.to_dict()["train"], config.data.eval_frames
    splits = [data.train] + ([] if data.test is None else [data.test])
    times = 2 if config.data.eval_mirror else 1
    per_pass = [times * int((s.lengths.clip(max=most) if most else s.lengths).sum()) for s in splits]
    # The untrained network and the last step are measured on all frames.
    more = 0 if data.test is None else times * int(data.test.lengths.sum()) - per_pass[1]
    frames = [(0, sum(per_pass) + more)]
    frames += [
        (epochs_trained(train, s) * epoch_frames, (s + 1) * sum(per_pass) + more * (1 + (s == steps)))
        for s in range(1, steps + 1)
    ]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = backbone_of(config.replace(**{"model.weights": "none"})).to(device)
    train_rate, feature_rate = _rates(backbone, config, device)
    shared_frames = (config.train.first_epochs + config.train.later_epochs) * epoch_frames
    weights = sum(value.numel() * value.element_size() for value in backbone.state_dict().values())
    memory = 4 * n * (backbone.dim if config.model.head == "none" else config.model.embedding_dim)
    size = config.data.height, config.data.width
    return Cost(
        steps,
        *frames[-1],
        tuple(trained / train_rate + passed / feature_rate for trained, passed in frames),
        shared_frames / train_rate + 2 * sum(per_pass) / feature_rate,
        sum(store_bytes(split, *size) for split in splits),
        weights + memory,
        weights,
    )


def _rates(backbone: Backbone, config: Config, device: torch.device) -> tuple[float, float]:
    """Frames per second in training and for features."""
    size = (_TIMED_FRAMES, config.data.height, config.data.width, 3)
    frames = torch.randint(0, 255, size, dtype=torch.uint8, device=device)

    def timed(training: bool) -> float:
        backbone.train(training)
        passes = []
        for _ in range(3):
            started = time.perf_counter()
            with torch.set_grad_enabled(training), autocast(device, config.train.precision):
                features = backbone(normalise(frames, config.train.channels_last))
                if training:
                    features.float().square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            passes.append(time.perf_counter() - started)
        return _TIMED_FRAMES / min(passes)

    return timed(True), timed(False)


def print_plan(plan: StudyPlan, data: TrackletDataset, console: Console) -> None:
    """Prints what a session would do."""
    console.print(f"study {plan.name} in {plan.folder}", soft_wrap=True)
    console.print(
        f"data: {data.name}, {len(data.train):,} training tracklets, {data.protocol}", soft_wrap=True
    )
    for problem in data.problems:
        console.print(f"data: {problem}", style="yellow", soft_wrap=True)
    _print_config(plan, console)
    _print_search(plan, console)
    cost = estimate(plan.fixed_items()[0][1].config, data, plan.cpus_per_trial)
    _print_cost(plan, cost, data, console)


def _print_config(plan: StudyPlan, console: Console) -> None:
    standard = Config().flat()
    title = f"base configuration (trial 0, preset {plan.preset})"
    table = Table("field", "value", "", title=title, box=None, pad_edge=False)
    for name, value in plan.config.flat().items():
        table.add_row(name, str(value), "" if value == standard[name] else f"default {standard[name]}")
    console.print(table)


def _print_search(plan: StudyPlan, console: Console) -> None:
    fixed = plan.fixed_items()
    console.print(f"runs that are given: {len(fixed)}")
    for origin, item in fixed[:_GIVEN]:
        console.print(f"  {origin}: {item.label}, seed {item.config.seed}", soft_wrap=True)
    space = plan.search_space
    if space is None:
        return
    columns = ("field", "range", "condition", *(("grid",) if plan.sampler == "grid" else ()))
    table = Table(title=f"search space {space.name}", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "field")
    for row in space.describe():
        table.add_row(*(row[column] for column in columns))
    console.print(table)
    console.print(f"what the search maximises: {describe_objective(plan.objective)}", soft_wrap=True)
    console.print(
        f"{plan.samples} finished trials, sampler {plan.sampler}, pruner {plan.pruner}; the first ones:"
    )
    for point in _first_points(plan):
        text = ", ".join(f"{symbol(name)} {value_text(value)}" for name, value in point.items())
        console.print(f"  {text}", soft_wrap=True)


def _first_points(plan: StudyPlan) -> list[dict[str, object]]:
    space = plan.search_space
    assert space is not None
    if plan.sampler == "grid":
        return list(grid_points(space)[:_FIRST])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=make_sampler(plan.sampler, space, plan.config.seed))
    return [space.draw(study.ask()) for _ in range(min(_FIRST, plan.samples))]


def _print_cost(plan: StudyPlan, cost: Cost, data: TrackletDataset, console: Console) -> None:
    device = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f"{plan.cpus_per_trial:g} CPU core(s)"
    )
    trials = len(plan.fixed_items())
    if plan.space is not None:  # what is given, and trial 0, count as samples
        trials += max(0, plan.samples - 1 - len(plan.given)) + runs_to_confirm(plan)
    # The newest two, of a finished trial the last, beside the selected one and, with labels, the best.
    kept = 3 if data.test is None else 4
    saved = cost.first_stages_seconds * Sharing(plan, [i.config for _, i in plan.fixed_items()]).taken_over()
    for line in (
        f"one trial: {cost.steps} merge steps, {cost.train_frames:,} frames trained on, "
        f"{cost.feature_frames:,} for features; about {_hours(cost.seconds)} on {device}",
        *_cuts_in_words(plan, cost, len(data.train)),
        f"the study: {trials} trials, {_hours(trials * cost.seconds - saved)} of trial time without pruning"
        f"{f', {_hours(saved)} being saved by shared stages' if saved else ''}",
        f"disk: {cost.store_bytes / 2**30:.2f} GiB of packed frames on each machine (--cache {plan.cache}), "
        f"{kept * cost.checkpoint_bytes / 2**20:.0f} MiB of checkpoints for a trial under way, "
        f"{(kept - 1) * cost.weight_bytes / 2**20:.0f} MiB when it has finished",
    ):
        console.print(line, soft_wrap=True)


def _cuts_in_words(plan: StudyPlan, cost: Cost, tracklets: int) -> Iterator[str]:
    """After which merge steps trials end early, and what they have cost by then."""
    if plan.pruner != "asha":
        return
    train, eta = plan.base["train"], plan.asha_eta
    steps = cuts(plan.config, tracklets, eta, plan.asha_rungs, plan.grace, plan.objective)
    yield f"ASHA (--asha-eta {eta}, --asha-rungs {plan.asha_rungs}) ends trials that are drawn:"
    total = epochs_trained(train, cost.steps)
    for i, step in enumerate(steps, 1):
        yield (
            f"  after merge step {step} ({epochs_trained(train, step)} of {total} epochs, "
            f"{100 * cost.seconds_after[step] / cost.seconds:.0f} % of a trial's cost) one in {eta} goes on, "
            f"{100 / eta**i:.2g} % of all"
        )
    if not steps:
        yield "  none, as no rung comes before the last merge step"
    elif len(steps) == 1 and 2 * cost.seconds_after[steps[0]] > cost.seconds:
        yield "  which saves little: this schedule has few merge steps, or few epochs in later stages"
    space = plan.search_space
    if space is not None and {"train.first_epochs", "train.later_epochs"} & set(space.fields):
        yield "  those with other epochs: after their own first merge step with as many"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.1f} min"
