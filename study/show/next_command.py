"""What to type next: to go on with a study, to confirm it, or for more of the same."""

from __future__ import annotations

import shlex
from pathlib import Path

from dcreid.data.readers.folder import has_test_split
from study.plan import MODELS, StudyPlan


def next_command(plan: StudyPlan, complete: bool) -> str:
    """What to type to go on, or for more of the same."""
    resume = _resume(plan)
    if not complete:
        return f"to go on: {resume}"
    if plan.experiments is not None:
        return f"more seeds: {resume} --seeds {plan.seeds + 2}"
    return f"more of the same search: {resume} --samples {2 * plan.samples}"


def confirm_command(plan: StudyPlan) -> str:
    """What to type to run the best configurations of a search again on seeds that it never saw."""
    return f"{_resume(plan)} --confirm 3 --seeds 5"


def retry_command(plan: StudyPlan) -> str:
    """What to type to take failed trials up again."""
    return f"{_resume(plan)} --retry-failed"


def classes_commands(plan: StudyPlan) -> str:
    """What to type to see the chosen classes, and to be told how many there should be."""
    study = shlex.quote(str(plan.folder))
    return f"pictures of them: python analysis/album.py {study}; how many: python analysis/classes.py {study}"


def models_of(plan: StudyPlan) -> list[str]:
    """The models that the study keeps (`study/models.py`), and what to type to use one; empty without."""
    kept = sorted((plan.folder / MODELS).glob("*.safetensors"), reverse=True)  # selected, last, best
    if not kept:
        return []
    names = ", ".join(path.stem for path in kept)
    words = " ".join(map(shlex.quote, (str(kept[0]), *_sides(plan))))
    return [
        f"models: {kept[0].parent}/ (.safetensors): {names}",
        f"to search with one: python -m dcreid search {words}",
    ]


def _sides(plan: StudyPlan) -> tuple[str, str]:
    """What there is to search in the study's data: queries in the gallery; without any, tracklets in all."""
    root = plan.root or "synthetic"
    if plan.config.data.dataset == "folder" and not has_test_split(Path(root)):
        return f"{root}:train", f"{root}:train"
    return f"{root}:query", f"{root}:gallery"


def _resume(plan: StudyPlan) -> str:
    default = Path("studies").resolve()
    name = plan.name if Path(plan.studies) == default else shlex.quote(str(plan.folder))
    return f"python study/run.py --resume {name}"
