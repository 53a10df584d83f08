"""Disturbs a study again and again, and compares what comes of it with a study that was left alone.

    python tests/kills.py                                           # 40 events, the embedded data
    python tests/kills.py --events 40 --dataset mars --data-root MARS --first-epochs 2 --samples 4 …

The study runs on a Ray cluster of a head and two nodes on this machine, with its checkpoints in a real S3
server and Optuna's study in a real PostgreSQL. What happens to it:

    driver      dies by SIGKILL, and is started again by the same command
    worker      one in which a trial runs dies by SIGKILL
    node        every process of a node dies by SIGKILL; another node comes
    raylet      the raylet alone dies by SIGKILL, and the node's workers are left to themselves; another comes
    GCS         the head's gcs_server dies by SIGKILL; head, nodes and driver are started again
    S3          the way to the server is cut (connections are refused), or the server is stopped (SIGSTOP) and
                does not answer, in turn; some seconds later it is as before
    PostgreSQL  is shut down at once (as by `pg_ctl stop -m immediate`), and started again some seconds later

Each event is aimed at what a trial is doing, which its worker notes in output.log; what counts is what that
says when the event is over. A kind of event is aimed where it has hit least. In the end both studies must
have the same trials with the same results, joins, queries and classes, clocks left out, and the database
must say what the ledger says.

Options that are not of this script go to `study/run.py`. Which trials run must not depend on the order
in which they end: no pruner, and configurations drawn independently (or a --plan).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent / "helpers"))

import postgres
import s3_server
from ray_nodes import Cluster, Node, descendants

_SCRIPT = Path(__file__).resolve().parents[1] / "study" / "run.py"
KINDS = ("driver", "worker", "node", "raylet", "GCS", "S3", "PostgreSQL")
PHASES = ("starting", "training", "features", "merging", "writing", "reporting", "ending")
_EMBEDDED = (
    *("--synthetic-train-identities", "6", "--synthetic-test-identities", "3", "--merge-rate", "0.15"),
    *("--first-epochs", "2", "--later-epochs", "1", "--height", "32", "--width", "16", "--samples", "12"),
)
_ORDERLY = ("--sampler", "random", "--pruner", "none", "--max-failures", "100", "--name", "study")
# What is measured, and differs from run to run.
_CLOCKS = ("seconds_", "saved_seconds", "frames_per_second", "cluster_seconds", "gpu_")
# What a worker notes (study/worker/output.py), as a phase. Retrieval extracts features too.
_NOTES = {
    "train": "training", "features": "features", "evaluate": "features", "merge": "merging",
    "write": "writing", "report": "reporting",
}  # fmt: skip
_NOTE = re.compile(r" INFO (train|features|evaluate|merge|write merge step \d+|report merge step (\d+))$")
_PID = re.compile(r"--- attempt .* process (\d+) on ")
_OUTAGE = 4.0  # seconds
_SPREAD = 0.7  # of the rows: the last events must not wait for a trial that is no more
_WAIT = 20.0  # seconds for a phase that is aimed at, before what there is has to do


def main(argv: Sequence[str]) -> int:
    """0 = both studies came to the same; prints the table of events."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=40, help="how many [40]")
    parser.add_argument("--seed-of-events", type=int, default=0, help="draws their order and victims [0]")
    parser.add_argument("--folder", type=Path, help="where the two studies are kept [a temporary one]")
    given, options = parser.parse_known_args(argv)
    if "--dataset" not in options:
        options = [*_EMBEDDED, *options]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="dcreid-kills-"))
    whole, cut = folder / "whole", folder / "cut"
    for place in (whole, cut):
        place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(_SCRIPT), *_ORDERLY, *options]

    plain = [*command, "--cache", str(folder / "cache"), "--concurrency", "2"]
    done = subprocess.run(plain, cwd=whole, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        return done.returncode
    expected = results(whole)
    print(f"undisturbed: {expected.trial.nunique()} trials, {len(expected)} rows; studies in {folder}")

    disturbed = Disturbed(command, cut, random.Random(given.seed_of_events))
    try:
        disturbed.run(given.events, expected)
        differing = differences(expected, results(cut)) + other_tables(whole, cut)
        differing += disturbed.database_differs()
    finally:
        disturbed.close()
    print(disturbed.table())
    settings = [name for name in expected if name.startswith("config.")]
    named = ", ".join(name for name in expected if name not in settings)
    print(f"columns of results.parquet that must be equal: {named}, config.* ({len(settings)} fields)")
    print("and all columns of joins.parquet, queries.parquet and classes.parquet of every trial")
    print("\n".join(differing) or "the same trials with the same results, joins, queries and classes")
    return 1 if differing else 0


class Event(NamedTuple):
    """What has happened."""

    kind: str
    phase: str  # of the trial that was aimed at
    aim: str  # the phase that was wanted
    told: str
    rows: int  # that the ledger had


class Doing(NamedTuple):
    """What a worker says that it is doing."""

    pid: int
    phase: str
    log: Path


class Disturbed:
    """The study that is disturbed, and what it stands on."""

    def __init__(self, command: list[str], folder: Path, rng: random.Random):
        self.folder, self.rng, self.total = folder, rng, 0
        self.events: list[Event] = []
        self.driver: subprocess.Popen | None = None
        self._left: set[int] = set()  # processes that may have outlived their node
        self.left_out = {}
        options = ["--cache", str(folder / "cache")]
        self.s3 = self.way = self.database = self.cluster = None
        try:
            if (why := s3_server.missing()) is None:
                self.s3 = s3_server.S3Server()
                self.way = s3_server.Way(self.s3.port)
                options += ["--storage", f"s3://{s3_server.BUCKET}?{self.s3.options(self.way.port)}"]
            else:
                self.left_out["S3"] = why
            if (why := postgres.missing()) is None:
                self.database = postgres.Server()
                self.database.start()
                options += ["--optuna-storage", self.database.url()]
            else:
                self.left_out["PostgreSQL"] = why
            self.cluster = Cluster()  # after S3, whose credentials stand in the environment
        except BaseException:
            self.close()
            raise
        self.command = [*command, *options, "--address", self.cluster.address]
        self.kinds = [kind for kind in KINDS if kind not in self.left_out]

    def run(self, count: int, expected: pd.DataFrame) -> None:
        """Makes the events while the rows of `expected` come in, then lets the study end."""
        self.total = int(expected.step.max())
        kinds = (self.kinds * count)[:count]
        self.rng.shuffle(kinds)
        for _ in range(2):
            self.cluster.add()
        self._start()
        for number, kind in enumerate(kinds):
            self._reach(int(_SPREAD * number * len(expected) / count))
            aim = self._aim(kind)
            doing = self._catch(aim)
            phase, told = getattr(self, f"_{kind.lower()}")(doing)
            self.events.append(Event(kind, phase, aim, told, self._rows()))
            print(
                f"{time.strftime('%H:%M:%S')} event {number + 1}: {told}, while a trial was {phase} "
                f"(aimed at {aim}); {self._rows()} of {len(expected)} rows",
                flush=True,
            )
        status = self._wait(3600)
        assert status == 0, f"the last driver ended with {status}:\n{self._tail()}"
        self._start()  # what the database has missed is filled in by the next session
        status = self._wait(300)
        assert status == 0, f"a driver with nothing to do ended with {status}:\n{self._tail()}"

    def table(self) -> str:
        """What happened when, how often in which phase, and what the ledger tells of it."""
        told_by_ledger = events(self.folder)
        count = Counter(event["event"] for event in told_by_ledger)
        lines = [
            f"{i:3} {e.rows:4} rows  {e.phase:9} {'' if e.phase == e.aim else f'(not {e.aim}) '} {e.told}"
            for i, e in enumerate(self.events, 1)
        ]
        lines += ["", table_of_phases([(event.kind, event.phase) for event in self.events], self.kinds), ""]
        lines += [f"left out: {kind} ({why})" for kind, why in self.left_out.items()]
        lines.append(f"{count['session']} sessions, {count['start']} starts of {count['trial']} trials")
        reasons = Counter(event["reason"] for event in told_by_ledger if event["event"] == "retry")
        return "\n".join([*lines, *(f"    {n:2} x {reason}" for reason, n in reasons.most_common())])

    def database_differs(self) -> list[str]:
        """What the database says otherwise than the ledger."""
        if self.database is None:
            return []
        import optuna

        found = {
            trial.user_attrs["trial"]: trial.state.name
            for trial in optuna.load_study(study_name="study", storage=self.database.url()).trials
            if "trial" in trial.user_attrs
        }
        ended = {e["trial"]: e["state"] for e in events(self.folder) if e["event"] == "end"}
        wanted = {number: {"failed": "FAIL"}.get(state, "COMPLETE") for number, state in ended.items()}
        return [] if found == wanted else [f"the database has {found}, the ledger {wanted}"]

    def close(self) -> None:
        if self.driver is not None:
            self.driver.kill()
        if self.cluster is not None:
            self.cluster.close()
        self._bury()
        for held in (self.way, self.s3, self.database):
            if held is not None:
                held.close()

    # --- the driver

    def _start(self) -> None:
        with (self.folder / "driver.log").open("ab") as log:
            self.driver = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, env=self.cluster.environment
            )

    def _wait(self, seconds: float) -> int:
        assert self.driver is not None
        return self.driver.wait(seconds)

    def _tail(self) -> str:
        return (self.folder / "driver.log").read_text()[-3000:]

    def _check(self) -> None:
        assert self.driver is not None
        status = self.driver.poll()
        assert status is None, f"the driver ended with {status}:\n{self._tail()}"

    def _rows(self) -> int:
        steps = [event for event in events(self.folder) if event["event"] == "step"]
        return len({(event["trial"], event["row"]["step"]) for event in steps})

    # --- aiming

    def _reach(self, rows: int) -> None:
        """Waits for a number of rows."""
        deadline = time.monotonic() + 1800
        while self._rows() < rows:
            assert time.monotonic() < deadline, f"the study stands still:\n{self._tail()}"
            self._check()
            time.sleep(0.05)

    def _aim(self, kind: str) -> str:
        """The phase in which this kind of event has happened least; of several that which has seen least."""
        both = Counter((event.kind, event.phase) for event in self.events)
        phases = Counter(event.phase for event in self.events)
        return min(PHASES, key=lambda phase: (both[kind, phase], phases[phase], self.rng.random()))

    def _catch(self, aim: str) -> Doing:
        """A worker in the phase that is aimed at or, where none comes by, in any."""
        logs, looked, soon = [], 0.0, time.monotonic() + _WAIT
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            self._check()
            if time.monotonic() - looked > 0.5:
                logs, looked = self._logs(), time.monotonic()
            for log in logs:
                doing = self._doing(log)
                if doing is not None and (doing.phase == aim or time.monotonic() > soon):
                    return doing
            time.sleep(0.001)
        raise AssertionError(f"no trial runs:\n{self._tail()}")

    def _logs(self) -> list[Path]:
        """What workers that are alive write to."""
        places = [*self.folder.glob("cache/output/*.log"), *self.folder.glob("studies/*/trials/*/output.log")]
        return [log for log in places if self._doing(log) is not None]

    def _doing(self, log: Path) -> Doing | None:
        with suppress(OSError):
            pid, phase = phase_of(log.read_text(errors="replace"), self.total)
            if pid is not None and b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return Doing(pid, phase, log)
        return None

    def _phase(self, doing: Doing) -> str:
        """What the trial was doing, when the event is over."""
        with suppress(OSError):
            pid, phase = phase_of(doing.log.read_text(errors="replace"), self.total)
            if pid == doing.pid:
                return phase
        return doing.phase

    def _node_of(self, pid: int) -> Node:
        for node in self.cluster.nodes:
            if pid in descendants(node.process.pid):
                return node
        return self.rng.choice(self.cluster.nodes)  # it has just ended

    # --- the events; each returns the phase of the trial and what was done

    def _driver(self, doing: Doing) -> tuple[str, str]:
        assert self.driver is not None
        self.driver.kill()
        phase = self._phase(doing)
        self.driver.wait(60)
        self._start()
        return phase, "driver killed"

    def _worker(self, doing: Doing) -> tuple[str, str]:
        _kill(doing.pid)
        return self._phase(doing), "worker killed"

    def _node(self, doing: Doing) -> tuple[str, str]:
        _kill(doing.pid)  # first of all: the others take a moment
        phase, node = self._phase(doing), self._node_of(doing.pid)
        self.cluster.kill(node)
        self.cluster.add()
        return phase, "node killed"

    def _raylet(self, doing: Doing) -> tuple[str, str]:
        node = self._node_of(doing.pid)
        below = descendants(node.process.pid)
        raylets = [pid for pid in below if _program_of(pid) == "raylet"]
        for pid in raylets:
            _kill(pid)
        phase = self._phase(doing)
        self._left |= {*below, node.process.pid}
        self.cluster.nodes.remove(node)
        self.cluster.add()
        self._bury(15.0)
        return phase, "raylet killed"

    def _gcs(self, doing: Doing) -> tuple[str, str]:
        assert self.driver is not None
        head = self.cluster.head
        for pid in descendants(head.process.pid):
            if _program_of(pid) == "gcs_server":
                _kill(pid)
        phase, began = self._phase(doing), time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            self.driver.wait(5)
        status, after = self.driver.poll(), time.monotonic() - began
        how = "killed" if status is None else f"ended by itself with {status} after {after:.0f} s"
        self.driver.kill()
        self.driver.wait(60)
        for node in (*self.cluster.nodes, head):  # without what the head knew they are of no use
            node.kill()
        self.cluster.nodes.clear()
        self.cluster.start_head()
        for _ in range(2):
            self.cluster.add()
        self._start()
        return phase, f"GCS killed (driver {how})"

    def _s3(self, doing: Doing) -> tuple[str, str]:
        refused = sum(event.kind == "S3" for event in self.events) % 2 == 0
        with self.way.closed() if refused else self.s3.silent():
            phase = self._phase(doing)
            time.sleep(_OUTAGE)
        return phase, f"S3 {'refused connections' if refused else 'did not answer'} for {_OUTAGE:g} s"

    def _postgresql(self, doing: Doing) -> tuple[str, str]:
        self.database.stop()
        phase = self._phase(doing)
        time.sleep(_OUTAGE)
        self.database.start()
        return phase, f"PostgreSQL stopped for {_OUTAGE:g} s"

    def _bury(self, patience: float = 0.0) -> None:
        """Ends what has outlived its node."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(map(_program_of, self._left)):
            time.sleep(0.2)
        for pid in self._left:
            _kill(pid)
        self._left.clear()


def phase_of(text: str, total: int) -> tuple[int | None, str]:
    """The process that wrote an output.log last, and what it was doing; total: merge steps of a trial."""
    pid, phase = None, "starting"
    for line in text.splitlines():
        head, note = _PID.match(line), _NOTE.search(line)
        if head is not None:
            pid, phase = int(head[1]), "starting"
        elif note is not None:
            phase = _NOTES[note[1].split()[0]]
            if note[2] is not None:
                phase = {0: "starting", total: "ending"}.get(int(note[2]), phase)
    return pid, phase


def table_of_phases(hits: Sequence[tuple[str, str]], kinds: Sequence[str]) -> str:
    """Counts of (kind, phase): a row for each kind, a column for each phase."""
    count = Counter(hits)
    table = pd.DataFrame(
        [[count[kind, phase] for phase in PHASES] for kind in kinds], index=list(kinds), columns=list(PHASES)
    )
    table["all"] = table.sum(axis=1)
    table.loc["all"] = table.sum()
    return table.to_string()


def _program_of(pid: int) -> str:
    """Name of a process's program; empty for one that has ended."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        return os.fsdecode(command).rpartition("/")[2]
    return ""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def events(folder: Path) -> list[dict]:
    """The ledger of the study in a folder; a line that is being written is left out."""
    path = folder / "studies" / "study" / "ledger.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # being written, or cut by a kill
            continue
    return found


