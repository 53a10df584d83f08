"""Intervals, tests, and the paper's tables and claims."""
