"""One HTML page with all that studies say: opens from disk, without network or server.

python analysis/report.py STUDY [STUDY…] [--out DIR]

What was run, on what, how long, and what it cost; tables, figures and rank lists (those that
analysis/ranks.py has drawn); what failed; the command behind each number.
"""

from __future__ import annotations

import argparse
import html
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

import pandas as pd

from analysis import command
from analysis.curves import figures
from analysis.data.changes import changed_in_base, changed_in_settings
from analysis.data.results import Group, Results, Study, load
from analysis.data.runs import Run, by_score, of_experiment, runs, steps_told, unlabelled
from analysis.figures.style import styled
from analysis.page.html import facts, page, paragraph, picture, plot, preformatted
from analysis.page.reproduce import recipes
from analysis.page.spent import spent
from analysis.page.typeset import Table, html_table
from analysis.stats.confirmed import verdict
from analysis.stats.findings import Finding, findings
from analysis.stats.measures import HEADINGS, measures_of
from analysis.tables import tables
from dcreid.commandline import READABLE, say
from dcreid.config import Config
from dcreid.paths import write_whole
from dcreid.presets import PRESETS
from search_spaces.paper import BOUND, BOUND_LABEL, BOUND_NOTE, FINAL
from study.record.intervals import MISSING, estimate
from study.record.ledger import TrialRecord
from study.show.scores import scores_in_words
from study.show.wording import trial_numbers

# Pictures of analysis/ranks.py in the order in which they are shown, and what they are called.
_PICTURES = {
    "rank-lists-hardest": "hardest queries: lowest average precision first",
    "rank-lists-easiest": "easiest queries: highest average precision first",
    "classes-largest": "largest classes of training tracklets",
    "classes-mixed": "most mixed classes of training tracklets",
    "gallery-map": "the gallery on its principal plane",
    "joins": "what the merges joined, up to this step",
    "neighbours": "training tracklets with those that are nearest to them",
    "classes-cameras": "pairs of tracklets in one class that one camera saw, by merge step",
}
_MARKS = (
    "Blue: the query. Green and ✓: the same person. Red and ×: another. Grey and ○: ignored, being junk or "
    "the query's person seen by the query's camera. In classes, green is the class's commonest person. "
    "c: camera."
)
_NO_MARKS = (
    "Blue: a tracklet, or the members of a class. Grey: its neighbours; nobody knows who they are. c: camera."
)
_NAMED = 10  # trials that are named one by one
_RANKS = re.compile(r"ranks-([0-9]{4,9})-step-([0-9]{3,9})")
_log = logging.getLogger("dcreid.analysis")
_BEST_AND_LAST = (
    "Why two steps: the paper keeps the model of the merge step with the highest mAP on the labelled test "
    "split. That is chosen with test labels, so it is a little too good; with no labels at hand one has the "
    "last step. Late merges join different people, so the last step may lie well below the best."
)
_SELECTED = (
    "A third, the selected one, is chosen without labels too, by a score of each step's network and classes; "
    "python analysis/selection.py says how well that chooses here."
)
_PROTOCOL = (
    "Two mAPs: the published numbers of this family of methods come from MARS's own evaluator, the area "
    "under the precision–recall curve by trapezoids; they are compared with 'mAP trapezoid'. The usual mAP "
    "(rectangle rule) is higher: in runs on a cut of MARS by 0.3 to 2.6 points, on drawn people by 1.6 to "
    "3.9. The gallery is named in every caption."
)


def report(results: Results, folders: Sequence[Path] = ()) -> str:
    """The page. folders: where to look for rank lists."""
    collected = command.Collected()
    with command.warnings_to(collected):
        sections = list(_sections(results, folders))
    problems = [problem for study in results.studies for problem in study.problems]
    left_out = [*problems, *(text for study in results.studies for text in _warned(study))]
    if left_out or collected.messages:
        items = "".join(f"<li>{html.escape(text)}</li>\n" for text in (*left_out, *collected.messages))
        sections.insert(-1, ("left-out", "What was left out, and warnings", f"<ul>\n{items}</ul>\n"))
    return page(f"Studies: {', '.join(study.name for study in results.studies)}", sections)


