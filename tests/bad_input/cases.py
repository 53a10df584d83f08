"""All cases."""

from __future__ import annotations

from bad_input import cases_data, cases_files, cases_ledger, cases_options
from bad_input.case import Case

CASES: tuple[Case, ...] = (*cases_options.CASES, *cases_files.CASES, *cases_ledger.CASES, *cases_data.CASES)
