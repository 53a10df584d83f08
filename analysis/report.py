"""One HTML page with all that studies say: opens from a disk, without network or server.

python analysis/report.py STUDY [STUDY…] [--out DIR]      # several studies together
python analysis/report.py STUDY --compare OTHER           # two side by side
python analysis/report.py STUDY --watch                   # served on this machine, renewed while it runs

It opens with what came out and what is missing; then all trials, the search, the paper's tables, figures and
claims, the people, what was run, and the command behind each number. Pictures of people need the frames:
keep the page as private as them, or leave them out (--without-pictures).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

from markupsafe import Markup

from analysis import command
from analysis.data.folder import NothingYetError, ResultsError
from analysis.data.results import Results, load
from analysis.page.frame import Pictures, Section, page, paragraph
from analysis.page.served import Renewed, serve, server
from analysis.sections.about import about, warned
from analysis.sections.answer import answer
from analysis.sections.compare import comparison
from analysis.sections.made import left_out, made
from analysis.sections.paper import paper
from analysis.sections.people import people
from analysis.sections.search import search
from analysis.sections.trials import trials
from analysis.stats.findings import Finding, findings
from dcreid.commandline import READABLE, say, up_to
from dcreid.paths import write_whole

_PORT = 8265 + 35  # beside Ray's dashboard


@dataclass(frozen=True)
class Frames:
    """Where the frames of people are, and whether a network may be rebuilt to look at them."""

    pictures: Pictures = field(default_factory=Pictures)
    data_root: Path | None = None
    cache: Path | None = None
    folder: Path | None = None  # where what was computed is kept; None: in the study
    compute: bool = True


def report(
    results: Results, other: Results | None = None, frames: Frames | None = None, *, renewed: bool = False
) -> str:
    """The page. other: what `--compare` names. renewed: for --watch."""
    collected = command.Collected()
    frames = frames or Frames()
    both = results if other is None else Results((*results.groups, *other.groups))
    with command.warnings_to(collected):
        judged = findings(both.groups)
        lead = Markup().join(answer(group, judged) for group in both.groups)
        if other is not None:
            lead = Markup('<div class="side-by-side">{}</div>\n').format(lead)
        sections = [comparison(results, other)] if other is not None else []
        sections += list(_sections(both, judged, frames))
    problems = [problem for study in both.studies for problem in study.problems]
    missing = left_out([*problems, *warned(both.studies), *collected.messages])
    sections += [about(both), *([missing] if missing is not None else []), made(both)]
    return page(_title(results, other), sections, lead=lead, pictures=frames.pictures, renewed=renewed)


def _sections(results: Results, judged: Sequence[Finding], frames: Frames) -> Iterator[Section]:
    """Every group's trials and search, the paper, and the people of every group's first study."""
    several = len(results.groups) > 1
    parts = [
        (group, str(number) if several else "", f", {group.name}" if several else "")
        for number, group in enumerate(results.groups, start=1)
    ]
    for group, suffix, of in parts:
        yield trials(group, suffix=suffix, heading=f"Trials{of}")
        searched = search(group, suffix=suffix, heading=f"The search{of}")
        if searched is not None:
            yield searched
    told = paper(results.groups, judged)
    if told is not None:
        yield told
    for group, suffix, of in parts:
        shown = people(
            group.studies[0], frames.pictures, data_root=frames.data_root, cache=frames.cache,
            folder=frames.folder, compute=frames.compute, key=f"people{suffix}", heading=f"People{of}",
        )  # fmt: skip
        if shown is not None:
            yield shown


def _title(results: Results, other: Results | None) -> str:
    names = [", ".join(study.name for study in one.studies) for one in (results, other) if one is not None]
    several = other is not None or len(results.studies) > 1
    return f"Stud{'ies' if several else 'y'} {' and '.join(names)}"


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study that cannot be read."""
    parser = command.parser("analysis/report.py", __doc__)
    parser.add_argument(
        "--compare", metavar="OTHER", nargs="+", help="a study, or several, to set beside the first"
    )
    parser.add_argument(
        "--watch", action="store_true", help="serve the page on this machine, renewed as rows come in"
    )
    parser.add_argument(
        "--port", type=up_to(65_535), metavar="N", help=f"of --watch [{_PORT}, or a free one]"
    )
    parser.add_argument("--without-pictures", action="store_true", help="no picture of anybody in the page")
    parser.add_argument("--data-root", metavar="DIR", help="folder of the data set [as in the study]")
    parser.add_argument("--cache", metavar="DIR", help="packed frames [as in the study]")
    return command.run("analysis/report.py", parser, _write, argv)


def _write(given: argparse.Namespace) -> None:
    if given.port is not None and not given.watch:
        raise ResultsError("--port goes with --watch: leave it out, or add --watch")
    if given.watch:
        _watch(given)
        return
    results = _loaded(given)
    path = command.out_folder(given) / "report.html"
    content = _page(given, *results).encode(errors=READABLE)
    write_whole(path, content)
    say(f"{path} ({len(content) / 2**20:.1f} MiB)")


def _loaded(given: argparse.Namespace) -> tuple[Results, Results | None]:
    """The studies, and what --compare names."""
    joined = given.across_versions
    results = load(given.studies, finished=False, across_versions=joined)
    return results, load(given.compare, finished=False, across_versions=joined) if given.compare else None


def _page(
    given: argparse.Namespace, results: Results, other: Results | None, *, renewed: bool = False
) -> str:
    pictures = Pictures(shown=not given.without_pictures)
    frames = Frames(pictures, given.data_root, given.cache, given.out, compute=not renewed)
    return report(results, other, frames, renewed=renewed)


def _watch(given: argparse.Namespace) -> None:
    """Serves the page until Ctrl-C. A study without a trial yet is waited for; other bad input is not."""
    folders = [*given.studies, *(given.compare or ())]
    for folder in folders:
        if not (folder / "study.json").is_file():
            load([folder], finished=False)  # raises, and says why
    files = [
        folder / name for folder in folders for name in ("study.json", "ledger.jsonl", "results.parquet")
    ]
    names = ", ".join(folder.name for folder in folders)
    waiting = page(names, [], lead=paragraph("Waiting for the first trial …"), renewed=True)

    def newest() -> str:
        try:
            return _page(given, *_loaded(given), renewed=True)
        except NothingYetError:
            return waiting

    renewed = Renewed(newest, files, waiting)
    try:
        made_server = server(renewed, _PORT if given.port is None else given.port)
    except OSError as error:
        if given.port is not None:
            raise ResultsError(f"--port {given.port}: {error.strerror}; name another") from None
        made_server = server(renewed, 0)
    say(f"http://127.0.0.1:{made_server.server_port}/ (Ctrl-C ends it)")
    serve(made_server, renewed)


if __name__ == "__main__":
    sys.exit(main())
