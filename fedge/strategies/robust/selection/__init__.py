"""From inner products or norms of updates to weights: how each robust rule decides.

Plain functions of small float64 arrays. The updates themselves are read only twice, for their Gram
matrix and for the weighted sum, by whoever has them: the functions on arrays in `robust`, the rules
on payloads in `rules`. The same numbers give the same bits on every machine, and of equals the
first is taken.
"""

from fedge.strategies.robust.selection.clipping import (
    arc_shares,
    centered_clipping_weights,
    clip_shares,
)
from fedge.strategies.robust.selection.covariance import covariance_filter_weights
from fedge.strategies.robust.selection.diameter import minimum_diameter_weights
from fedge.strategies.robust.selection.distances import squared_distances
from fedge.strategies.robust.selection.eigenvalue import smallest_eigenvalue_weights
from fedge.strategies.robust.selection.geometric import geometric_median_weights
from fedge.strategies.robust.selection.krum import (
    bulyan_choices,
    krum_choice,
    multi_krum_weights,
)
from fedge.strategies.robust.selection.mixing import nearest_neighbor_mixture
from fedge.strategies.robust.selection.similarity import foolsgold_weights
from fedge.strategies.robust.selection.trust import fltrust_weights

__all__ = [
    "arc_shares",
    "bulyan_choices",
    "centered_clipping_weights",
    "clip_shares",
    "covariance_filter_weights",
    "fltrust_weights",
    "foolsgold_weights",
    "geometric_median_weights",
    "krum_choice",
    "minimum_diameter_weights",
    "multi_krum_weights",
    "nearest_neighbor_mixture",
    "smallest_eigenvalue_weights",
    "squared_distances",
]
