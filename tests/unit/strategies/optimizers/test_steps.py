"""Optimizers, one step at a time."""

import numpy as np
import pytest

from fedge.errors import PayloadError
from fedge.strategies import OPTIMIZERS, FedAdam, FedAvg, get
from fedge.strategies.optimizers import read_state
from tests.support.cohorts import vector


def test_fedavg_moves_by_the_delta() -> None:
    state = FedAvg().step(FedAvg().init(vector(10, -1)), vector(0.5, 2))
    np.testing.assert_array_equal(state.parameters, vector(10.5, 1))


def test_fedavg_scales_the_move_by_its_learning_rate() -> None:
    optimizer = FedAvg(lr=0.5)
    state = optimizer.step(optimizer.init(vector(10)), vector(4))
    np.testing.assert_array_equal(state.parameters, vector(12))


def test_fedadam_first_step_by_hand() -> None:
    # m = 0.5*0 + 0.5*4 = 2; v = 0.75*0.25 + 0.25*16 = 4.1875; x = 10 + 1*2 / (sqrt(v) + 0.5)
    optimizer = FedAdam(lr=1.0, beta1=0.5, beta2=0.75, tau=0.5)
    state = optimizer.step(optimizer.init(vector(10)), vector(4))
    np.testing.assert_array_equal(state.memory["momentum"], vector(2))
    np.testing.assert_array_equal(state.memory["variance"], vector(4.1875))
    np.testing.assert_allclose(state.parameters, [10 + 2 / (4.1875**0.5 + 0.5)], rtol=1e-6)
    assert state.parameters.dtype == np.float32


def test_fedadam_remembers_between_rounds() -> None:
    # beta1 = 0.5: m1 = 2, m2 = 0.5*2 + 0.5*0 = 1: a delta of zero still moves the model.
    optimizer = FedAdam(lr=1.0, beta1=0.5, beta2=0.0, tau=1.0)
    state = optimizer.step(optimizer.init(vector(0)), vector(4))
    after = optimizer.step(state, vector(0))
    np.testing.assert_allclose(after.parameters - state.parameters, [1 / (0 + 1)], rtol=1e-6)


@pytest.mark.parametrize("spec", [one.partition("[")[0] for one in OPTIMIZERS])
def test_a_step_writes_neither_to_the_state_nor_to_the_delta(spec: str) -> None:
    optimizer = get(spec).optimizer
    parameters, delta = vector(1, 2), vector(3, 4)
    state = optimizer.init(parameters)
    before = state.memory_bytes()
    optimizer.step(state, delta)
    np.testing.assert_array_equal(parameters, vector(1, 2))
    np.testing.assert_array_equal(delta, vector(3, 4))
    assert state.memory_bytes() == before


def test_memory_is_stored_in_the_order_of_its_names() -> None:
    state = FedAdam(tau=1.0).init(vector(7))
    # beta1_power, beta2_power, momentum, variance
    assert state.memory_bytes() == vector(1, 1, 0, 1).astype("<f4").tobytes()


def test_a_stored_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(PayloadError, match="strategy state: expected 8 bytes, found 7"):
        read_state(vector(1), bytes(7), FedAdam.memory_names)
