"""A blob on its way down."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.device.downlink.download import MAX_BLOB_BYTES, Download
from fedge.errors import PayloadError
from fedge.messages import CHUNK_BYTES, BlobChunk, BlobRef, BlobRequest
from tests.support.round_manifests import ref, rng

BLOB = bytes(range(256)) * 600  # 153 600 bytes: two chunks and a half
CHUNKS = [BlobChunk(i, 3, BLOB[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]) for i in range(3)]
KEY = ref(BLOB).key


def download() -> Download:
    return Download(ref(BLOB), rng())


def test_it_asks_for_everything_then_for_the_rest_and_returns_the_blob() -> None:
    one = download()
    assert one.ask(0.0) == BlobRequest(KEY, ((0, 2),))
    assert one.add(CHUNKS[1], 0.1) is None
    assert one.ask(5.0) == BlobRequest(KEY, ((0, 0), (2, 2)))
    assert one.add(CHUNKS[2], 5.1) is None
    assert one.add(CHUNKS[0], 5.2) == BLOB


def test_while_chunks_arrive_it_does_not_ask_again() -> None:
    one = download()
    one.ask(0.0)
    assert 0.5 <= one.ask_at_s <= 1.0
    one.add(CHUNKS[0], 0.9)
    assert one.ask_at_s == 1.9  # one second after the last chunk


def test_the_pauses_grow_while_nothing_arrives() -> None:
    one, asked = download(), [0.0]
    for _ in range(5):
        one.ask(asked[-1])
        asked.append(one.ask_at_s)
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    for pause, length in zip(pauses, [1.0, 2.0, 4.0, 8.0, 16.0], strict=True):
        assert length / 2 <= pause <= length


@given(order=st.permutations([0, 0, 1, 1, 2, 2]))
@settings(max_examples=30)
def test_chunks_in_any_order_and_repeated_give_the_blob(order: list[int]) -> None:
    one, whole = download(), None
    for index in order:
        whole = whole or one.add(CHUNKS[index], 0.0)
    assert whole == BLOB


@pytest.mark.parametrize(
    "chunk",
    [
        BlobChunk(0, 2, CHUNKS[0].data),
        BlobChunk(0, 3, CHUNKS[0].data[:-1]),
        BlobChunk(2, 3, CHUNKS[2].data + b"x"),
        BlobChunk(2, 3, b""),
    ],
    ids=["total", "short", "long", "empty"],
)
def test_a_chunk_that_cannot_belong_to_this_blob_is_refused(chunk: BlobChunk) -> None:
    one = download()
    with pytest.raises(PayloadError):
        one.add(chunk, 0.0)
    assert one.ask(1.0) == BlobRequest(KEY, ((0, 2),))


def test_a_forged_chunk_spoils_one_download_but_not_the_next() -> None:
    one = download()
    one.add(BlobChunk(0, 3, bytes(CHUNK_BYTES)), 0.0)
    one.add(CHUNKS[1], 0.0)
    with pytest.raises(PayloadError, match="digest"):
        one.add(CHUNKS[2], 0.0)
    assert one.ask(1.0) == BlobRequest(KEY, ((0, 2),))
    for chunk in CHUNKS[:2]:
        one.add(chunk, 1.0)
    assert one.add(CHUNKS[2], 1.0) == BLOB


def test_a_blob_too_large_for_a_device_is_refused_before_memory_is_allocated() -> None:
    with pytest.raises(PayloadError, match="at most 1073741824 bytes"):
        Download(BlobRef(bytes(32), MAX_BLOB_BYTES + 1), rng())
