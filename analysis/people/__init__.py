"""Trained networks looked at: rank lists and classes as pictures."""
