"""The people of a study on its page: what goes wrong most, rank lists, pairs of cameras, and what merged.

Of one trial after one merge step. Merge steps come from the trial's tables. Rank lists need the features of
its network: they are computed once and kept (`analysis/people/findings.py`). What is not at hand (frames,
identities, cameras, a checkpoint) costs what needs it, and one line says what would bring it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from analysis.data.folder import ResultsError
from analysis.data.results import Study
from analysis.page.frame import Pictures, Section, command, paragraph, render
from analysis.people.findings import Findings, findings_of, keep, kept, wrong_firsts
from analysis.people.history import History, history_of
from analysis.people.network import by_preference, choose, data_of, rebuild
from analysis.people.shown import (
    Portraits,
    camera_pairs,
    how_chosen,
    merge_steps,
    rank_lists,
    share,
)
from analysis.people.tiles import Thumbnails
from analysis.people.wrong import of_classes, of_first_ranks, of_joins
from dcreid.commandline import say
from dcreid.config import Config
from dcreid.data.tracklets import DataError, TrackletDataset
from dcreid.evaluation.joins import RIGHT, WRONG
from study.errors import StorageError
from study.record.ledger import TrialRecord
from study.worker.checkpoints import checkpoint_steps

_MARKS = (
    "Blue: the query. ✓ green: the same person. × red and dashed: another. ○ grey: ignored, being "
    "junk or the query's person seen by the query's own camera. c: camera. The first match is shown "
    "wherever it "
    "ranks."
)
_NO_MARKS = "Blue: a tracklet; beside it those that are nearest to it. Nobody knows who they are. c: camera."


@dataclass
class _Given:
    """What a page of people is made of; None: not at hand, and `missing` says why."""

    study: Study
    trial: TrialRecord
    step: int
    data: TrackletDataset | None
    history: History | None
    found: Findings | None
    missing: list[str]
    uncomputed: bool  # rank lists could be computed, and were not


def people(
    study: Study,
    pictures: Pictures,
    *,
    trial: int | None = None,
    step: int | None = None,
    data_root: Path | None = None,
    cache: Path | None = None,
    folder: Path | None = None,
    compute: bool = True,
    key: str = "people",
    heading: str = "People",
) -> Section | None:
    """The section, None where there is no trial to show.

    trial, step: None as the study chooses. data_root, cache: None = as in the study. folder: where findings
    are kept, None = `analysis` in the study. compute: whether a network is rebuilt where findings are not
    kept. Raises ResultsError for a trial or step that is named and cannot be shown, and with DataError for
    a `data_root` that does not hold the study's data.
    """
    try:
        chosen = choose(study, trial)
    except ResultsError:
        if trial is not None:
            raise
        return None
    given = _gather(
        study, chosen, step, pictures, data_root, cache, folder or study.folder / "analysis", compute
    )
    if given.history is None and given.found is None:
        return None
    return Section(key, heading, _body(given, pictures))


def _gather(
    study: Study,
    trial: TrialRecord,
    wanted: int | None,
    pictures: Pictures,
    data_root: Path | None,
    cache: Path | None,
    folder: Path,
    compute: bool,
) -> _Given:
    missing: list[str] = []
    history = history_of(study, trial)
    if history is None:
        missing.append(f"what the merges joined: not recorded of trial {trial.number}")
    try:
        data = data_of(study, trial, data_root)
    except (DataError, ResultsError) as error:
        if data_root is not None:
            raise
        missing.append(f"pictures: {error}")
        data = None
    step = _step(study, trial, wanted, history)
    folders = [folder, study.folder / "analysis"]
    found = kept(study, trial, step, folders)
    uncomputed = found is None and not compute and data is not None
    if uncomputed:
        missing.append("rank lists: their network has not been looked at yet")
    elif found is None and data is not None:
        found = _computed(study, trial, step, data_root, cache, folder, missing)
    return _Given(study, trial, step, data, history, found, missing, uncomputed)


def _step(study: Study, trial: TrialRecord, wanted: int | None, history: History | None) -> int:
    """The step that is wanted, else the first by preference that has a checkpoint, else that was measured.

    Raises ResultsError where the trial has made no such step.
    """
    made = [step for step in trial.steps if step > 0] or (
        [] if history is None else range(1, history.steps + 1)
    )
    if wanted is not None:
        if wanted not in made:
            raise ResultsError(
                f"--step {wanted}: trial {trial.number} has made merge steps 1 to {max(made, default=0)}"
            )
        return wanted
    try:
        with_weights = checkpoint_steps(study.storage(trial.number))
    except (OSError, StorageError):
        with_weights = []
    return next(iter(by_preference(trial, with_weights or made)), 0)


def _computed(
    study: Study,
    trial: TrialRecord,
    step: int,
    data_root: Path | None,
    cache: Path | None,
    folder: Path,
    missing: list[str],
) -> Findings | None:
    """Findings of the rebuilt network, kept for the next page; None where it cannot be rebuilt."""
    say(f"rank lists: features of trial {trial.number} after merge step {step} (kept for the next time)")
    try:
        found = findings_of(rebuild(study, trial.number, data_root, cache, step))
    except (ResultsError, DataError, StorageError, OSError, MemoryError) as error:
        missing.append(f"rank lists: {error}")
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        say(f"rank lists: {keep(found, study, trial, folder)}")
    except OSError as error:
        say(f"rank lists: not kept in {folder} ({error.strerror})")
    return found


# --- the page


def _body(given: _Given, pictures: Pictures) -> Markup:
    data, found, of = given.data, given.found, str(given.study.data["fingerprint"])
    train = Thumbnails(None if data is None else data.train, pictures, of)
    test = train
    if found is not None and found.labelled:
        test = Thumbnails(None if data is None else data.test, pictures, of)
    portraits = Portraits(_names(given), None if data is None else data.train, train)
    parts = [paragraph(_opening(given)), _most_wrong(given, test, portraits)]
    if given.missing:
        parts.append(_missing(given))
    if found is not None and found.lists:
        marks = _MARKS if found.labelled else _NO_MARKS
        others = " of other cameras" if _elsewhere(found) else ""
        title = "Rank lists" if found.labelled else f"Nearest tracklets{others}"
        parts += [Markup("<h3>{}</h3>\n").format(title), Markup('<p class="caption">{}</p>\n').format(marks)]
        parts.append(rank_lists(found, test))
    if found is not None and len(found.pairs) > 1:
        parts += [Markup("<h3>Accuracy by pair of cameras</h3>\n"), camera_pairs(found.pairs)]
    if given.history is not None and given.history.steps:
        parts += [Markup("<h3>What the merges joined</h3>\n"), _merges(given, portraits)]
    return Markup().join(parts)


def _elsewhere(found: Findings) -> bool:
    """Whether all that is listed was seen by another camera than the tracklet that it is near."""
    return all(
        hit.camera is not None and hit.camera != one.query.camera for one in found.lists for hit in one.hits
    )


def _names(given: _Given) -> Sequence[str]:
    """Names of the training tracklets; numbers where the data are not at hand."""
    if given.data is not None:
        return given.data.train.names
    count = 0 if given.history is None else given.history.labels.shape[1]
    return [f"tracklet {number}" for number in range(count)]


def _opening(given: _Given) -> str:
    text = f"Trial {given.trial.number} after merge step {given.step}{how_chosen(given.trial, given.step)}."
    found = given.found
    if found is None or not found.labelled:
        return text
    right = len(found.firsts) - len(wrong_firsts(found))
    return (
        f"{text} The nearest that counts is the right person for "
        f"{share(right, len(found.firsts), 'queries')}."
    )


def _most_wrong(given: _Given, test: Thumbnails, portraits: Portraits) -> Markup:
    labelled, items = given.found is not None and given.found.labelled, []
    if given.found is not None and labelled:
        items += of_first_ranks(given.found, test)
    if given.history is not None:
        items += of_joins(given.history)
        if 1 <= given.step <= given.history.steps:
            items += of_classes(given.history, given.step, portraits)
    title = "What goes wrong most" if labelled else "What the classes look like"
    return render("people-wrong.html", title=title, items=items)


def _missing(given: _Given) -> Markup:
    """What is not shown and why, with the command that brings it."""
    words = ["python", "analysis/report.py", str(given.study.folder)]
    elsewhere = given.data is None and given.study.plan.root is not None
    words += ["--data-root", "DIR"] if elsewhere else []
    return render(
        "people-missing.html",
        missing=[one.rstrip(".") for one in given.missing],
        command=command(shlex.join(words)) if elsewhere or given.uncomputed else "",
    )


def _merges(given: _Given, portraits: Portraits) -> Markup:
    history = given.history
    assert history is not None
    exact = Config.from_dict(given.trial.config).merge.method == "exact"
    known = history.joins is not None and bool(history.joins["right"].isin((RIGHT, WRONG)).any())
    caption = "Classes are shown by some of their tracklets, evenly chosen."
    if known:
        caption += (
            " A join is right where the commonest person of both classes is the same, else wrong (×, dashed)."
        )
    step = min(max(given.step, 1), history.steps)
    body = merge_steps(history, portraits.names, portraits.split, portraits.thumbnails, step, exact=exact)
    return Markup('<p class="caption">{}</p>\n').format(caption) + body
