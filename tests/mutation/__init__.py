"""Faults that a colleague could make, and how they are run: see `tests/mutants.py`."""
