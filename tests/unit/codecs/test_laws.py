"""The laws of fedge.codecs.Codec, for every spec.

Which spec keeps which of the others, the table LAWS in deltas.py says.
"""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedge import codecs
from fedge.types import Vector
from tests.support.codec_laws import (
    FEEDBACK_SPECS,
    LAWS,
    RELAXED_SPECS,
    SPARSE_SPECS,
    SPECS,
    STAMP,
    deltas,
    dense,
    encode,
    laplace,
)

BF16_UP = 1 + 2**-7  # the most that rounding up to bf16 adds
TINY = 2.0**-126  # the smallest scale
seeds = st.integers(0, 2**32 - 1)


def _block_maxima(values: Vector) -> Vector:
    """For each value the largest magnitude of its 256."""
    padded = np.pad(np.abs(values), (0, -values.size % 256)).reshape(-1, 256)
    return np.repeat(padded.max(axis=1), 256)[: values.size]


@given(deltas(), seeds)
def test_none_loses_nothing(delta: Vector, seed: int) -> None:
    np.testing.assert_array_equal(dense(encode("none", delta, seed=seed)), delta)


@given(deltas(), seeds)
def test_int8_is_within_a_step_of_each_value(delta: Vector, seed: int) -> None:
    step = np.maximum(_block_maxima(delta).astype(np.float64) / 127 * BF16_UP, TINY)
    error = np.abs(dense(encode("int8", delta, seed=seed)).astype(np.float64) - delta)
    assert np.all(error <= step * (1 + 2**-16))


@given(deltas())
def test_topk_float32_sends_the_values_themselves(delta: Vector) -> None:
    kept = codecs.decode(encode("topk:0.1/float32", delta))
    assert isinstance(kept, codecs.Sparse)
    np.testing.assert_array_equal(kept.values, delta[kept.indices])


@pytest.mark.parametrize(("values", "largest"), [("int8", 127), ("int4", 7)])
@given(delta=deltas())
def test_topk_levels_are_within_half_a_step_of_each_kept_value(
    values: str, largest: int, delta: Vector
) -> None:
    kept = codecs.decode(encode(f"topk:0.1/{values}", delta))
    assert isinstance(kept, codecs.Sparse)
    sent = delta[kept.indices].astype(np.float64)
    step = np.maximum(_block_maxima(sent) / largest * BF16_UP, TINY)
    assert np.all(np.abs(kept.values - sent) <= step / 2 * (1 + 2**-16))


@pytest.mark.parametrize(("values", "largest"), [("int8", 127), ("int4", 7)])
@given(delta=deltas(), seed=seeds)
def test_topk_levels_rounded_stochastically_are_within_a_step_of_each_kept_value(
    values: str, largest: int, delta: Vector, seed: int
) -> None:
    kept = codecs.decode(encode(f"topk:0.1/{values}+stochastic", delta, seed=seed))
    assert isinstance(kept, codecs.Sparse)
    sent = delta[kept.indices].astype(np.float64)
    step = np.maximum(_block_maxima(sent) / largest * BF16_UP, TINY)
    assert np.all(np.abs(kept.values - sent) <= step * (1 + 2**-16))


@given(deltas())
def test_topk_sign_sends_the_mean_magnitude_of_each_block(delta: Vector) -> None:
    kept = codecs.decode(encode("topk:0.1/sign", delta))
    assert isinstance(kept, codecs.Sparse)
    for start in range(0, kept.indices.size, 256):
        sent = delta[kept.indices[start : start + 256]].astype(np.float64)
        got = kept.values[start : start + 256]
        mean = max(np.abs(sent).mean(), TINY)
        np.testing.assert_array_equal(np.sign(got), np.sign(sent))
        assert np.all((np.abs(got) >= mean * (1 - 2**-23)) & (np.abs(got) <= mean * BF16_UP))


