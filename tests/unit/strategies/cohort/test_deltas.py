"""Both ways to read deltas, wherever they are: by hand, against each other, and what they cost."""

import tracemalloc
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs
from fedge.errors import PayloadError
from fedge.strategies import Cohort, PayloadDeltas, cohort_of, scale
from fedge.strategies.rules import Median
from fedge.types import DeviceId, Update
from tests.support.cohorts import dense, member, of_payloads, of_rows, vector

SPECS = ["none", "int8", "topk:0.25/sign", "topk:0.25/float32+ctx", "eden:2", "mask:0.3/eden:1"]
N_PARAMS = 40


def encoded(spec: str, seed: int, n: int) -> list[bytes]:
    rng, codec = np.random.default_rng(seed), codecs.get(spec)
    deltas = rng.normal(size=(n, N_PARAMS)).astype(np.float32)
    return [codec.encode(delta, None, rng) for delta in deltas]


def in_memory(payloads: Sequence[bytes]) -> Cohort:
    return cohort_of(
        {
            DeviceId(f"device-{place:03}"): Update(
                delta=codecs.decode(payload).to_dense(), n_examples=1, n_steps=1, loss=0.0
            )
            for place, payload in enumerate(payloads)
        }
    )


def test_a_weighted_sum_and_columns_by_hand() -> None:
    deltas = of_rows([[1, 2, 3], [10, 20, 30]]).deltas
    np.testing.assert_array_equal(deltas.weighted_sum([2.0, 0.5]), [7, 14, 21])
    np.testing.assert_array_equal(deltas.columns(1, 3), [[2, 3], [20, 30]])
    np.testing.assert_array_equal(deltas.weighted_sum([0.0, 0.0]), [0, 0, 0])
    assert deltas.columns(3, 3).shape == (2, 0)


@pytest.mark.parametrize("spec", SPECS)
@given(
    seed=st.integers(0, 2**32 - 1),
    bounds=st.tuples(st.integers(0, N_PARAMS), st.integers(0, N_PARAMS)),
)
def test_columns_are_those_of_the_decoded_deltas(
    spec: str, seed: int, bounds: tuple[int, int]
) -> None:
    payloads = encoded(spec, seed, 3)
    start, stop = sorted(bounds)
    want = np.stack([codecs.decode(payload).to_dense()[start:stop] for payload in payloads])
    for cohort in (of_payloads(payloads, N_PARAMS), in_memory(payloads)):
        got = cohort.deltas.columns(start, stop)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want)


def test_what_was_not_sent_is_told_from_a_zero_that_was() -> None:
    """By hand: one device keeps the larger two of four, one sends all of its own."""
    rng = np.random.default_rng(0)
    sparse = codecs.get("topk:0.5/float32").encode(vector(0, 3, 1, -8), None, rng)
    cohort = of_payloads([sparse, dense(0, 5, 6, 7)], 4)
    nan = np.nan
    want = np.array([[nan, 3, nan, -8], [0, 5, 6, 7]], np.float32)
    np.testing.assert_array_equal(cohort.deltas.columns(0, 4, absent=nan), want)
    np.testing.assert_array_equal(cohort.deltas.columns(1, 3, absent=nan), want[:, 1:3])
    np.testing.assert_array_equal(cohort.deltas.columns(0, 4), [[0, 3, 0, -8], [0, 5, 6, 7]])
    halves = scale(cohort, [0.5, 0.0]).deltas
    np.testing.assert_array_equal(halves.columns(0, 4, absent=nan), want[:1] / 2)
    in_rows = in_memory([sparse]).deltas  # a row has all its parameters
    np.testing.assert_array_equal(in_rows.columns(0, 4, absent=nan), [[0, 3, 0, -8]])


@pytest.mark.parametrize("spec", SPECS)
def test_a_sum_is_that_of_its_columns_and_both_can_be_read_again(spec: str) -> None:
    cohort = of_payloads(encoded(spec, 7, 4), N_PARAMS)
    shares = scale(cohort, [0.5, 0.0, 1.0, 0.25])
    for deltas, weights in (
        (cohort.deltas, [0.5, 0.25, 0.0, 2.0]),
        (shares.deltas, [2.0, 1.0, 4.0]),
    ):
        rows = deltas.columns(0, N_PARAMS)
        got = deltas.weighted_sum(weights)
        want = np.array(weights) @ rows.astype(np.float64)
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=1e-5, atol=1e-6)
        rows[:] = np.nan  # they are the caller's
        got_again = deltas.weighted_sum(weights)
        assert got_again.tobytes() == got.tobytes()
        assert np.isfinite(deltas.columns(0, N_PARAMS)).all()


