"""The weight cap: worked by hand, then its laws."""

from hypothesis import example, given
from hypothesis import strategies as st

from fedge.codecs.varint import MAX_VARINT
from fedge.strategies import bound_examples

CLAIMS = st.lists(st.integers(1, MAX_VARINT), max_size=9)


def test_a_large_claim_counts_three_times_the_median() -> None:
    found = bound_examples([10, 40, 12, 8, 10_000_000], 3.0)
    assert (found.counts, found.bound, found.median) == ((10, 36, 12, 8, 36), 36, 12)


def test_of_two_middle_claims_the_smaller_one_is_the_median() -> None:
    assert bound_examples([10, 20, 1000, 4], 3.0).bound == 30


def test_a_bound_between_two_numbers_is_the_one_below() -> None:
    assert bound_examples([3, 3, 9], 2.5).counts == (3, 3, 7)


def test_of_two_that_differ_the_smaller_claim_is_believed() -> None:
    assert bound_examples([10, 10_000_000], 3.0).counts == (10, 30)


def test_a_small_cohort_is_weighed_by_earlier_rounds_too() -> None:
    assert bound_examples([1000], 3.0, [10, 20, 30]).counts == (60,)  # of 10 20 30 1000
    assert bound_examples([1000], 3.0, [1000, 10, 20, 30]).counts == (60,)  # the last three only
    assert bound_examples([1000], 3.0).counts == (1000,)  # nothing to compare with
    three = bound_examples([100, 100, 100], 3.0, [1, 1, 1])
    assert three.counts == (100, 100, 100)  # they have a majority of their own


def test_without_a_bound_every_claim_counts() -> None:
    found = bound_examples([1, 10_000_000], None)
    assert (found.counts, found.bound, found.median) == ((1, 10_000_000), None, 1)


@given(claimed=CLAIMS, factor=st.floats(1, 1e6), earlier=st.lists(st.integers(1, MAX_VARINT)))
@example(claimed=[], factor=3.0, earlier=[])
@example(claimed=[1], factor=1.0, earlier=[])
def test_a_count_is_the_claim_or_the_bound_and_never_nothing(
    claimed: list[int], factor: float, earlier: list[int]
) -> None:
    found = bound_examples(claimed, factor, earlier)
    assert len(found.counts) == len(claimed)
    for count, claim in zip(found.counts, claimed, strict=True):
        assert count == claim or (found.bound is not None and 1 <= count == found.bound < claim)


@given(honest=st.lists(st.integers(1, 1000), min_size=2, max_size=8), bad=st.integers(1))
def test_one_among_three_or_more_counts_at_most_what_the_others_could(
    honest: list[int], bad: int
) -> None:
    found = bound_examples([*honest, bad], 3.0)
    assert found.counts[-1] <= 3 * max(honest)
