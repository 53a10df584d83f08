"""The parts of a page, each from studies to HTML: the answer, trials, the paper, people, how it was made."""
