"""Which classes merge: distances, dispersion, the criterion of Eq (7), and the merge itself."""

from dcreid.clustering.merging import merge_labels as merge_labels
