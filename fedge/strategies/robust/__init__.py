"""Cohort rules that a minority of arbitrary updates cannot move far.

Functions of float32 arrays, one update a row, with the conventions of ByzFL 0.0.11; each says where
it differs. `selection` has what they decide by, which rules on payloads use as well.
"""

from fedge.strategies.robust.centres import centered_clipping, geometric_median
from fedge.strategies.robust.coordinatewise import coordinate_median, trimmed_mean
from fedge.strategies.robust.filters import caf, cge
from fedge.strategies.robust.krum_family import krum, multi_krum
from fedge.strategies.robust.mixing import bucketing, nearest_neighbor_mixing
from fedge.strategies.robust.nearest import bulyan, meamed
from fedge.strategies.robust.shortening import adaptive_robust_clipping, clipping
from fedge.strategies.robust.subsets import minimum_diameter_averaging, smea
from fedge.strategies.robust.trusted import fltrust, foolsgold

__all__ = [
    "adaptive_robust_clipping",
    "bucketing",
    "bulyan",
    "caf",
    "centered_clipping",
    "cge",
    "clipping",
    "coordinate_median",
    "fltrust",
    "foolsgold",
    "geometric_median",
    "krum",
    "meamed",
    "minimum_diameter_averaging",
    "multi_krum",
    "nearest_neighbor_mixing",
    "smea",
    "trimmed_mean",
]
