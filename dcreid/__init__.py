"""Unsupervised video person re-identification by dispersion-based bottom-up clustering."""

__version__ = "0.1.0"