def test_what_has_no_weight_is_not_read() -> None:
    asked: list[int] = []

    def read(places: Iterable[int]) -> Iterator[bytes]:
        for place in places:
            asked.append(place)
            yield dense(1.0)

    deltas = PayloadDeltas(n_params=1, n_members=4, read=read)
    np.testing.assert_array_equal(deltas.weighted_sum([0.0, 2.0, 0.0, 1.0]), [3])
    assert asked == [1, 3]


def test_what_is_left_out_may_hold_anything() -> None:
    cohort = scale(of_payloads([dense(1.0), b"no payload", dense(4.0)], 1), [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(cohort.deltas.weighted_sum([1.0, 1.0]), [3])


def test_scaling_a_cohort_scales_deltas_and_norms() -> None:
    members = [member(0, norm=4.0), member(1, norm=9.0), member(2)]
    cohort = scale(of_rows([[4], [9], [1]], members), [0.5, 0.0, 0.5])
    assert [one.norm for one in cohort.members] == [2.0, None]
    np.testing.assert_array_equal(cohort.deltas.columns(0, 1), [[2], [0.5]])
    np.testing.assert_array_equal(cohort.deltas.weighted_sum([1.0, 2.0]), [3])
    again = scale(cohort, [0.5, 0.0])
    np.testing.assert_array_equal(again.deltas.weighted_sum([1.0]), [1])


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 1.0, 1.0]])
def test_a_weight_too_few_or_too_many_is_refused(weights: list[float]) -> None:
    cohort = of_rows([[4], [9]])
    updates = in_memory([dense(4), dense(9)])
    for deltas in (cohort.deltas, scale(cohort, [1.0, 0.5]).deltas, updates.deltas):
        with pytest.raises(ValueError, match=r"weights|zip"):
            deltas.weighted_sum(weights)


def test_a_payload_of_another_size_is_refused_both_ways() -> None:
    deltas = of_payloads([dense(1, 2), dense(1, 2, 3)], 2).deltas
    with pytest.raises(PayloadError, match="payload parameters: expected 2, found 3"):
        deltas.weighted_sum([1.0, 1.0])
    with pytest.raises(PayloadError, match="payload parameters: expected 2, found 3"):
        deltas.columns(0, 1)


@given(n=st.integers(1, 50), n_params=st.integers(0, 200), most=st.integers(1, 1000))
def test_ranges_cover_every_column_once_and_keep_to_their_size(
    n: int, n_params: int, most: int
) -> None:
    ranges = list(of_payloads([b""] * n, n_params).ranges(most))
    assert [column for start, stop in ranges for column in range(start, stop)] == [*range(n_params)]
    assert all(4 * n * (stop - start) <= most or stop - start == 1 for start, stop in ranges)


def test_a_median_by_ranges_keeps_less_than_the_cohort_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty rows of 200 000 parameters are 32 MB; ranges of 1 MB and one dense delta are enough."""
    n, n_params = 40, 200_000
    monkeypatch.setattr(Cohort.ranges, "__defaults__", (2**20,))
    rng, codec = np.random.default_rng(0), codecs.get("topk:0.01/sign")
    payloads = [
        codec.encode(rng.normal(size=n_params).astype(np.float32), None, rng) for _ in range(n)
    ]
    cohort = of_payloads(payloads, n_params)
    tracemalloc.start()
    try:
        Median().combine(cohort)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20 + 3 * 4 * n_params  # rows and their copy; the parts and the whole


def test_updates_in_memory_say_their_steps_and_losses() -> None:
    update = Update(delta=vector(1), n_examples=3, n_steps=7, loss=0.5)
    (one,) = cohort_of({DeviceId("ann"): update}, round_=4).members
    assert (one.device, one.round, one.n_examples) == ("ann", 4, 3)
    assert (one.n_steps, one.loss, one.staleness) == (7, 0.5, 0)
