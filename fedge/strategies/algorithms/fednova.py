"""FedNova's normalised averaging."""

from fedge.strategies.algorithms.steps import effective_steps
from fedge.strategies.algorithms.values import LocalPlan
from fedge.strategies.cohort import Cohort, scale


def normalise(cohort: Cohort, plan: LocalPlan) -> Cohort:
    """Deltas as if every device had taken the cohort's mean number of steps.

    Each delta is divided by its `effective_steps` and multiplied by their mean, weighted by
    examples; a delta whose number of steps is not known stays as it is. A device cannot enlarge
    the mean by claiming more steps than the plan allows for its examples.

    Source: Wang et al., 2020, arXiv:2007.07481, equation 7, with the tau_eff that equals
    FedAvg's where all devices take the same number of steps (section 4).
    """
    known = [one for one in cohort.members if one.n_steps is not None]
    total = sum(one.n_examples for one in known)
    mean = sum(
        one.n_examples
        / total
        * effective_steps(_allowed(one.n_steps or 1, one.n_examples, plan), plan)
        for one in known
    )
    shares = [
        1.0 if one.n_steps is None else mean / effective_steps(one.n_steps, plan)
        for one in cohort.members
    ]
    return scale(cohort, shares)


def _allowed(n_steps: int, n_examples: int, plan: LocalPlan) -> int:
    return min(n_steps, plan.n_steps(n_examples))