@pytest.mark.parametrize("spec", SPARSE_SPECS)
@given(delta=deltas())
def test_topk_sends_the_largest_magnitudes(spec: str, delta: Vector) -> None:
    kept = codecs.decode(encode(spec, delta))
    assert isinstance(kept, codecs.Sparse)
    k = -(-delta.size // 10)  # a tenth, rounded up
    assert kept.indices.size == min(k, np.count_nonzero(delta))
    left = np.delete(np.abs(delta), kept.indices)
    assert left.max(initial=0) <= np.abs(delta[kept.indices]).min(initial=np.inf)


@pytest.mark.parametrize("spec", FEEDBACK_SPECS)
@given(delta=deltas(), carried=seeds)
@example(delta=np.array([3e38, 1e-45, -3e38], np.float32), carried=0)
def test_what_is_not_sent_stays_in_the_residual(spec: str, delta: Vector, carried: int) -> None:
    before = np.random.default_rng(carried).permutation(delta) / 2
    residual = before.copy()
    back = dense(encode(spec, delta, residual))
    with np.errstate(over="ignore"):
        wanted, total = before + delta, residual + back
    if (
        LAWS[spec].feedback == "rounded"
    ):  # sign: exact but where a value is far below its block's mean
        np.testing.assert_allclose(total, wanted, rtol=0, atol=2**-24 * np.abs(back).max(initial=0))
    else:
        np.testing.assert_array_equal(total, wanted)


@pytest.mark.parametrize("spec", [spec.replace("0.1", "0.01") for spec in SPARSE_SPECS])
def test_an_update_taken_back_is_sent_again_to_the_bit(spec: str) -> None:
    """With k = 1 % of Laplace values, no kept one is below half its block's mean."""
    delta = laplace(50_000)
    residual, nothing = np.zeros_like(delta), np.zeros_like(delta)
    first = encode(spec, delta, residual)
    codecs.restore(first, residual)
    np.testing.assert_array_equal(residual, delta)
    assert encode(spec, nothing, residual) == first


@pytest.mark.parametrize("spec", FEEDBACK_SPECS)
def test_over_rounds_everything_is_sent(spec: str) -> None:
    residual, received = np.zeros(500, np.float32), np.zeros(500, np.float32)
    deltas_sent = [laplace(500, seed) for seed in range(8)]
    for delta in deltas_sent:
        codecs.accumulate(encode(spec, delta, residual), 1.0, received)
    np.testing.assert_allclose(received + residual, np.sum(deltas_sent, axis=0), atol=1e-5)
    for _ in range(200):
        codecs.accumulate(encode(spec, np.zeros_like(residual), residual), 1.0, received)
    np.testing.assert_allclose(received, np.sum(deltas_sent, axis=0), atol=0.1)


class _ChosenBits:
    """Stands in for a generator: draws the seed that gives one value the wanted random bits."""

    def __init__(self, bits: int, element: int) -> None:
        block, place = divmod(element, 256)
        hashed = bits << 16 if place >= 128 else bits
        self.seed = _unhash(hashed) ^ (128 * block + place % 128)

    def integers(self, high: int) -> int:
        return self.seed


def _unhash(x: int) -> int:
    """The inverse of lowbias32: each step undone, last first."""
    x ^= x >> 16
    x = x * pow(0x846CA68B, -1, 2**32) % 2**32
    x ^= x >> 15 ^ x >> 30
    x = x * pow(0x7FEB352D, -1, 2**32) % 2**32
    return x ^ x >> 16


@pytest.mark.parametrize(
    ("spec", "largest"),
    [
        ("int8", 127),
        ("topk:1/int8+stochastic", 127),
        ("topk:1/int4+stochastic", 7),
        ("topk:1/int4+stochastic+ctx", 7),
    ],
)
@given(
    value=st.floats(2**-20, 1, width=32),
    sign=st.sampled_from([-1, 1]),
    element=st.sampled_from([0, 1, 127, 128, 255, 256, 400]),
)
@example(value=2**-20, sign=1, element=0)
@settings(deadline=None)
def test_stochastic_rounding_is_unbiased(
    spec: str, largest: int, value: float, sign: int, element: int
) -> None:
    """Over an even grid of random bits the mean is the value: no sampling, no luck."""
    n_draws = 64
    delta = np.ones(401, np.float32)
    delta[element] = sign * value
    total = 0.0
    for bits in range(2**15 // n_draws, 2**16, 2**16 // n_draws):
        payload = codecs.get(spec).encode(delta, None, _ChosenBits(bits, element))  # type: ignore[arg-type] # has what is used
        total += float(dense(payload)[element])
    step = BF16_UP / largest
    assert abs(total / n_draws - sign * value) <= step * (0.5 / n_draws + 2**-16)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data(), seed=seeds)
def test_the_same_arguments_give_the_same_bytes(spec: str, data: st.DataObject, seed: int) -> None:
    delta = data.draw(deltas(LAWS[spec].largest))
    before = delta.copy()
    assert encode(spec, delta, seed=seed) == encode(spec, delta, seed=seed)
    np.testing.assert_array_equal(delta, before)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data(), weight=st.floats(-100, 100, width=32))
def test_accumulate_adds_the_decoded_values_times_the_weight(
    spec: str, data: st.DataObject, weight: float
) -> None:
    delta = data.draw(deltas(LAWS[spec].largest))
    payload = encode(spec, delta)
    out = laplace(delta.size, 1)
    wanted = out + np.float32(weight) * dense(payload)
    codecs.accumulate(payload, weight, out)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data())
def test_header_says_what_was_stamped(spec: str, data: st.DataObject) -> None:
    delta = data.draw(deltas(LAWS[spec].largest))
    payload = encode(spec, delta)
    header = codecs.read_header(payload)
    assert (header.schema, header.round) == (STAMP.schema, STAMP.round)
    assert (header.n_params, header.n_examples) == (delta.size, STAMP.n_examples)
    assert codecs.get(spec).decode(payload).n_params == delta.size


