"""Kills a study again and again, and compares what comes of it with a study that was left alone.

    python tests/kills.py                                          # 20 kills, the embedded data, minutes
    python tests/kills.py --kills 9 --dataset mars --data-root MARS --first-epochs 2 --samples 4 …

The study runs on a Ray cluster of a head and two nodes on this machine. At random moments (spread over
its merge steps, drawn from --seed) its driver, one of its workers, or all of a node dies by SIGKILL; a
driver is started again by the same command, a node is replaced by a new one. In the end both studies
must have the same trials with the same results, clocks left out.

Options that are not of this script go to `study/run.py`. Which trials run must not depend on the order
in which they end: no pruner, and configurations drawn independently (or a --plan).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent / "helpers"))

from ray_nodes import Cluster, until

_SCRIPT = Path(__file__).resolve().parents[1] / "study" / "run.py"
_KINDS = ("driver", "worker", "node")
_EMBEDDED = (
    *("--synthetic-train-identities", "6", "--synthetic-test-identities", "3", "--merge-rate", "0.1"),
    *("--first-epochs", "2", "--later-epochs", "1", "--height", "32", "--width", "16", "--samples", "6"),
)
_ORDERLY = ("--sampler", "random", "--pruner", "none", "--max-failures", "100", "--name", "study")
# What is measured, and differs from run to run.
_CLOCKS = ("seconds_", "saved_seconds", "frames_per_second", "cluster_seconds", "gpu_")


def main(argv: Sequence[str]) -> int:
    """0 = both studies came to the same; prints the table of kills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many [20]")
    parser.add_argument("--kill-seed", type=int, default=0, help="draws the moments and the victims [0]")
    parser.add_argument("--folder", type=Path, help="where the two studies are kept [a temporary one]")
    given, options = parser.parse_known_args(argv)
    if "--dataset" not in options:
        options = [*_EMBEDDED, *options]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="dcreid-kills-"))
    whole, cut = folder / "whole", folder / "cut"
    for place in (whole, cut):
        place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(_SCRIPT), *_ORDERLY, "--cache", str(folder / "cache"), *options]

    done = subprocess.run([*command, "--concurrency", "2"], cwd=whole, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        return done.returncode
    expected = results(whole)
    print(f"undisturbed: {expected.trial.nunique()} trials, {len(expected)} rows; studies in {folder}")

    disturbed = Disturbed(command, cut, random.Random(given.kill_seed))
    try:
        disturbed.run(given.kills, len(expected))
    finally:
        disturbed.close()
    differing = differences(expected, results(cut))
    print(disturbed.table())
    print("\n".join(differing) or "the same trials with the same results")
    return 1 if differing else 0


class Disturbed:
    """The study that is killed."""

    def __init__(self, command: list[str], folder: Path, rng: random.Random):
        self.folder, self.rng = folder, rng
        self.cluster = Cluster()
        self.command = [*command, "--address", self.cluster.address]
        self.driver: subprocess.Popen | None = None
        self.kills: list[tuple[str, str]] = []

    def run(self, kills: int, rows: int) -> None:
        """Makes the kills while `rows` rows come in, then lets the study end."""
        kinds = (_KINDS * kills)[:kills]
        self.rng.shuffle(kinds := list(kinds))
        moments = sorted(self.rng.uniform(0, rows - 1) for _ in kinds)
        for _ in range(2):
            self.cluster.add()
        self._start()
        for kind, moment in zip(kinds, moments, strict=True):
            self._reach(moment)
            victim = getattr(self, f"_kill_{kind}")()
            self.kills.append((f"{self._rows()} of {rows} rows", victim))
            print(f"{time.strftime('%H:%M:%S')} kill {len(self.kills)}: {victim}", flush=True)
        assert self.driver is not None
        self.driver.wait(3600)
        assert self.driver.returncode == 0, f"the last driver ended with {self.driver.returncode}"

    def table(self) -> str:
        """What was killed when, and what the ledger tells of it."""
        told_by_ledger = events(self.folder)
        count = Counter(event["event"] for event in told_by_ledger)
        lines = [f"{i:3} {when:>16}  {what}" for i, (when, what) in enumerate(self.kills, 1)]
        reasons = Counter(event["reason"] for event in told_by_ledger if event["event"] == "retry")
        output = [f"    {n:2} x {reason}" for reason, n in reasons.most_common()]
        output += [
            f"{count['session']} sessions, {count['start']} starts of {count['trial']} trials; retries:"
        ]
        return "\n".join([*lines, output[-1], *output[:-1]])

    def close(self) -> None:
        if self.driver is not None:
            self.driver.kill()
        self.cluster.close()

    def _start(self) -> None:
        with (self.folder / "driver.log").open("ab") as log:
            self.driver = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, env=self.cluster.environment
            )

    def _reach(self, moment: float) -> None:
        """Waits for a number of rows, and a part of the time that the next one takes."""
        deadline = time.monotonic() + 1800
        while self._rows() < int(moment):
            assert self.driver is not None and time.monotonic() < deadline, "the study stands still"
            assert self.driver.poll() is None, f"the driver ended with {self.driver.returncode}"
            time.sleep(0.05)
        time.sleep(2.0 * (moment - int(moment)))

    def _rows(self) -> int:
        steps = [event for event in events(self.folder) if event["event"] == "step"]
        return len({(event["trial"], event["row"]["step"]) for event in steps})

    def _kill_driver(self) -> str:
        assert self.driver is not None
        self.driver.kill()
        self.driver.wait(60)
        self._start()
        return "driver"

    def _kill_worker(self) -> str:
        until(lambda: any(node.workers() for node in self.cluster.nodes), alive=self.driver)
        node = self.rng.choice([node for node in self.cluster.nodes if node.workers()])
        return node.kill_worker()

    def _kill_node(self) -> str:
        node = self.rng.choice(self.cluster.nodes)
        busy = len(node.workers())
        self.cluster.kill(node)
        self.cluster.add()
        return f"node with {busy} trial(s)"


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


def differences(expected: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """What two tables of results differ in, in words."""
    if list(expected) != list(found) or len(expected) != len(found):
        return [f"{len(expected)} rows of {list(expected)} against {len(found)} rows of {list(found)}"]
    unequal = [name for name in expected if not expected[name].equals(found[name])]
    return [f"{name} differs:\n{pd.concat([expected[name], found[name]], axis=1)}" for name in unequal]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
