"""Studies that analysis commands cannot read, or only in part, and what else they may be given."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_input import made
from bad_input.case import Case, cases_of
from bad_input.made_data import fifo, in_place

TABLES, CURVES, REPORT, RANKS, SELECTION = (
    f"analysis/{name}.py" for name in ("tables", "curves", "report", "ranks", "selection")
)
ALBUM, HITS = "analysis/album.py", "analysis/hits.py"
S = "studies/s"
_COLUMNS = "query,query_camera,query_frame,rank,hit,hit_camera,hit_frame,distance,match\n"


def changed(**data: Any) -> made.Make:
    """The study `s` on data that are described otherwise."""
    return made.described(lambda content: content["dataset"].update(data))


def field(name: str, value: Any) -> made.Make:
    """The study `s` with another field in its description."""
    return made.described(lambda content: content.update({name: value}))


def beside(*changes: made.Make) -> made.Make:
    """The study `s` with something in its folder."""
    return made.both(made.study, *changes)


def without(*names: str) -> made.Make:
    """The study `s` without files."""

    def make(here: Path) -> None:
        made.study(here)
        for name in names:
            (here / S / name).unlink()

    return make


def lines(change: Callable[[list[str]], list[str]]) -> made.Make:
    """The study `s` with other lines in its ledger."""

    def make(here: Path) -> None:
        ledger = made.study(here) / "ledger.jsonl"
        ledger.write_text("".join(change(ledger.read_text().splitlines(keepends=True))))

    return make


def results(columns: dict[str, Any]) -> made.Make:
    """The study `s` without its ledger, and with this results table."""

    def make(here: Path) -> None:
        import pandas as pd

        without("ledger.jsonl")(here)
        stream = io.BytesIO()
        pd.DataFrame(columns).to_parquet(stream)
        (here / S / "results.parquet").write_bytes(stream.getvalue())

    return make


def table_of(name: str, content: bytes | dict[str, Any]) -> made.Make:
    """The study `s` with this table beside trial 0's checkpoints."""

    def make(here: Path) -> None:
        import pandas as pd

        path = made.study(here) / "trials" / "0000" / name
        path.parent.mkdir(parents=True)
        stream = io.BytesIO()
        if isinstance(content, dict):
            pd.DataFrame(content).to_parquet(stream)
        path.write_bytes(stream.getvalue() if isinstance(content, dict) else content)

    return make


def reason(text: str) -> made.Make:
    """The study `s`, whose first trial has failed for this reason."""

    def change(entries: list[str]) -> list[str]:
        end = next(entry for entry in map(json.loads, entries) if entry["event"] == "end")
        return [*entries, json.dumps(end | {"state": "failed", "reason": text}) + "\n"]

    return lines(change)


def as_name(name: str) -> made.Make:
    """The study `s` in a folder of another name."""

    def make(here: Path) -> None:
        made.study(here).rename(here / "studies" / name)

    return make


