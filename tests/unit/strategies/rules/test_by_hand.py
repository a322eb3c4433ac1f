"""Robust rules and pre-aggregators worked by hand, by their specs."""

from dataclasses import replace

import numpy as np
import pytest

from fedge import codecs
from fedge.strategies import Cohort, get
from fedge.strategies.rules import Bucketing, Chain, Mean, NearestNeighborMixing, TrimmedMean
from fedge.types import RoundId, Vector
from tests.support.cohorts import member, of_payloads, of_rows, vector

LINE = [[0.0], [1.0], [2.5], [4.0], [100.0]]  # the last one lies
SEVEN = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [100.0]]


def combine(spec: str, cohort: Cohort) -> Vector:
    return get(spec).rule.combine(cohort)


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("median", 2.5),
        ("trimmed_mean:f=1", 2.5),  # of 1, 2.5 and 4
        ("trimmed_mean:0.2", 2.5),  # a fifth of five is one
        ("trimmed_mean:0.1", 2.5),  # rounded up
        ("meamed:f=1", 1.875),  # of 2.5, then 1 and 4, then 0
        # Sums of three squares: 23.25, 12.25, 10.75, 27.25, and far more for 100.
        ("krum:f=1", 2.5),
        ("multi_krum:f=1", 1.875),
        ("mda:f=1", 1.875),
        ("smea:f=1", 1.875),
        ("centered_clipping:tau=1,iterations=1", 0.8),  # of 0, 1, 1, 1, 1
        ("centered_clipping:tau=1,iterations=2", 1.28),  # 0.8 and the mean of -0.8, 0.2, 1, 1, 1
        ("clip:c=2+mean", 1.4),  # of 0, 1, 2, 2, 2
        ("arc:f=1+mean", 2.3),  # 2 * 4 / 5 is 1.6: one row, made as long as 4
        ("nnm:f=1+mean", 6.875),  # four times the mean of 0, 1, 2.5, 4, and once 26.875
        ("nnm+trimmed_mean:f=1", 1.875),
        ("nnm+krum:f=1", 1.875),
        ("nnm:f=1+median", 1.875),
    ],
)
def test_five_deltas_of_which_one_lies(spec: str, want: float) -> None:
    np.testing.assert_allclose(combine(spec, of_rows(LINE)), [want], rtol=1e-6)


def test_a_median_looks_at_each_parameter_by_itself() -> None:
    np.testing.assert_array_equal(combine("median", of_rows([[1, 10], [2, -5], [30, 0]])), [2, 0])


def test_bulyan_picks_again_and_again_and_takes_the_middle() -> None:
    """It picks 2, 3, 1, 4 and 0, by sums of 4, 3, 2, 1 and 1 squares; nearest to 2 are 1, 2, 3."""
    np.testing.assert_allclose(combine("bulyan:f=1", of_rows(SEVEN)), [2], rtol=1e-6)


def test_the_geometric_median_of_a_line_is_its_median() -> None:
    np.testing.assert_allclose(combine("geometric_median", of_rows(LINE)), [2.5], atol=1e-3)


