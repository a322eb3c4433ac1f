"""What is read and written often has a way of its own; it must give what the general way gives."""

from collections.abc import Callable

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import PayloadError
from fedge.messages import CHUNK_BYTES, Accepted, UpdateChunk
from fedge.messages.chunks import MAX_CHUNKS
from fedge.messages.update import MAX_ROUND
from fedge.types import JobId, RoundId

# Values around each length of a CBOR head, and around what a field may be.
EDGES = (0, 1, 23, 24, 255, 256, 65_535, 65_536, MAX_ROUND, MAX_ROUND + 1, 2**32 - 1, 2**32)
a_number = st.sampled_from(EDGES) | st.integers(0, 2**33)
some_data = st.binary(max_size=40) | st.sampled_from(
    [bytes(n) for n in (23, 24, 255, 256, 257, CHUNK_BYTES, CHUNK_BYTES + 60, CHUNK_BYTES + 128)]
)


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """Eight fields that may fit an update's chunk, or not quite."""
    sizes = draw(st.sampled_from([(4, 8, 16)] * 6 + [(3, 8, 16), (4, 9, 16), (4, 8, 15)]))
    run, nonce, digest = (draw(st.binary(min_size=n, max_size=n)) for n in sizes)
    total = draw(a_number)
    index = draw(st.integers(0, max(0, min(total, MAX_CHUNKS) - 1)) | a_number)
    version = draw(st.sampled_from([1, 1, 1, 1, 2]))
    fields = [version, run, draw(a_number), nonce, index, total, digest, draw(some_data)]
    return cbor2.dumps(fields, canonical=True)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An array with a few bytes changed, cut off or added."""
    data = bytearray(draw(arrays()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)) | st.integers(0, min(60, len(data))))
        match draw(st.sampled_from(["change", "cut", "insert", "append"])):
            case "change" if place < len(data):
                data[place] = draw(st.integers(0, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 3))]
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=3))
            case _:
                data += draw(st.binary(min_size=1, max_size=3))
    return bytes(data)


def outcome(read: Callable[[bytes], UpdateChunk], payload: bytes) -> UpdateChunk | str:
    try:
        return read(payload)
    except PayloadError as error:
        return str(error)


@given(payload=arrays() | mutated() | st.binary(max_size=80))
def test_both_readers_of_an_update_agree(payload: bytes) -> None:
    strict = outcome(UpdateChunk._read_strictly, payload)
    assert outcome(UpdateChunk.from_bytes, payload) == strict
    quick = UpdateChunk._read(payload)
    assert quick is None or quick == strict
    if isinstance(strict, UpdateChunk):  # canonical, so there is one spelling of it
        assert quick == strict
        assert strict.to_bytes() == payload


@pytest.mark.parametrize("head", [b"\x18\x17", b"\x19\x00\x18", b"\x1a\x00\x00\x01\x00"])
def test_a_number_in_a_longer_form_than_it_needs_is_refused(head: bytes) -> None:
    payload = cbor2.dumps([1, b"run1", 7, bytes(8), 0, 1, bytes(16), b"data"], canonical=True)
    longer = payload.replace(b"\x44run1\x07", b"\x44run1" + head)
    assert len(longer) == len(payload) + len(head) - 1
    with pytest.raises(PayloadError, match="canonical"):
        UpdateChunk.from_bytes(longer)


@given(
    job=st.text("abcxyz019_-", min_size=1, max_size=64),
    round_=st.sampled_from([n for n in EDGES if n <= MAX_ROUND]) | st.integers(0, MAX_ROUND),
    nonce=st.binary(min_size=8, max_size=8) | st.binary(max_size=20),
)
def test_an_acceptance_is_what_the_general_encoder_writes(
    job: str, round_: int, nonce: bytes
) -> None:
    accepted = Accepted(job=JobId(job), round=RoundId(round_), nonce=nonce)
    plain = cbor2.dumps([1, "accepted", job, round_, nonce, None], canonical=True)
    assert accepted.to_bytes() == plain
