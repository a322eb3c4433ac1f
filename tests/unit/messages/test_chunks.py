"""Cutting into chunks and putting together."""

import hashlib
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge.errors import PayloadError
from fedge.messages import CHUNK_BYTES, Assembly, n_chunks, slice_chunk, split_update
from fedge.messages.chunks import digest16
from fedge.types import RoundId


def test_a_worked_example() -> None:
    assert [slice_chunk(b"abcdefg", index, 3) for index in range(3)] == [b"abc", b"def", b"g"]
    assert n_chunks(7, 3) == 3
    # printf abcdefg | sha256sum
    digest = bytes.fromhex("7d1a54127b222502f5b79b5fb0803061")
    assert digest16(b"abcdefg") == digest
    assembly = Assembly(digest, 3, max_bytes=7)
    assembly.add(2, b"g")
    assert assembly.missing() == [(0, 1)]
    assembly.add(0, b"abc")
    assert assembly.missing() == [(1, 1)]
    assert not assembly.is_complete
    assembly.add(1, b"def")
    assert assembly.missing() == []
    assert assembly.whole() == b"abcdefg"


@pytest.mark.parametrize(
    ("size", "n"),
    [(0, 1), (1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2), (2 * CHUNK_BYTES, 2)],
)
def test_how_many_chunks_a_size_needs(size: int, n: int) -> None:
    assert n_chunks(size) == n


@given(data=st.binary(max_size=200), chunk_bytes=st.integers(1, 50), seed=st.integers(0, 999))
@example(data=b"", chunk_bytes=1, seed=0)
def test_any_order_with_any_repeats_gives_the_whole(
    data: bytes, chunk_bytes: int, seed: int
) -> None:
    chunks = list(split_update(data, b"run1", RoundId(1), bytes(8), chunk_bytes=chunk_bytes))
    dice = random.Random(seed)  # noqa: S311 - an order to test, not a secret
    arrivals = chunks + dice.choices(chunks, k=len(chunks))
    dice.shuffle(arrivals)
    assembly = Assembly(digest16(data), len(chunks), max_bytes=len(data))
    for n_seen, chunk in enumerate(arrivals):
        seen = {one.index for one in arrivals[:n_seen]}
        missing = {i for first, last in assembly.missing() for i in range(first, last + 1)}
        assert missing == set(range(len(chunks))) - seen
        assembly.add(chunk.index, chunk.data)
    assert assembly.is_complete
    assert assembly.whole() == data


def test_no_chunk_of_a_payload_is_larger_than_a_strict_broker_takes() -> None:
    chunks = list(split_update(bytes(3 * CHUNK_BYTES + 1), b"run1", RoundId(2**31 - 1), bytes(8)))
    assert max(len(chunk.to_bytes()) for chunk in chunks) < 65_536 - 512


def test_missing_ranges_are_the_lowest_and_at_most_so_many() -> None:
    assembly = Assembly(bytes(16), 10, max_bytes=100)
    for index in (1, 3, 5):
        assembly.add(index, b"x")
    assert assembly.missing(most=2) == [(0, 0), (2, 2)]
    assert assembly.missing() == [(0, 0), (2, 2), (4, 4), (6, 9)]


def test_a_changed_byte_changes_the_digest() -> None:
    assembly = Assembly(hashlib.sha256(b"ab").digest(), 1, max_bytes=2)
    assembly.add(0, b"ac")
    with pytest.raises(PayloadError, match="digest"):
        assembly.whole()


def test_chunks_beyond_the_bound_are_refused_and_not_kept() -> None:
    assembly = Assembly(digest16(b"abcd"), 2, max_bytes=4)
    assembly.add(0, b"ab")
    with pytest.raises(PayloadError, match="at most 4"):
        assembly.add(1, b"cde")
    assembly.add(1, b"cd")
    assert assembly.whole() == b"abcd"


@pytest.mark.parametrize("total", [-1, 0, 65_537, 11])
def test_a_count_of_chunks_that_cannot_be_is_refused(total: int) -> None:
    with pytest.raises(PayloadError, match="chunks of a message"):
        Assembly(bytes(16), total, max_bytes=10)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_is_refused(index: int) -> None:
    with pytest.raises(PayloadError, match="chunk index"):
        Assembly(bytes(16), 2, max_bytes=10).add(index, b"")
