"""Over-relaxed error feedback: what is sent, what stays, and that it cannot run away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs
from fedge.errors import ConfigError
from fedge.types import Vector
from tests.support.codec_laws import RELAXED_SPECS, SPARSE_SPECS, deltas, dense, encode, laplace

DECAY = np.float32(0.95)
seeds = st.integers(0, 2**32 - 1)


def test_by_hand() -> None:
    """The residual 2, 0, 0 and the delta 6.1, -1, 0 make 8, -1, 0; 8 is sent 1.5 times over."""
    delta, residual = np.array([6.1, -1, 0], np.float32), np.array([2, 0, 0], np.float32)
    payload = encode("topk:0.1/float32+relax:1.5", delta, residual)
    v = np.float32(2) * DECAY + np.float32(6.1)
    np.testing.assert_array_equal(dense(payload), [np.float32(1.5) * v, 0, 0])
    assert dense(payload)[0] == pytest.approx(12)
    np.testing.assert_allclose(residual, [-4, -1, 0], rtol=1e-6)


@pytest.mark.parametrize("spec", SPARSE_SPECS)
def test_with_a_relaxation_of_1_bytes_and_residual_are_those_without(spec: str) -> None:
    head, coder, _ = spec.partition("+ctx")
    own, relaxed = laplace(3000, 1), laplace(3000, 1)
    for seed in range(3):
        plain = encode(spec, laplace(3000, seed), own, seed)
        assert encode(f"{head}+relax:1{coder}", laplace(3000, seed), relaxed, seed) == plain
        np.testing.assert_array_equal(own, relaxed)


@pytest.mark.parametrize("spec", RELAXED_SPECS)
@given(delta=deltas(), carried=seeds)
def test_what_is_not_sent_or_sent_too_much_is_in_the_residual(
    spec: str, delta: Vector, carried: int
) -> None:
    """To the bit: v - Q, with v the decayed residual and the delta, Q what is decoded."""
    residual = np.random.default_rng(carried).permutation(delta) / 2
    v = residual * DECAY + delta
    sent = dense(encode(spec, delta, residual))
    np.testing.assert_array_equal(residual, v - sent)


@pytest.mark.parametrize("spec", RELAXED_SPECS)
@given(delta=deltas(), seed=seeds)
def test_it_sends_the_same_places_and_levels_scaled(spec: str, delta: Vector, seed: int) -> None:
    name, _, rest = spec.partition("+relax:")
    gain, coder, _ = rest.partition("+ctx")
    sent = codecs.decode(encode(spec, delta, seed=seed))
    plain = codecs.decode(encode(f"{name}{coder}", delta, seed=seed))
    assert isinstance(sent, codecs.Sparse)
    assert isinstance(plain, codecs.Sparse)
    np.testing.assert_array_equal(sent.indices, plain.indices)
    want = float(gain) * plain.values.astype(np.float64)
    up = 2**-7 if "float32" not in spec else 2**-23  # scales are rounded up to bf16
    least = 2.0**-118 if "float32" not in spec else 2.0**-148
    assert np.all(np.abs(sent.values) >= np.abs(want) * (1 - 2**-23) - least)
    assert np.all(np.abs(sent.values) <= np.abs(want) * (1 + up) + least)


@pytest.mark.parametrize("spec", ["topk:0.1/sign+relax:1.95", "topk:0.1/float32+relax:1.95"])
@given(seed=seeds, n_rounds=st.integers(1, 60), size=st.sampled_from([10, 300, 1000]))
def test_the_residual_is_never_longer_than_20_of_the_longest_delta(
    spec: str, seed: int, n_rounds: int, size: int
) -> None:
    """|e| <= max |delta| / (1 - 0.95), whatever the deltas: they follow, oppose, or jump."""
    rng, residual, longest = np.random.default_rng(seed), np.zeros(size, np.float32), 0.0
    for _ in range(n_rounds):
        toward = rng.choice([-1, 0, 1]) * residual / (np.linalg.norm(residual) or 1)
        delta = rng.choice([1e-3, 1, 10]) * (rng.normal(size=size) / 30 + 5 * toward)
        delta = delta.astype(np.float32)
        longest = max(longest, float(np.linalg.norm(delta)))
        encode(spec, delta, residual)
        assert np.linalg.norm(residual) <= 20 * longest * (1 + 1e-5)


def test_a_residual_that_only_decays_ends_in_nothing() -> None:
    residual = laplace(1000)
    for _ in range(600):
        encode("topk:0.1/sign+relax:1.7", np.zeros_like(residual), residual)
    assert np.abs(residual).max() < 1e-6


def test_an_update_taken_back_leaves_all_of_it_in_the_residual() -> None:
    delta, residual = laplace(5000), laplace(5000, 1)
    v = residual * DECAY + delta
    payload = encode("topk:0.03/sign+relax:1.7", delta, residual)
    codecs.restore(payload, residual)
    np.testing.assert_allclose(residual, v, rtol=0, atol=1e-6)


@pytest.mark.parametrize("values", ["sign", "int8", "float32"])
def test_values_at_the_end_of_the_range_stay_finite(values: str) -> None:
    delta = np.array([2.5e38, -2.5e38, 1e-45, 0], np.float32)
    residual = np.zeros_like(delta)
    sent = dense(encode(f"topk:1/{values}+relax:1.9", delta, residual))
    assert np.isfinite(sent).all()
    assert np.isfinite(residual).all()


@given(delta=deltas(), carried=seeds, budget=st.integers(64, 3000), gain=st.floats(1.1, 1.95))
def test_a_budget_holds_and_the_residual_decays_once_however_often_it_tries(
    delta: Vector, carried: int, budget: int, gain: float
) -> None:
    residual = np.random.default_rng(carried).permutation(delta) / 2
    before = residual.copy()
    payload = encode(f"budget:{budget}+relax:{gain:.3f}", delta, residual)
    assert len(payload) <= budget
    sent = dense(payload)
    fits = codecs.fit_budget(delta.size, budget).endswith("float32")  # so nothing is left over
    v = before * (np.float32(1) if fits else DECAY) + delta
    largest = max(np.abs(sent).max(initial=0), np.abs(v).max(initial=0))
    np.testing.assert_allclose(residual, v - sent, rtol=0, atol=2**-21 * largest)


def test_a_budget_sends_as_far_ahead_as_the_plan_asks() -> None:
    assert codecs.within(700, "topk:0.03/sign+relax:1.7+ctx") == "budget:700+relax:1.7"
    assert codecs.within(700, "topk:0.03/sign+ctx") == "budget:700"
    assert codecs.within(700, "none") == "budget:700"
    plain = dense(encode("budget:300", laplace(20_000)))
    ahead = dense(encode("budget:300+relax:1.5", laplace(20_000)))
    np.testing.assert_array_equal(np.flatnonzero(plain), np.flatnonzero(ahead))
    kept = plain != 0
    ratio = np.abs(ahead[kept]) / np.abs(plain[kept])
    assert np.all((ratio >= 1.5) & (ratio <= 1.5 * (1 + 2**-7)))


@pytest.mark.parametrize("gain", ["", "0", "0.9", "1.951", "2", "-1", "1.", "1.7000", "nan", "1,7"])
def test_a_relaxation_that_could_run_away_or_is_none_is_refused(gain: str) -> None:
    with pytest.raises(ConfigError, match="unknown codec"):
        codecs.get(f"topk:0.1/sign+relax:{gain}")
    with pytest.raises(ConfigError, match="unknown codec"):
        codecs.get(f"budget:700+relax:{gain}")
