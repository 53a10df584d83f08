"""Whether mutants are faults of meaning: they pass mypy, and with each of them the embedded study ends.

Of the program's parts that no trial comes by (options, the console, clusters) the types alone are looked at.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mutation.forked import Outcome, check_place, forked, in_copy
from mutation.run import Mutant, base_of, on_mutant


def check(
    mutants: Sequence[Mutant],
    repository: Path,
    scratch: Path,
    *,
    jobs: int = 2,
    limit: float = 180.0,
    say: Callable[[str], None] = print,
) -> int:
    """0 if every mutant passes mypy and completes the embedded study."""
    base = base_of(mutants, repository, scratch, say)
    if base is None:
        return 1
    complaints = [line for layer in _layers(mutants, base) for line in _mypy(layer, base, scratch)]
    say("\n".join(complaints) or "mypy: no complaint with any mutant")
    # First without any mutant, alone: what it compiles in the base serves in all copies.
    for _, outcome in forked([in_copy(base, _embedded)], 1, limit):
        if outcome.error is not None:
            say(f"the embedded study breaks without any mutant: {outcome.error}")
            return 1
    programs = [on_mutant(mutant, base, scratch, _embedded) for mutant in mutants]
    broken = 0
    for i, outcome in forked(programs, jobs, limit):
        if outcome.error is not None:
            broken += 1
            say(f"{mutants[i].name}: the embedded study breaks: {outcome.error}")
    say(f"the embedded study: {len(mutants) - broken} of {len(mutants)} completed")
    return 1 if complaints or broken else 0


def _embedded(place: Path) -> Outcome:
    began = time.monotonic()
    importlib.import_module("embedded").study(place / f"tmp-{os.getpid()}")
    check_place(place)
    return Outcome(time.monotonic() - began)


def _layers(mutants: Sequence[Mutant], base: Path) -> list[list[Mutant]]:
    """The mutants in as few groups as it takes for no two of a group to change the same lines."""
    layers: list[list[Mutant]] = []
    taken: list[set[tuple[str, int]]] = []
    for mutant in mutants:
        source = (base / mutant.file).read_text()
        first = source[: source.index(mutant.find)].count("\n")
        lines = {(mutant.file, first + i) for i in range(mutant.find.count("\n") + 1)}
        place = next((i for i, used in enumerate(taken) if not used & lines), len(layers))
        if place == len(layers):
            layers.append([])
            taken.append(set())
        layers[place].append(mutant)
        taken[place] |= lines
    return layers


def _mypy(layer: Sequence[Mutant], base: Path, scratch: Path) -> list[str]:
    """mypy's complaints about a copy with all of a layer's mutants, and whose line each is about."""
    place = scratch / "types"
    shutil.copytree(base, place)
    owners = {(m.file, m.line((base / m.file).read_text())): m.name for m in layer}
    for mutant in layer:
        path = place / mutant.file
        path.write_text(mutant.applied(path.read_text()))
    options = ["--no-error-summary", f"--cache-dir={scratch / 'mypy-cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options], cwd=place, capture_output=True, text=True, check=False
    )
    shutil.rmtree(place)
    complaints = []
    for line in (done.stdout + done.stderr).splitlines() if done.returncode else ():
        file, _, rest = line.partition(":")
        number = rest.partition(":")[0]
        owner = owners.get((file, int(number))) if number.isdigit() else None
        complaints.append(f"{line}  [{owner or 'no mutant on that line'}]")
    return complaints
