"""The cohort after an algorithm has prepared it, within the bound on norms again."""

from fedge.aggregator.rounds.bounding import Counted, bound_cohort
from fedge.strategies.algorithms import Algorithm
from fedge.strategies.algorithms.values import LocalPlan


def prepare(
    counted: Counted, algorithm: Algorithm, plan: LocalPlan, factor: float | None
) -> Counted:
    """What the rule is to see of a bounded cohort.

    An algorithm that divides deltas by what devices say of their steps changes norms, so they are
    bounded once more; the event then tells of both.
    """
    cohort = algorithm.prepare(counted.cohort, plan)
    if cohort is counted.cohort or not cohort.members:
        return counted
    again = bound_cohort(cohort, [one.norm or 0.0 for one in cohort.members], factor, ())
    told = {
        **again.told,
        **{
            name: counted.told[name] + again.told[name]
            for name in ("devices_dropped", "devices_clipped", "dropped", "clipped")
        },
    }
    return Counted(again.cohort, told)