def _warned(study: Study) -> Iterator[str]:
    """What the study's trials warned of, such as frames that could not be read."""
    trials: dict[str, list[int]] = {}
    for trial in study.trials:
        for note in trial.warnings:
            trials.setdefault(note, []).append(trial.number)
    for note, numbers in trials.items():
        yield f"{study.name}, {trial_numbers(numbers, _NAMED)}: {note}"


def _sections(results: Results, folders: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    judged = findings(results.groups)
    yield "summary", "In short", "".join(_summary(group, judged) for group in results.groups)
    yield "run", "What was run", "".join(_about(study) for study in results.studies)
    labelled = [group for group in results.groups if not unlabelled(group)]
    scored = any("selected" in steps_told(runs(group)) for group in labelled)
    notes = paragraph(_BEST_AND_LAST + (f" {_SELECTED}" if scored else "")) + paragraph(_PROTOCOL)
    numbered = [html_table(table) for group in results.groups for table in tables(group, judged)]
    yield "tables", "Tables", (notes if labelled else "") + "".join(numbered)
    yield "figures", "Figures", "".join(_figures(results))
    heading, marks = ("Rank lists", _MARKS) if labelled else ("Neighbours and classes", _NO_MARKS)
    yield "ranks", heading, _ranks(results, folders, marks)
    yield "failed", "What did not finish", _failed(results)
    yield "reproduce", "How to reproduce each number", _reproduce(results)


def _summary(group: Group, judged: Sequence[Finding]) -> str:
    if unlabelled(group):
        return f"<h3>{html.escape(group.name)}</h3>\n" + facts(_chosen(group))
    found = runs(group)
    pairs = [("data", f"{group.name}, {group.train_tracklets:,} training tracklets; {group.protocol}")]
    for at in ("untrained", *steps_told(found)):
        what = "untrained network" if at == "untrained" else f"final setting, {at} step"
        pairs.append((what, _measured(found, FINAL, at)))
    if group.has_bound:
        pairs += [(f"{BOUND_LABEL}, {at} step", _measured(found, BOUND, at)) for at in steps_told(found)]
        pairs.append(("of the bound", BOUND_NOTE))
    if any(study.plan.space is not None for study in group.studies):
        pairs.append(("best of the search", verdict(found, group)))
    verdicts = [
        (f"{each.claim.text}, {each.at}{'' if each.claim.of_curves else ' step'}", each.text)
        for each in judged
        if each.group is group and each.at not in ("", "best")
    ]
    if not verdicts:
        verdicts = [("what it claims", "not run: python study/run.py --plan paper")]
    pairs += [(f"paper: {text}", said) for text, said in verdicts]
    return f"<h3>{html.escape(group.name)}</h3>\n" + facts(pairs)


def _chosen(group: Group) -> Iterator[tuple[str, str]]:
    """Of data without labels: the trial and step that the score chooses, beside the untrained network."""
    yield "data", f"{group.name}, {group.train_tracklets:,} training tracklets; no labels"
    best = next((run for run in by_score(group) if run.trial.state == "complete"), None)
    if best is None:
        yield "chosen", "nothing yet: no trial is complete"
        return
    row, step = best.trial.selected, best.selected_step
    configuration = changed_in_base(best.config, group)
    yield (
        "chosen",
        f"trial {best.trial.number} at merge step {step} of {best.trial.total_steps}: {configuration}",
    )
    yield "its scores", scores_in_words(row)
    yield "untrained network", scores_in_words(best.trial.steps.get(0, {}))
    yield "its classes", f"{row['classes_after']}, the largest of {row['class_size_max']} tracklets"


def _measured(found: Sequence[Run], experiment: str, at: str) -> str:
    """Means over seeds of what an experiment has measured."""
    count = len(of_experiment(found, experiment, "mAP", at))
    texts = [
        f"{HEADINGS[metric]} {estimate(of_experiment(found, experiment, metric, at)).text()}"
        for metric in measures_of(found)
    ]
    return f"{', '.join(texts)} ({count} runs)" if count else "not run"


def _about(study: Study) -> str:
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
    pairs = [
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
    return f"<h3>{html.escape(study.name)}</h3>\n{facts(pairs)}" + preformatted(
        "\n".join(described.get("commands", []))
    )


def _short(commit: str | None) -> str:
    """12 digits of a commit, and whether files differed from it."""
    return "unknown" if commit is None else commit[:12] + commit[40:]


def _figures(results: Results) -> Iterator[str]:
    for group in results.groups:
        missing = []
        with styled():
            for name, caption, figure in figures(group):
                if isinstance(figure, str):
                    missing.append(f"{name}: {figure}")
                else:
                    yield plot(figure, caption)
        if missing:
            yield paragraph(f"Not drawn for {group.name}: " + "; ".join(missing) + ".")


def _ranks(results: Results, folders: Sequence[Path], marks: str) -> str:
    searched = [*folders, *(study.folder / "analysis" for study in results.studies)]
    found = [path.resolve() for folder in searched for path in sorted(folder.glob("ranks-*"))]
    trials = [path for path in dict.fromkeys(found) if _RANKS.fullmatch(path.name) and path.is_dir()]
    for other in sorted({*found} - {*trials}):
        _log.warning("%s is no folder of analysis/ranks.py and is left out", other)
    if not trials:
        first = results.studies[0].folder
        return paragraph("None drawn yet:") + preformatted(f"python analysis/ranks.py {first}")
    shown = [
        picture(folder / f"{name}.png", f"{_trial_and_step(folder)}: {caption}.")
        for folder in trials
        for name, caption in _PICTURES.items()
        if (folder / f"{name}.png").is_file()
    ]
    return paragraph(marks) + "".join(shown)


def _trial_and_step(folder: Path) -> str:
    """Of a folder `ranks-0008-step-006`."""
    named = _RANKS.fullmatch(folder.name)
    assert named is not None
    return f"Trial {int(named[1])} after merge step {int(named[2])}"


def _failed(results: Results) -> str:
    rows = []
    for group in results.groups:
        for study in group.studies:
            for trial in study.trials:
                if trial.state in ("failed", "diverged", "running"):
                    rows.append((study.name, str(trial.number), *_failed_row(trial, group)))
    retried = sum(max(0, trial.attempts - 1) for study in results.studies for trial in study.trials)
    text = paragraph(f"Trials started again after a crash or a stop: {retried}.")
    if not rows:
        return paragraph("Every trial that was started has ended; none has failed or diverged.") + text
    columns = ("study", "trial", "configuration", "state", "steps", "reason")
    table = Table(
        "failed", "Failed, diverged and unfinished trials", columns, tuple(rows), "", pd.DataFrame(), left=6
    )
    again = [f"python study/run.py --resume {study.folder}" for study in results.studies]
    return html_table(table) + text + paragraph("To go on:") + preformatted("\n".join(again))


def _failed_row(trial: TrialRecord, group: Group) -> tuple[str, str, str, str]:
    name = f"{changed_in_base(Config.from_dict(trial.config), group)}, seed {trial.seed}"
    state = "not finished" if trial.state == "running" else trial.state
    total = trial.total_steps
    return (
        name,
        state,
        f"{max(trial.last_step, 0)} of {MISSING if total is None else total}",
        trial.reason or MISSING,
    )


def _reproduce(results: Results) -> str:
    rows = []
    for group in results.groups:
        for recipe in recipes(by_score(group) if unlabelled(group) else runs(group), group):
            names = ", ".join(recipe.experiments) or "search"
            seeds = ", ".join(map(str, recipe.seeds))
            rows.append((names, seeds, ", ".join(recipe.trials), recipe.command))
    columns = ("experiments", "seeds", "study/trial", "computes these runs again")
    table = Table("reproduce", "Runs", columns, tuple(rows), "", pd.DataFrame(), left=4)
    named = " ".join(str(study.folder) for study in results.studies)
    scripts = "\n".join(f"python analysis/{name}.py {named}" for name in ("tables", "curves", "report"))
    return (
        paragraph("From the study folders to the numbers on this page:")
        + preformatted(scripts)
        + html_table(table)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study that cannot be read."""
    made = command.parser("analysis/report.py", __doc__)
    return command.run("analysis/report.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    results = load(given.studies, finished=False)
    folder = command.out_folder(given)
    path = folder / "report.html"
    content = report(results, [folder]).encode(errors=READABLE)
    write_whole(path, content)
    say(f"{path} ({len(content) / 2**20:.1f} MiB)")


if __name__ == "__main__":
    sys.exit(main())