def test_the_covariance_filter_by_the_example_of_byzfl() -> None:
    """The first mean, of all, has the smallest eigenvalue that the filter comes across."""
    cohort = of_rows([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    np.testing.assert_allclose(combine("caf:f=1", cohort), [4, 5, 6], rtol=1e-6)


def test_trust_is_a_cosine_and_every_delta_gets_the_length_of_the_reference() -> None:
    """Cosines with (2, 0) are 1, 0, -1 and 0.6: (2, 0) and 0.6 of (1.2, 1.6), over 1.6."""
    cohort = of_rows([[4, 0], [0, 5], [-1, 0], [3, 4]])
    got = combine("fltrust", replace(cohort, reference=vector(2, 0)))
    np.testing.assert_allclose(got, [1.7, 0.6], rtol=1e-6)


def test_nobody_who_agrees_with_trusted_data_moves_nothing() -> None:
    cohort = replace(of_rows([[-4, 0], [0, 0]]), reference=vector(2, 0))
    np.testing.assert_array_equal(combine("fltrust", cohort), [0, 0])


def test_fltrust_cannot_do_without_a_reference() -> None:
    with pytest.raises(ValueError, match="needs a reference"):
        combine("fltrust", of_rows([[4, 0]]))


def test_devices_that_say_the_same_are_taken_for_one_that_hides() -> None:
    np.testing.assert_allclose(combine("foolsgold", of_rows([[1, 0], [1, 0], [0, 1]])), [0, 1])


def test_who_said_the_same_before_is_known_by_it() -> None:
    """At right angles in this round, but the last two have gone the same way so far."""
    cohort = of_rows([[9, 0, 0], [0, 9, 0], [0, 0, 9]])
    np.testing.assert_allclose(combine("foolsgold", cohort), [3, 3, 3], rtol=1e-6)
    history = of_rows([[0, 0, 0], [0, 1000, 0], [0, 1000, 0]]).deltas
    got = combine("foolsgold", replace(cohort, history=history))
    np.testing.assert_allclose(got, [9, 0, 0], atol=1e-6)


def test_a_device_that_is_in_a_cohort_twice_is_not_alike_to_itself() -> None:
    members = [member(0), replace(member(0), round=RoundId(2)), member(1)]
    rows, history = [[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], of_rows([[5, 0], [5, 0], [0, 5]]).deltas
    got = combine("foolsgold", replace(of_rows(rows, members), history=history))
    np.testing.assert_allclose(got, [4 / 3, 2 / 3], rtol=1e-6)


def test_a_pre_aggregator_may_leave_fewer_members() -> None:
    """Of five members buckets of two leave three; a trimmed mean of f = 1 needs them."""
    chain = Chain((Bucketing(s=2),), TrimmedMean(f=1))
    assert chain.least == 5
    assert Chain((Bucketing(s=2), NearestNeighborMixing(f=2)), Mean()).least == 9
    prepared = Bucketing(s=2).prepare(of_rows([[6.0]] * 5))
    assert [one.n_examples for one in prepared.members] == [2, 2, 1]
    np.testing.assert_array_equal(chain.combine(of_rows([[6.0]] * 5)), [6])
    assert Chain((Bucketing(s=2),), Mean()).streams


def test_buckets_are_drawn_anew_in_every_round() -> None:
    def first(round_: int) -> list[str]:
        members = [replace(member(number), round=RoundId(round_)) for number in range(8)]
        prepared = Bucketing(s=2).prepare(of_rows([[float(n)] for n in range(8)], members))
        return [str(total) for total in prepared.deltas.columns(0, 1).ravel()]

    assert first(1) == first(1)
    assert len({tuple(first(round_)) for round_ in range(8)}) > 4


def sparse(rows: list[list[float]]) -> Cohort:
    """Each device sends one of four parameters, its largest."""
    rng, codec = np.random.default_rng(0), codecs.get("topk:0.25/float32")
    payloads = [codec.encode(vector(*row), None, rng) for row in rows]
    return of_payloads(payloads, len(rows[0]))


SENT = [[4.0, 0, 0, 0], [8.0, 0, 0, 0], [0, 2.0, 0, 0], [96.0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("mean", [27, 0.5, 0, 0]),
        ("median", [6, 0.5, 0, 0]),  # three quarters of 8, one quarter of 2
        ("trimmed_mean:f=1", [6, 0.5, 0, 0]),
        ("meamed:f=1", [4.5, 0.5, 0, 0]),  # three quarters of the mean of 4 and 8
    ],
)
def test_who_did_not_send_a_parameter_has_no_vote_on_it(spec: str, want: list[float]) -> None:
    np.testing.assert_allclose(combine(spec, sparse(SENT)), want, rtol=1e-6)


def test_a_zero_that_was_sent_is_a_vote() -> None:
    np.testing.assert_array_equal(combine("median", of_rows([[0], [0], [3]])), [0])


def test_a_mixture_of_sparse_deltas_has_every_parameter() -> None:
    """With f = 1 each of the first three is the mean of those three: (4, 2 / 3, 0, 0)."""
    got = combine("nnm:f=1+median", sparse(SENT))
    np.testing.assert_allclose(got, [4, 2 / 3, 0, 0], rtol=1e-6)


def test_a_bucket_has_what_one_of_its_members_has_sent() -> None:
    """Three of four buckets are there at the first parameter, and one at the second.

    Of one member each, the buckets say what their members said: three quarters of 8.
    """
    np.testing.assert_array_equal(combine("bucketing:s=1+median", sparse(SENT)), [6, 0.5, 0, 0])
    two = combine("bucketing:s=2+median", sparse([[4.0, 0], [0, 0], [0, 0], [0, 0]]))
    np.testing.assert_array_equal(two, [1, 0])  # of the buckets 2 and 0; the mean is 1, too


def test_a_share_leaves_room_for_an_honest_majority() -> None:
    """0.4 of four is two, but then nothing would be left; of three, one at each end."""
    assert get("trimmed_mean:0.4").rule.least == 3
    got = combine("trimmed_mean:0.4", of_rows([[0], [1], [2], [50]]))
    np.testing.assert_array_equal(got, [1.5])
