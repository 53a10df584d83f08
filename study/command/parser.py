"""The command line of `study/run.py`. Nothing heavy is imported here: `--help` answers at once."""

from __future__ import annotations

import argparse
from typing import NoReturn

from dcreid.commandline import Parser
from study.command.method_options import add_method_options
from study.command.study_options import add_study_options
from study.errors import OptionError

_ABOUT = """\
Runs Algorithm 1 (unsupervised video person re-identification by bottom-up
clustering) as a Ray Tune study, searched by Optuna. Without options: the
embedded synthetic data, in a few minutes on a laptop.

  python study/run.py                                    # see it work
  python study/run.py --dataset mars --data-root MARS    # the paper's data
  python study/run.py --dataset mars --samples 50        # the same, found in data/mars
  python study/run.py --dataset mars --data-root MARS --plan table1 --seeds 3
  python study/run.py --resume STUDY                     # go on

Trial 0 is the paper's configuration, or that of another --preset; a search of
20 samples or more begins with the seven settings of the paper's Tables 1 to 3,
beside another preset with the paper's configuration. Data without labels (a
folder without query/ and gallery/) decide otherwise where neither --preset nor
--space nor --plan is given: trial 0 is --preset recommended, trial 1 the paper's
configuration, and --space full is searched, by a score that needs no labels.
The same command again continues the study. An option of the method that is
given is held fixed; the rest of the space is searched. Defaults stand in
brackets: those for MARS first."""


class Raising(Parser):
    """Raises OptionError for what is wrong, where a program has made the command line."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(message.removeprefix("argument ")) from None


def parser(kind: type[Parser] = Parser) -> argparse.ArgumentParser:
    """All options, grouped; config options carry no default, so that what was given is known."""
    top = kind(
        prog="python study/run.py",
        usage="%(prog)s [OPTION ...]",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_study_options(top)
    add_method_options(top)
    return top
