"""Strategies, one step at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError, PayloadError
from fedge.strategies import FedAdam, FedAvg, get
from fedge.strategies.base import read_state


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_fedavg_moves_by_the_mean_delta() -> None:
    state = FedAvg().step(FedAvg().init(vector(10, -1)), vector(0.5, 2))
    np.testing.assert_array_equal(state.parameters, vector(10.5, 1))


def test_fedavg_scales_the_move_by_its_learning_rate() -> None:
    strategy = FedAvg(lr=0.5)
    state = strategy.step(strategy.init(vector(10)), vector(4))
    np.testing.assert_array_equal(state.parameters, vector(12))


def test_fedadam_first_step_by_hand() -> None:
    # m = 0.5*0 + 0.5*4 = 2; v = 0.75*0.25 + 0.25*16 = 4.1875; x = 10 + 1*2 / (sqrt(v) + 0.5)
    strategy = FedAdam(lr=1.0, beta1=0.5, beta2=0.75, tau=0.5)
    state = strategy.step(strategy.init(vector(10)), vector(4))
    np.testing.assert_array_equal(state.memory["momentum"], vector(2))
    np.testing.assert_array_equal(state.memory["variance"], vector(4.1875))
    np.testing.assert_allclose(state.parameters, [10 + 2 / (4.1875**0.5 + 0.5)], rtol=1e-6)
    assert state.parameters.dtype == np.float32


def test_fedadam_remembers_between_rounds() -> None:
    # beta1 = 0.5: m1 = 2, m2 = 0.5*2 + 0.5*0 = 1: a delta of zero still moves the model.
    strategy = FedAdam(lr=1.0, beta1=0.5, beta2=0.0, tau=1.0)
    state = strategy.step(strategy.init(vector(0)), vector(4))
    after = strategy.step(state, vector(0))
    np.testing.assert_allclose(after.parameters - state.parameters, [1 / (0 + 1)], rtol=1e-6)


@pytest.mark.parametrize("spec", ["fedavg", "fedavg:lr=0.5", "fedadam:lr=0.01,tau=0.1"])
def test_a_step_writes_neither_to_the_state_nor_to_the_delta(spec: str) -> None:
    strategy = get(spec)
    parameters, delta = vector(1, 2), vector(3, 4)
    state = strategy.init(parameters)
    before = state.memory_bytes()
    strategy.step(state, delta)
    np.testing.assert_array_equal(parameters, vector(1, 2))
    np.testing.assert_array_equal(delta, vector(3, 4))
    assert state.memory_bytes() == before


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5))
def test_a_stored_state_goes_on_with_the_same_bits(deltas: list[float]) -> None:
    strategy = FedAdam()
    kept = stored = strategy.init(vector(1.0))
    for delta in deltas:
        kept = strategy.step(kept, vector(delta))
        stored = strategy.step(stored, vector(delta))
        stored = read_state(stored.parameters, stored.memory_bytes(), strategy.memory_names)
    assert kept.parameters.tobytes() == stored.parameters.tobytes()
    assert kept.memory_bytes() == stored.memory_bytes()


def test_memory_is_stored_in_the_order_of_its_names() -> None:
    state = FedAdam(tau=1.0).init(vector(7))
    assert state.memory_bytes() == vector(0, 1).astype("<f4").tobytes()


def test_a_stored_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(PayloadError, match="strategy state: expected 8 bytes, found 7"):
        read_state(vector(1), bytes(7), FedAdam.memory_names)


def test_a_spec_names_strategy_and_parameters() -> None:
    assert get("fedavg") == FedAvg()
    got = get("fedadam:lr=0.1,beta1=0.9,beta2=0.99,tau=0.001")
    assert got == FedAdam(lr=0.1, beta1=0.9, beta2=0.99, tau=0.001)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "unknown strategy '': the known ones are fedadam, fedavg"),
        ("krum", "unknown strategy 'krum': the known ones are fedadam, fedavg"),
        ("fedadam:eta=1", "has no parameter 'eta': it has beta1, beta2, lr, tau"),
        ("fedadam:", "has no parameter ''"),
        ("fedadam:lr=fast", "lr must be a number, not 'fast'"),
        ("fedadam:lr=0.1,lr=0.2", "lr is given twice"),
        ("fedadam:beta1=1", "beta1 must be 0 to 0.999999, not 1"),
        ("fedadam:tau=nan", "tau must be 1e-18 to 1000, not nan"),
        ("fedavg:lr=inf", "lr must be 1e-06 to 1000, not inf"),
    ],
)
def test_a_bad_spec_is_refused_with_what_is_known(spec: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get(spec)
    assert sentence in str(caught.value)