def _bits_of_positions(n: int, k: int) -> float:
    """log2 of the number of ways to choose k of n."""
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def _bits_of_levels(values: Vector, mode: str) -> float:
    """Order-0 entropy of the levels of a message, signs included."""
    _, counts = np.unique(_levels(values, {"int8": 127, "int4": 7}[mode]), return_counts=True)
    shares = counts / values.size
    return float(-(counts * np.log2(shares)).sum())


def _levels(values: Vector, largest: int) -> Vector:
    """A block's largest magnitude has the largest level, or one less as scales are rounded up."""
    return np.round(values / _block_maxima(values) * largest)


@pytest.mark.parametrize(
    ("n_params", "k"), [(10_000, 500), (50_000, 500), (50_000, 2500), (1_000_000, 10_000)]
)
@pytest.mark.parametrize("values", [spec.removeprefix("topk:0.1/") for spec in SPARSE_SPECS])
def test_size_is_near_the_entropy_bound(n_params: int, k: int, values: str) -> None:
    """For up to 5 % of the values; a sign costs so little that beyond, block heads show."""
    assert _size_over_bound(n_params, k, values) <= (
        1.07 if values in {"int4", "int4+stochastic"} else 1.03
    )


@pytest.mark.parametrize("k", [5000, 20_000])
def test_size_is_not_far_from_the_entropy_bound_when_much_is_sent(k: int) -> None:
    assert _size_over_bound(50_000, k, "sign") <= 1.06


def _size_over_bound(n_params: int, k: int, values: str) -> float:
    """Size of a message of Laplace values without 24 B of header, over log2 C(n, k) + k * H."""
    payload = encode(f"topk:{k / n_params}/{values}", laplace(n_params))
    kept = codecs.decode(payload)
    assert isinstance(kept, codecs.Sparse)
    assert kept.indices.size == k
    mode = values.split("+", maxsplit=1)[0]
    bits = {"sign": k, "float32": 32 * k}.get(mode) or _bits_of_levels(kept.values, mode)
    bound = (_bits_of_positions(n_params, k) + bits) / 8
    return (len(payload) - 24) / bound


@pytest.mark.parametrize("spec", SPECS)
def test_fixed_overhead_is_at_most_20_bytes_and_a_seed(spec: str) -> None:
    delta = laplace(1_000_000)
    stamp = codecs.Stamp(round=16_000, n_examples=16_000)
    codec = codecs.get(spec.replace("0.1", "0.01"))
    residual = np.zeros_like(delta) if codec.uses_residual else None
    header = codecs.read_header(
        codec.encode(delta, residual, np.random.default_rng(0), stamp=stamp)
    )
    seed_and_mask = 4 if header.scheme.is_rotated else 0
    assert header.body.start + 4 <= 20 + seed_and_mask


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_delta_that_is_not_finite_is_refused_and_the_residual_survives(
    spec: str, bad: float
) -> None:
    delta = laplace(300)
    residual = laplace(300, 1)
    before = residual.copy()
    delta[290] = bad
    codec = codecs.get(spec)
    with pytest.raises(ValueError, match="NaN or infinity"):
        codec.encode(delta, residual if codec.uses_residual else None, np.random.default_rng(0))
    np.testing.assert_allclose(residual, before, rtol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "delta", [np.zeros(4), np.zeros((2, 2), np.float32), np.zeros(8, np.float32)[::2]]
)
def test_a_delta_of_the_wrong_kind_is_refused(spec: str, delta: Vector) -> None:
    with pytest.raises(ValueError, match="delta must be contiguous float32"):
        codecs.get(spec).encode(delta, None, np.random.default_rng(0))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if LAWS[spec].feedback is None])
def test_a_codec_without_feedback_takes_no_residual(spec: str) -> None:
    with pytest.raises(ValueError, match="residual must be None"):
        encode(spec, laplace(3), laplace(3))


@pytest.mark.parametrize("spec", FEEDBACK_SPECS + RELAXED_SPECS)
def test_without_a_residual_nothing_is_carried(spec: str) -> None:
    delta = laplace(100)
    payload = codecs.get(spec).encode(delta, None, np.random.default_rng(0), stamp=STAMP)
    assert payload == encode(spec, delta, np.zeros_like(delta))


def test_a_fleet_may_mix_all_codecs() -> None:
    """The mean of what was decoded, whoever sent it how."""
    payloads = [encode(spec, laplace(5000, i)) for i, spec in enumerate(SPECS)]
    total = np.zeros(5000, np.float32)
    for payload in payloads:
        codecs.accumulate(payload, 1 / len(SPECS), total)
    wanted = np.mean([dense(payload).astype(np.float64) for payload in payloads], axis=0)
    np.testing.assert_allclose(total, wanted, atol=1e-5)
