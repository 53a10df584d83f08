"""The paper's curves, the search's own pictures, classes and joins."""
