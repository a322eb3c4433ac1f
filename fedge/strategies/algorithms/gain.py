"""How fast vectors of both ends follow what is sent, if only a part of it is."""

import functools
import math
from fractions import Fraction

from fedge import codecs
from fedge.codecs.budget import Budget
from fedge.codecs.coded import CodedTopK
from fedge.codecs.eden import Eden
from fedge.codecs.sparse import TopK
from fedge.strategies.algorithms.values import LocalPlan

_OF_A_BUDGET = Fraction(1, 100)  # taken for the share of values that fits


def gain(plan: LocalPlan) -> float:
    """1 if the plan's codec sends all values, else the square root of the share that it sends.

    A codec that sends one value in a hundred sends it when the values of about a hundred rounds
    have come together. Taken at its word, as if it were the last round's alone, such a value is a
    hundred times too large: the next round's correction undoes it, and training fails. The papers
    have no answer, as they send everything. With the share itself in place of its root, vectors
    need a hundred rounds to follow; docs/strategies.md has the measurements.

    Both ends take it from the plan, also where a device's own budget changes its codec.
    """
    return _gain(plan.codec)


@functools.lru_cache(maxsize=64)
def _gain(spec: str) -> float:
    match codecs.get(spec):
        case TopK(fraction=share) | CodedTopK(fraction=share):
            return math.sqrt(share)
        case Eden(fraction=share):
            return 1.0 if share is None else math.sqrt(share)
        case Budget():
            return math.sqrt(_OF_A_BUDGET)
        case _:
            return 1.0