REFUSED = [
    *cases_of(
        "analysis",
        SELECTION,
        ("scores of an older study", S, "no scores without labels", {"prepare": made.study}),
        ("selection: nothing has run", S, "no trial has been started", {"prepare": lines(lambda old: [])}),
    ),
    *cases_of(
        "analysis",
        TABLES,
        ("no study", "", "STUDY", {"fast": True}),
        ("another format", f"{S} --format excel", "--format"),
        ("no such folder", "nosuch", "nosuch: no such folder", {"fast": True}),
        ("an empty name", ("",), "STUDY '': an empty path"),
        ("nobody's home", "~nosuch/s", "STUDY ~nosuch/s", {"fast": True}),
        ("a folder that is no study", ".", "no study.json"),
        ("the folder of studies", "studies", "it holds the studies s", {"prepare": made.study, "fast": True}),
        ("a file", f"{S}/study.json", "no such folder", {"prepare": made.study}),
        ("no UTF-8", "studies/s\udce9", ("STUDY", r"s\xe9 is no UTF-8"), {"prepare": as_name("s\udce9")}),
        ("a pipe", S, "no such folder", {"prepare": in_place(S, fifo)}),
        ("a pipe in it", S, "no study.json", {"prepare": in_place(f"{S}/study.json", fifo)}),
        ("nothing has run", S, "no trial has been started", {"prepare": lines(lambda old: [])}),
        ("no record", S, ("neither ledger.jsonl", S), {"prepare": without("ledger.jsonl")}),
        (
            *("a ledger that is a folder", S, "ledger.jsonl: not a file"),
            {"prepare": made.both(without("ledger.jsonl"), made.folder(f"{S}/ledger.jsonl"))},
        ),
        (
            *("another program's results", S, ("results.parquet", "no column trial", "another program's")),
            {"prepare": results({"run": [1], "loss": [0.1]}), "fast": True},
        ),
        (
            *("results of nothing", S, "results.parquet: not readable"),
            {"prepare": made.both(without("ledger.jsonl"), made.file(f"{S}/results.parquet", b"PAR1"))},
        ),
        (
            "study.json: a list",
            S,
            "study.json: not a study's description",
            {"prepare": made.file(f"{S}/study.json", "[]")},
        ),
        (
            "study.json: cut",
            S,
            "study.json: not readable",
            {"prepare": made.file(f"{S}/study.json", "{"), "fast": True},
        ),
        (
            "study.json: deep",
            S,
            "study.json: not readable",
            {"prepare": made.file(f"{S}/study.json", "[" * 10**5)},
        ),
        (
            "study.json: no text",
            S,
            "study.json: not readable",
            {"prepare": made.file(f"{S}/study.json", b"\xff\xfe")},
        ),
        ("study.json: no plan", S, "plan is 3, not a table", {"prepare": field("plan", 3)}),
        ("study.json: no data", S, 'dataset is "MARS"', {"prepare": field("dataset", "MARS")}),
        (
            "study.json: a name in numbers",
            S,
            "dataset.name is 5, not a text",
            {"prepare": changed(name=5), "fast": True},
        ),
        (
            "study.json: tracklets in words",
            S,
            "dataset.train_tracklets",
            {"prepare": changed(train_tracklets="x")},
        ),
        ("study.json: GPUs in words", S, "hardware.gpus", {"prepare": field("hardware", {"gpus": "x"})}),
        ("study.json: commands in words", S, "commands is", {"prepare": field("commands", "run")}),
        (
            "an output that is a file",
            f"{S} --out f",
            "--out f",
            {"prepare": beside(made.file("f", "")), "leaves": ("*",)},
        ),
    ),
    *cases_of(
        "analysis",
        REPORT,
        (
            "report: a port without a server",
            f"{S} --port 80",
            "--port",
            {"prepare": made.study, "fast": True},
        ),
        ("report: a port that is none", f"{S} --watch --port 99999", "--port", {"prepare": made.study}),
        ("report: compared with nothing", f"{S} --compare nowhere", "nowhere", {"prepare": made.study}),
        ("report: watching nothing", "nowhere --watch", "nowhere"),
        (
            "report: an output below a file",
            f"{S} --out f/x",
            "--out f/x",
            {"prepare": beside(made.file("f", "")), "fast": True},
        ),
        ("report: nobody's home", f"{S} --out ~nosuch/x", "--out ~nosuch/x", {"prepare": made.study}),
    ),
    *cases_of(
        "analysis",
        RANKS,
        ("ranks: no such trial", f"{S} --trial 99", "--trial 99", {"prepare": made.study, "fast": True}),
        ("ranks: half a trial", f"{S} --trial 0.5", "--trial", {"prepare": made.study}),
        ("ranks: a trial below none", f"{S} --trial -1", "--trial -1", {"prepare": made.study}),
        ("ranks: no checkpoint", f"{S} --trial 0", "no checkpoint of trial 0", {"prepare": made.study}),
        (
            *("ranks: a folder for drawn data", f"{S} --data-root .", ("--data-root", "embedded data")),
            {"prepare": made.study, "fast": True},
        ),
        ("ranks: two studies", f"{S} {S}", S, {"prepare": made.study}),
    ),
    *cases_of(
        "analysis",
        ALBUM,
        ("album: no classes", S, "no classes of trial 0", {"prepare": made.study, "fast": True}),
        ("album: no such trial", f"{S} --trial 99", "--trial 99", {"prepare": made.study}),
        ("album: half a step", f"{S} --step 0.5", "--step", {"prepare": made.study}),
    ),
    *cases_of(
        "analysis",
        HITS,
        ("hits: no such file", "h.csv", "h.csv: no such file"),
        ("hits: a folder", ".", "no such file"),
        (
            "hits: noise",
            "h.csv",
            "no column query",
            {"prepare": made.file("h.csv", "\x1b\x00" * 99), "fast": True},
        ),
        ("hits: another's table", "h.csv", "no column query", {"prepare": made.file("h.csv", "a,b\n1,2\n")}),
        (
            *("hits: a cut row", "h.csv", "line 2"),
            {"prepare": made.file("h.csv", f"{_COLUMNS}a,1,f,1\n"), "fast": True},
        ),
        (
            *("hits: an escape sequence for a rank", "h.csv", "line 2"),
            {"prepare": made.file("h.csv", f"{_COLUMNS}a,1,f,\x1b[2J,h,1,f,0.5,right\n"), "fast": True},
        ),
        (
            *("hits: a page into nowhere", "h.csv --out d/p.html", "--out d/p.html"),
            {"prepare": made.file("h.csv", f"{_COLUMNS}a,1,f,1,h,1,f,0.5,right\n")},
        ),
        ("hits: no query shown", "h.csv --most 0", "'0' is not a number from 1 to 100,000"),
    ),
]

