"""The server optimizers against their papers: by hand, in float64, and on a quadratic."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError
from fedge.strategies import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedYogi,
    Optimizer,
    get,
)
from fedge.strategies.optimizers import read_state
from fedge.types import Array
from tests.support.cohorts import vector

Formula = Callable[[list[Array]], Iterator[Array]]  # from deltas to the sums of all steps so far


def avgm(lr: float, beta: float) -> Formula:
    """Hsu et al., 2019, section 4: v = beta v + delta; w = w + lr v."""

    def steps(deltas: list[Array]) -> Iterator[Array]:
        total = velocity = np.zeros_like(deltas[0])
        for delta in deltas:
            velocity = beta * velocity + delta
            total = total + lr * velocity
            yield total

    return steps


def fedopt(kind: str, lr: float, beta1: float, beta2: float, tau: float) -> Formula:
    """Reddi et al., 2021, algorithm 2, lines 10 to 14: m from 0, v from tau squared."""

    def steps(deltas: list[Array]) -> Iterator[Array]:
        total = m = np.zeros_like(deltas[0])
        v = np.full_like(total, tau**2)
        for delta in deltas:
            m = beta1 * m + (1 - beta1) * delta
            square = delta**2
            match kind:
                case "adagrad":
                    v = v + square
                case "yogi":
                    v = v - (1 - beta2) * square * np.sign(v - square)
                case _:
                    v = beta2 * v + (1 - beta2) * square
            total = total + lr * m / (np.sqrt(v) + tau)
            yield total

    return steps


def adam_itself(lr: float, beta1: float, beta2: float, epsilon: float) -> Formula:
    """Kingma and Ba, 2015, algorithm 1, with the delta as minus the gradient."""

    def steps(deltas: list[Array]) -> Iterator[Array]:
        total = m = v = np.zeros_like(deltas[0])
        for t, delta in enumerate(deltas, start=1):
            m = beta1 * m + (1 - beta1) * delta
            v = beta2 * v + (1 - beta2) * delta**2
            total = total + lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
            yield total

    return steps


PAPERS = [
    (FedAvgM(lr=0.3, beta=0.9), avgm(0.3, 0.9)),
    (FedAdam(lr=0.03), fedopt("adam", 0.03, 0.9, 0.99, 1e-3)),
    (FedYogi(lr=0.03), fedopt("yogi", 0.03, 0.9, 0.99, 1e-3)),
    (FedAdagrad(lr=0.1), fedopt("adagrad", 0.1, 0.0, 0.0, 1e-3)),
    (FedAdagrad(lr=0.1, beta1=0.5), fedopt("adagrad", 0.1, 0.5, 0.0, 1e-3)),
    (FedAdam(lr=0.03, bias_correction=1), adam_itself(0.03, 0.9, 0.99, 1e-3)),
]


@pytest.mark.parametrize(("optimizer", "formula"), PAPERS)
def test_twenty_rounds_are_those_of_the_paper_in_float64(
    optimizer: Optimizer, formula: Formula
) -> None:
    rng = np.random.default_rng(4)
    deltas = [rng.normal(size=50).astype(np.float32) * 0.05 for _ in range(20)]
    state = optimizer.init(np.zeros(50, np.float32))
    for delta, want in zip(
        deltas, formula([one.astype(np.float64) for one in deltas]), strict=True
    ):
        state = optimizer.step(state, delta)
        np.testing.assert_allclose(state.parameters, want, rtol=2e-5, atol=1e-6)


def test_fedavgm_by_hand() -> None:
    # v1 = 4, w1 = 10 + 0.5 * 4 = 12; v2 = 0.5 * 4 + 2 = 4, w2 = 14; v3 = 0.5 * 4 + 0 = 2, w3 = 15
    optimizer = FedAvgM(lr=0.5, beta=0.5)
    state = optimizer.init(vector(10))
    for delta, want in ((4, 12), (2, 14), (0, 15)):
        state = optimizer.step(state, vector(delta))
        np.testing.assert_array_equal(state.parameters, vector(want))


def test_fedyogi_by_hand() -> None:
    # v0 = 0.25; delta 4: v1 = 0.25 + 0.25 * 16 = 4.25, m1 = 2; delta 1: v1 > 1, so
    # v2 = 4.25 - 0.25 * 1 = 4, m2 = 0.5 * 2 + 0.5 * 1 = 1.5, and the step is 1.5 / (2 + 0.5) = 0.6.
    optimizer = FedYogi(lr=1.0, beta1=0.5, beta2=0.75, tau=0.5)
    first = optimizer.step(optimizer.init(vector(10)), vector(4))
    np.testing.assert_array_equal(first.memory["variance"], vector(4.25))
    second = optimizer.step(first, vector(1))
    np.testing.assert_array_equal(second.memory["variance"], vector(4))
    np.testing.assert_allclose(second.parameters - first.parameters, [0.6], rtol=1e-6)


def test_fedadagrad_by_hand() -> None:
    # v0 = 0; deltas 3 and 4: v1 = 9, step 3 / 3; v2 = 25, step 4 / 5. tau is too small to matter.
    optimizer = FedAdagrad(lr=1.0, tau=1e-9)
    first = optimizer.step(optimizer.init(vector(0)), vector(3))
    np.testing.assert_allclose(first.parameters, [1.0], rtol=1e-6)
    second = optimizer.step(first, vector(4))
    np.testing.assert_allclose(second.parameters, [1.8], rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer", [FedAdam(lr=0.5, bias_correction=1), FedYogi(lr=0.5, bias_correction=1)]
)
def test_with_its_bias_corrected_the_first_step_is_a_whole_one(optimizer: Optimizer) -> None:
    """Both means are the first delta then: the step is lr * d / (|d| + tau), here -0.5 or 0.5."""
    state = optimizer.step(optimizer.init(vector(0, 0)), vector(20, -3))
    np.testing.assert_allclose(state.parameters, [0.5, -0.5], rtol=1e-3)


SPECS = [
    "fedavg:lr=1", "fedavgm:lr=0.3", "fedadam:lr=0.05", "fedyogi:lr=0.05", "fedadagrad:lr=0.5",
    "fedadam:lr=0.05,bias_correction=1", "fedyogi:lr=0.05,bias_correction=1",
    "fedadagrad:lr=0.5,beta1=0.9,bias_correction=1",
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_a_quadratic_ends_at_its_optimum(spec: str) -> None:
    """Two devices with minima at (3, -1) and (-1, 1): that of the sum is (1, 0)."""
    optimizer = get(spec).optimizer
    minima = np.array([[3, -1], [-1, 1]], np.float32)
    state = optimizer.init(np.array([5, 5], np.float32))
    for _ in range(600):
        delta = (0.2 * (minima - state.parameters)).mean(axis=0)
        state = optimizer.step(state, delta.astype(np.float32))
    np.testing.assert_allclose(state.parameters, [1, 0], atol=0.06)


@pytest.mark.parametrize("spec", SPECS)
@given(deltas=st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=6), data=st.data())
def test_a_state_that_is_stored_at_any_round_goes_on_with_the_same_bits(
    spec: str, deltas: list[float], data: st.DataObject
) -> None:
    optimizer = get(spec).optimizer
    stop = data.draw(st.integers(0, len(deltas)))
    kept = stored = optimizer.init(vector(1.0, -2.0))
    for place, delta in enumerate(deltas):
        if place == stop:
            memory = stored.memory_bytes()
            stored = read_state(
                stored.parameters, memory, optimizer.memory_names, optimizer.number_names
            )
        kept = optimizer.step(kept, vector(delta, -delta))
        stored = optimizer.step(stored, vector(delta, -delta))
    assert kept.parameters.tobytes() == stored.parameters.tobytes()
    assert kept.memory_bytes() == stored.memory_bytes()
    assert kept.parameters.dtype == np.float32


def test_what_an_older_release_stored_goes_on_without_correction() -> None:
    """It stored momentum and variance only, and had run for longer than a correction lasts."""
    optimizer = FedAdam(bias_correction=1)
    stored = vector(1, 2, 9, 16).astype("<f4").tobytes()
    state = read_state(vector(0, 0), stored, optimizer.memory_names, optimizer.number_names)
    np.testing.assert_array_equal(state.memory["momentum"], [1, 2])
    np.testing.assert_array_equal(state.memory["variance"], [9, 16])
    np.testing.assert_array_equal(state.memory["beta1_power"], [0])
    after = optimizer.step(state, vector(0, 0))
    want = 0.1 * np.array([0.9, 1.8]) / (np.sqrt(0.99 * np.array([9, 16])) + 1e-3)
    np.testing.assert_allclose(after.parameters, want, rtol=1e-5)


@pytest.mark.parametrize("kind", [FedAvg, FedAvgM, FedAdam, FedYogi, FedAdagrad])
@pytest.mark.parametrize(
    "bad",
    [
        *({"lr": 0.0}, {"lr": float("nan")}, {"beta": 1.0}, {"beta1": 1.0}, {"beta2": -0.1}),
        *({"tau": 0.0}, {"bias_correction": 2}),
    ],
)
def test_parameters_out_of_range_are_refused(kind: type, bad: dict[str, float]) -> None:
    (name,) = bad
    if name not in kind.__dataclass_fields__:  # type: ignore[attr-defined] # all are dataclasses
        return
    with pytest.raises(ConfigError, match=f"optimizer {kind.__name__.lower()}: {name} must be"):
        kind(**bad)
