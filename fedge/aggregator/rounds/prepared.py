"""The cohort after an algorithm has prepared it, within the bound on norms again."""

from fedge.aggregator.rounds.bounding import Bounds, Counted, bound_cohort
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
    norms = [one.norm or 0.0 for one in cohort.members]
    again = bound_cohort(cohort, norms, Bounds(norm=factor, weight=None))
    told = {
        **counted.told,
        "norm_median": again.told["norm_median"],
        "norm_bound": again.told["norm_bound"],
        **{
            name: counted.told[name] + again.told[name]
            for name in ("devices_dropped", "devices_clipped", "dropped", "clipped")
        },
    }
    return Counted(again.cohort, told)