LEFT_OUT = (
    cases_of(
        "analysis",
        REPORT,
        (
            *("a damaged ledger line", S, ("ledger.jsonl", "line 3", "report.html")),
            {"prepare": lines(lambda old: [*old[:2], "{\x1b\n", *old[3:]]), "fast": True},
        ),
        (
            "joins that are noise",
            S,
            ("joins.parquet", "left out"),
            {"prepare": table_of("joins.parquet", b"PAR1")},
        ),
        ("another program's joins", S, ("report.html",), {"prepare": table_of("joins.parquet", {"a": [1]})}),
        ("dollars in the name of the data", S, "report.html", {"prepare": changed(name=r"a_$2024_\$ {\x}$")}),
        (
            "an escape sequence in the name of the data",
            S,
            "report.html",
            {"prepare": changed(name="\x1b]0;t\x07\n")},
        ),
        ("a failure's reason", S, "report.html", {"prepare": reason("\x1b[31m<script>\n$x$ \ud800")}),
        status=0,
    )
    + cases_of(
        "analysis",
        TABLES,
        (
            "tables: an escape sequence",
            S,
            r"\x1b]0;t\x07\n",
            {"prepare": changed(name="\x1b]0;t\x07\n"), "fast": True},
        ),
        ("tables: as CSV", f"{S} --format csv", r"\x9b2J", {"prepare": changed(name="\x9b2J")}),
        ("tables: HTML in a name", S, r"\<img", {"prepare": changed(name="<img src=x>")}),
        ("tables: twice the same study", f"{S} {S}", "1 of 4 trials complete", {"prepare": made.study}),
        (
            "tables: damaged lines",
            S,
            "line 3",
            {"prepare": lines(lambda old: [*old[:2], "{}\n", *old[3:]]), "fast": True},
        ),
        status=0,
    )
    + cases_of(
        "analysis",
        CURVES,
        ("curves: dollars", S, "a_$2024_$", {"prepare": changed(name="a_$2024_$")}),
        ("curves: an escape sequence", S, r"\x1b[2J", {"prepare": changed(name="\x1b[2J")}),
        status=0,
    )
)

FULL = [
    Case(
        f"a full disk, {name}",
        "analysis",
        script,
        (S, "--out", "o"),
        (file, "No space left"),
        prepare,
        status=1,
        leaves=("*",),
    )
    for name, script, file, prepare in (
        (
            "report",
            REPORT,
            "report.html",
            beside(in_place("o/report.html", lambda path: path.symlink_to("/dev/full"))),
        ),
        (
            "tables",
            TABLES,
            "table1.md",
            beside(in_place("o/table1.md", lambda path: path.symlink_to("/dev/full"))),
        ),
        (
            "curves",
            CURVES,
            "fig3.pdf",
            beside(in_place("o/fig3.pdf", lambda path: path.symlink_to("/dev/full"))),
        ),
    )
]

CASES = [*REFUSED, *LEFT_OUT, *FULL]
