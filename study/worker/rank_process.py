"""What ranks 1, 2, … of a trial run, in the processes that study/worker/ranks.py starts: the trial in
lock-step with the first rank, which alone reports and writes.

The first line of standard input is the order; its end is the end of the first rank, and of this one.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from typing import TextIO

from dcreid.parallel import process_group
from dcreid.training import DivergedError
from study.job import Job
from study.stdin import when_input_ends
from study.worker.cuda import check_device, device_of
from study.worker.ranks import READY
from study.worker.rows import trial_rows


def main() -> None:
    """Keeps in step with the first rank; an error is the last line of standard output, and status 1."""
    # The pipe to the first rank is for the last words alone: what else is printed, in native code too, goes
    # where the first rank's output goes.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    order = json.loads(sys.stdin.readline())
    when_input_ends(lambda: os._exit(1))
    try:
        _run_rank(Job(**order["job"]), order["rank"], order["meeting"], output)
    except DivergedError:  # on every rank; the first one reports it
        os._exit(0)
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=output, flush=True)
        os._exit(1)  # nothing may wait for the other ranks now


def _run_rank(job: Job, rank: int, meeting: str, output: TextIO) -> None:
    check_device(job, rank)
    print(READY, file=output, flush=True)
    with process_group(device_of(job, rank), meeting, rank, job.processes) as ranks:
        for _ in trial_rows(job, ranks=ranks):
            pass


if __name__ == "__main__":
    main()
