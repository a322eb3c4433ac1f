"""Rules: a cohort to one delta."""

from fedge.strategies.rules.base import PreAggregator, Rule
from fedge.strategies.rules.bound import NormBound, bound_norms
from fedge.strategies.rules.bulyan import Bulyan
from fedge.strategies.rules.centres import CenteredClipping, GeometricMedian
from fedge.strategies.rules.chain import Chain
from fedge.strategies.rules.coordinates import Meamed, Median, TrimmedMean
from fedge.strategies.rules.examples import ExamplesBound, bound_examples
from fedge.strategies.rules.hostile import CohortError
from fedge.strategies.rules.krum import Krum, MultiKrum
from fedge.strategies.rules.mean import Mean
from fedge.strategies.rules.mixing import Bucketing, NearestNeighborMixing
from fedge.strategies.rules.needs import needs_history, needs_reference, not_for_sparse
from fedge.strategies.rules.shortening import AdaptiveClip, Clip
from fedge.strategies.rules.subsets import CovarianceFilter, MinimumDiameter, SmallestEigenvalue
from fedge.strategies.rules.trust import FLTrust, FoolsGold

__all__ = [
    "AdaptiveClip",
    "Bucketing",
    "Bulyan",
    "CenteredClipping",
    "Chain",
    "Clip",
    "CohortError",
    "CovarianceFilter",
    "ExamplesBound",
    "FLTrust",
    "FoolsGold",
    "GeometricMedian",
    "Krum",
    "Meamed",
    "Mean",
    "Median",
    "MinimumDiameter",
    "MultiKrum",
    "NearestNeighborMixing",
    "NormBound",
    "PreAggregator",
    "Rule",
    "SmallestEigenvalue",
    "TrimmedMean",
    "bound_examples",
    "bound_norms",
    "needs_history",
    "needs_reference",
    "not_for_sparse",
]
