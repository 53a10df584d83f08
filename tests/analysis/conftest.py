"""Studies made up for these tests: real files, invented numbers, no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from made_joins import joins_of_step
from made_scores import rising
from trained_study import trained_study

from analysis.data.results import Group, load
from dcreid.config import Config
from dcreid.evaluation.retrieval import QueryResults
from dcreid.presets import settings_of
from search_spaces.paper import plan, with_seeds
from search_spaces.spaces import load_space
from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.record.storage import Storage
from study.record.trial_tables import save_joins, save_queries

STEPS = 3
# what a row has only with labels
LABELLED = (
    *("mAP", "mAP_trapezoid", "rank1", "rank5", "rank10", "rank20", "queries", "queries_skipped"),
    *("purity", "nmi", "ari", "pairwise_f"),
)
# (configuration, merge step) to mAP, a fraction
Score = Callable[[Config, int], float]
# the same to scores without labels
Scores = Callable[[Config, int], dict[str, Any]]


def flat_score(config: Config, step: int) -> float:
    """Rises with the step; a little noise that depends on seed and λ2 keeps tests from zero spread."""
    return 0.30 + 0.01 * step + 0.002 * config.seed + 0.0001 * (config.seed * config.merge.lambda2 * 1000 % 7)


def step_row(config: Config, step: int, score: Score) -> dict[str, Any]:
    """A row as the trainable reports it."""
    value = score(config, step)
    row: dict[str, Any] = {
        "step": step,
        "mAP": value,
        "mAP_trapezoid": value - 0.02,
        "rank1": value + 0.2,
        "rank5": value + 0.3,
        "rank10": value + 0.35,
        "rank20": value + 0.4,
        "queries": 100,
        "queries_skipped": 0,
        "classes_after": 100 - 20 * step,
        "total_steps": STEPS,
    }
    if config.evaluate.camera_normalise:
        row |= {"mAP_camera_normalised": value + 0.1, "rank1_camera_normalised": value + 0.25}
    if step:
        row |= {"purity": 0.9, "nmi": 0.8, "ari": 0.1, "pairwise_f": 0.2, "alpha": 0.1 * step, "loss": 2.0}
        row |= {
            "class_size_max": 5 * step,
            "class_size_median": 1.0 * step,
            "classes_before": 120 - 20 * step,
        }
        row |= {
            "seconds_train": 2.0,
            "seconds_features": 0.5,
            "seconds_merge": 0.25,
            "seconds_evaluate": 0.25,
        }
    return row


class Made:
    """A study folder to put trials into."""

    def __init__(self, folder: Path, base: Config, **changes: Any):
        self.folder, self.base = folder, base
        folder.mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "name": folder.name,
            "base": base.to_dict(),
            "root": None,
            "space": None,
            "experiments": None,
            "samples": 6,
            "seeds": 1,
            "objective": "last",
            "sampler": "tpe",
            "pruner": "none",
            "grace": 0,
            "cpus_per_trial": 1.0,
            "gpus_per_trial": None,
            "concurrency": None,
            "time_budget": None,
            "address": None,
            "studies": str(folder.parent),
            "storage": None,
            "cache": ".cache",
            "max_failures": 3,
        }
        self.plan = StudyPlan(**(values | changes))
        sizes = {"mars": 8298, "duke": 2196}
        self.write_description(
            name={"mars": "MARS", "duke": "DukeMTMC-VideoReID"}.get(base.data.dataset, base.data.dataset),
            fingerprint="f" * 16,
            protocol="gallery of 12 rows",
            train_tracklets=sizes.get(base.data.dataset, 96),
            test_tracklets=40,
            queries=12,
            labelled=True,
            problems=[],
        )
        self.ledger = Ledger(folder / "ledger.jsonl")

    def write_description(self, **data: Any) -> None:
        content = {
            "plan": self.plan.to_dict(),
            "dataset": data,
            "command": "python study/run.py",
            "commands": ["python study/run.py --dataset duke"],
            "created": 1.0,
            "code": "c" * 16,
            "git": None,
            "python": "3.11",
            "packages": {"torch": "2"},
            "hardware": {"host": "here", "cpus": 2, "gpus": [], "memory_bytes": 1 << 30, "platform": "Linux"},
        }
        (self.folder / "study.json").write_text(json.dumps(content))

    def trial(
        self,
        config: Config,
        score: Score | None = flat_score,
        *,
        state: str = "complete",
        steps: int = STEPS,
        labels: tuple[str, ...] = (),
        origin: str = "plan",
        reason: str | None = None,
        scores: Scores | None = None,
    ) -> int:
        number = self.ledger.next_number()
        self.ledger.append(
            "trial", number=number, config=config.to_dict(), digest=config.digest(), origin=origin,
            labels=list(labels), params={}, distributions={},
        )  # fmt: skip
        self.ledger.append("start", trial=number)
        for step in range(steps + 1):
            row = step_row(config, step, score or flat_score)
            if score is None:  # nobody has labels
                row = {name: value for name, value in row.items() if name not in LABELLED}
            extra = {} if scores is None else scores(config, step)
            self.ledger.append("step", trial=number, row=row | extra)
        if state != "running":
            value = score(config, steps) if score and state in ("complete", "pruned") else None
            self.ledger.append("end", trial=number, state=state, reason=reason, value=value)
        return number

    def keep_queries(
        self, number: int, who: Any, precisions: dict[int, Any], first: dict[int, Any] | None = None
    ) -> None:
        """queries.parquet of a trial: whose the queries are; by step their precisions and first matches."""
        ones, k = np.ones(len(who), int), len(who)
        data = SimpleNamespace(
            query=np.arange(k), test=SimpleNamespace(identities=np.asarray(who), cameras=ones)
        )
        results = {
            step: QueryResults(
                query=torch.arange(k),
                average_precision=torch.as_tensor(values),
                average_precision_trapezoid=torch.as_tensor(values) / 2,
                first_match=torch.as_tensor(ones if first is None else first[step]),
                asked=k,
            )
            for step, values in precisions.items()
        }
        storage = Storage(str(self.folder / "trials" / f"{number:04d}"))
        save_queries(storage, results, data, {})  # type: ignore[arg-type]

    def run_plan(
        self, seeds: int, score: Score = flat_score, scores: Scores | None = None, *, steps: int = STEPS
    ) -> None:
        assert self.plan.experiments is not None
        for item in with_seeds(plan(self.plan.experiments, self.base), range(seeds)):
            self.trial(item.config, score, labels=item.experiments, scores=scores, steps=steps)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    """make(dataset, name=…, base=…, **plan fields): an empty study folder."""

    monkeypatch.setattr(
        "study.record.ledger.os.fsync", lambda file: None
    )  # hundreds of lines, all thrown away

    def build(dataset: str = "duke", name: str = "study", base: Config | None = None, **changes: Any) -> Made:
        return Made(tmp_path / name, base or settings_of(dataset), **changes)

    return build


@pytest.fixture
def lambdas_space() -> dict[str, Any]:
    return load_space("lambdas").to_dict()


def height_scores(height: float) -> Scores:
    """Scores that are highest after merge step 2."""

    def scores(config: Config, step: int) -> dict[str, Any]:
        value = height - 0.1 * abs(step - 2)
        return {"unlabelled": value, "self_retrieval": value + 0.05, "camera_excess": 0.3 - value / 10,
                "same_camera": 0.2 + value / 10}  # fmt: skip

    return scores


@pytest.fixture
def nobody_labelled(make: Callable[..., Made]) -> Made:
    """A search on data without labels: trial 2 is chosen; one is pruned, one diverges, one confirms."""
    space = load_space("lambdas").to_dict()
    made = make("folder", space=space, objective="unlabelled")
    for number, (height, state, origin) in enumerate(
        (
            (0.4, "complete", "paper"),
            (0.9, "pruned", "search"),
            (0.6, "complete", "search"),
            (0.8, "diverged", "search"),
            (0.5, "complete", "search"),
            (0.7, "complete", "confirm"),
        )
    ):
        config = made.base.replace(**{"merge.lambda1": 0.06 + 0.1 * number})
        steps = {"complete": STEPS, "pruned": 2, "diverged": 1}[state]
        made.trial(config, None, state=state, steps=steps, origin=origin, scores=height_scores(height))
    return made


@pytest.fixture
def recorded(make: Callable[..., Made]) -> Group:
    """Table 1 on two seeds, joins kept for both seeds of the baseline and one of the final setting."""
    made = make("duke", experiments="table1")
    made.run_plan(seeds=2)
    for record in made.ledger.trials.values():
        if "table1/baseline" in record.labels or (record.seed == 0 and "table1/lambda1" not in record.labels):
            save_joins(Storage(str(made.folder / "trials" / f"{record.number:04d}")), [joins_of_step()], {})
    return load([made.folder]).groups[0]


@pytest.fixture
def searched(make: Callable[..., Made]) -> Made:
    """The paper's setting and twelve drawn trials, every fourth pruned after one step."""
    space = load_space("default")
    study = make("duke", space=space.to_dict())
    study.trial(study.base, origin="paper", labels=("paper",))
    study.trial(study.base.replace(seed=1), origin="paper", labels=("paper",))
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for number in range(12):
        config = study.base.replace(**space.draw(drawn.ask()))
        pruned = number % 4 == 3
        state, steps = ("pruned", 1) if pruned else ("complete", 3)
        study.trial(config, rising, origin="search", state=state, steps=steps)
    return study


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of one real trial; not to be written to."""
    return trained_study(tmp_path_factory.mktemp("studies") / "trained")


@pytest.fixture(scope="session")
def trained_anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, whose classes are made anew at every step, of people whom nobody knows."""
    changes = {"merge.method": "anew", "merge.distance": "squared"}
    return trained_study(tmp_path_factory.mktemp("studies") / "anew", labelled=False, **changes)
