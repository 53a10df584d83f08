"""Readers: from a folder in one of the known layouts to a data set."""
