"""Codecs that fill a number of bytes and never exceed it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedge import codecs
from fedge.types import Vector
from tests.support.codec_laws import deltas, encode, laplace

budgets = st.one_of(st.integers(64, 400), st.integers(64, 20_000))


def _clustered(n_params: int, seed: int) -> Vector:
    """Large values at even distances or in clusters: the worst and the best of places."""
    delta, rng = laplace(n_params, seed) * np.float32(1e-6), np.random.default_rng(seed)
    step = int(rng.integers(1, 200))
    delta[::step] += rng.normal(size=delta[::step].size).astype(np.float32)
    return delta


@given(deltas(), budgets)
@example(np.ones(3000, np.float32), 64)
@example(_clustered(3000, 1), 500)
def test_a_payload_never_exceeds_its_budget(delta: Vector, budget: int) -> None:
    assert len(encode(f"budget:{budget}", delta)) <= budget


@settings(deadline=None)
@given(st.integers(1, 30_000), st.integers(0, 2**32 - 1), budgets)
def test_not_even_with_places_that_cost_much(n_params: int, seed: int, budget: int) -> None:
    delta = _clustered(n_params, seed)
    assert len(encode(f"budget:{budget}", delta)) <= budget
    assert len(encode(codecs.fit_budget(n_params, budget), delta)) <= budget


@given(deltas(), budgets)
def test_a_fitted_spec_never_exceeds_the_budget(delta: Vector, budget: int) -> None:
    """With the longest numbers in the header."""
    codec = codecs.get(codecs.fit_budget(delta.size, budget))
    stamp = codecs.Stamp(round=2**32 - 1, n_examples=2**32 - 1)
    payload = codec.encode(delta, None, np.random.default_rng(0), stamp=stamp)
    assert len(payload) <= budget


@given(deltas(), st.integers(64, 2000))
def test_a_retry_loses_nothing(delta: Vector, budget: int) -> None:
    residual = np.zeros_like(delta)
    back = codecs.decode(encode(f"budget:{budget}", delta, residual)).to_dense()
    largest = float(np.abs(delta).max(initial=0))
    np.testing.assert_allclose(residual + back, delta, rtol=0, atol=2**-22 * largest)


@pytest.mark.parametrize(
    ("n_params", "budget", "spec"),
    [
        (50_000, 700, "topk:0.0109/sign"),
        (50_000, 5000, "topk:0.13498/sign"),
        (50_000, 20_000, "topk:0.24994/int8"),
        (50_000, 300_000, "topk:1/float32"),
        (0, 64, "topk:1/float32"),
        (2**29, 64, "topk:0.00000001/sign"),
    ],
)
def test_positions_come_before_precision(n_params: int, budget: int, spec: str) -> None:
    assert codecs.fit_budget(n_params, budget) == spec


@pytest.mark.parametrize("budget", [64, 300, 1000, 3000, 10_000, 30_000, 45_000])
def test_most_of_a_budget_is_used(budget: int) -> None:
    """For 50 000 Laplace values; the longest header is kept free, and few have one."""
    size = len(encode(f"budget:{budget}", laplace(50_000)))
    assert budget * 0.9 - 25 <= size <= budget


@pytest.mark.parametrize("budget", [-1, 0, 63])
def test_too_small_a_budget_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match="at least 64"):
        codecs.fit_budget(1000, budget)


def test_devices_with_different_budgets_make_one_mean() -> None:
    total = np.zeros(20_000, np.float32)
    payloads = [encode(f"budget:{b}", laplace(20_000, b)) for b in (64, 500, 5000, 50_000, 100_000)]
    schemes = {codecs.read_header(payload).scheme.name for payload in payloads}
    assert len(schemes) >= 3
    for payload in payloads:
        codecs.accumulate(payload, 0.2, total)
    wanted = np.mean([codecs.decode(payload).to_dense() for payload in payloads], axis=0)
    np.testing.assert_allclose(total, wanted, atol=1e-5)
