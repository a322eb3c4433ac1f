"""A rule and an optimizer together."""

import numpy as np

from fedge.strategies import FedAvg, FedAvgM, Mean, Strategy
from fedge.strategies.rules import Median
from tests.support.cohorts import of_rows, vector


def test_a_step_is_the_optimizers_on_the_rules_delta() -> None:
    """The mean of 1, 2 and 30 is 11, their median 2; half of that is added to 10."""
    cohort = of_rows([[1], [2], [30]])
    half = FedAvg(lr=0.5)
    for rule, want in ((Mean(), 15.5), (Median(), 11)):
        strategy = Strategy(rule, half)
        state = strategy.step(strategy.init(vector(10)), cohort)
        np.testing.assert_allclose(state.parameters, [want], rtol=1e-6)


def test_what_is_remembered_is_the_optimizers() -> None:
    """Two rounds of a median of 2 with momentum 0.5: 2, then 0.5 * 2 + 2."""
    strategy = Strategy(Median(), FedAvgM(beta=0.5))
    state = strategy.init(vector(0))
    for _ in range(2):
        state = strategy.step(state, of_rows([[1], [2], [30]]))
    np.testing.assert_array_equal(state.parameters, [5])
    np.testing.assert_array_equal(state.memory["momentum"], [3])