def results(folder: Path) -> pd.DataFrame:
    """Results of the study in a folder, clocks left out."""
    table = pd.read_parquet(folder / "studies" / "study" / "results.parquet")
    kept = [name for name in table if not name.startswith(_CLOCKS)]
    return table[kept].sort_values(["trial", "step"], ignore_index=True)


def other_tables(whole: Path, cut: Path) -> list[str]:
    """What the tables of the trials of two studies differ in, in words."""
    from study.record.folder import read_plan
    from study.record.storage import Storage

    places = [read_plan(str(folder / "studies" / "study"), "studies") for folder in (whole, cut)]
    found = []
    for number in results(whole).trial.unique():
        for name in ("joins.parquet", "queries.parquet", "classes.parquet"):
            one, other = (
                _table(Storage(plan.trial_storage(int(number))).read(name), name) for plan in places
            )
            found += [f"{name} of trial {number}: {line}" for line in differences(one, other)]
    return found


def _table(content: bytes | None, name: str) -> pd.DataFrame:
    import io

    assert content is not None, f"there is no {name}"
    return pd.read_parquet(io.BytesIO(content))


def differences(expected: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """What two tables of results differ in, in words."""
    if list(expected) != list(found) or len(expected) != len(found):
        return [f"{len(expected)} rows of {list(expected)} against {len(found)} rows of {list(found)}"]
    unequal = [name for name in expected if not expected[name].equals(found[name])]
    return [f"{name} differs:\n{pd.concat([expected[name], found[name]], axis=1)}" for name in unequal]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
