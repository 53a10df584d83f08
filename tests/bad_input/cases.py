"""All cases."""

from __future__ import annotations

from bad_input import (
    cases_analysis,
    cases_data,
    cases_environments,
    cases_exports,
    cases_files,
    cases_ledger,
    cases_models,
    cases_options,
    cases_video,
)
from bad_input.case import Case

_FILES = (
    *(cases_options, cases_files, cases_ledger, cases_data, cases_analysis, cases_environments),
    cases_video,
    cases_exports,
    cases_models,
)
CASES: tuple[Case, ...] = tuple(case for file in _FILES for case in file.CASES)
