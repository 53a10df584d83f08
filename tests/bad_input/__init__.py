"""Inputs that a user can get wrong, tried through the real commands."""
