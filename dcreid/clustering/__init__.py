"""Which classes merge: distances, dispersion, the criterion of Eq (7), and the merge itself."""
