"""Optuna's side: its study, samplers, pruners, and a database to show it in."""
