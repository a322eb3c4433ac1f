"""Whose updates make the next model, and how a rule reads them."""

from fedge.strategies.cohort.cohort import Cohort, Member
from fedge.strategies.cohort.deltas import Deltas, Weights
from fedge.strategies.cohort.gram import Gram
from fedge.strategies.cohort.memory import cohort_of
from fedge.strategies.cohort.mixed import MixedDeltas, mix
from fedge.strategies.cohort.payloads import PayloadDeltas
from fedge.strategies.cohort.reading import dots_with, gram_of, norms_of
from fedge.strategies.cohort.scaled import ScaledDeltas, scale

__all__ = [
    "Cohort",
    "Deltas",
    "Gram",
    "Member",
    "MixedDeltas",
    "PayloadDeltas",
    "ScaledDeltas",
    "Weights",
    "cohort_of",
    "dots_with",
    "gram_of",
    "mix",
    "norms_of",
    "scale",
]
