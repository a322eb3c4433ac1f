"""Bytes from outside: they decode, or PayloadError says why not; nothing else happens."""

import tracemalloc
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge.errors import PayloadError
from fedge.messages import (
    CHUNK_BYTES,
    BlobChunk,
    BlobRequest,
    Broadcasts,
    DeviceState,
    RoundManifest,
    UpdateChunk,
    decode_reply,
)
from fedge.messages.state import AggregatorState
from tests.unit.messages.examples import EXAMPLES

Decoder = Callable[[bytes], object]

DECODERS: list[Decoder] = [
    BlobChunk.from_bytes,
    BlobRequest.from_bytes,
    Broadcasts.from_bytes,
    UpdateChunk.from_bytes,
    RoundManifest.from_bytes,
    DeviceState.from_bytes,
    AggregatorState.from_bytes,
    decode_reply,
]

any_decoder = st.sampled_from(DECODERS)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(), inner, max_size=7),
    max_leaves=12,
)


def decodes_or_refuses(decode: Decoder, payload: bytes) -> None:
    try:
        decode(payload)
    except PayloadError as error:
        said = str(error)
    else:
        return
    assert len(said) < 1000  # a log line, not the message
    said.encode()  # printable: no lone surrogates


@given(decode=any_decoder, payload=st.binary(max_size=300))
@example(decode=decode_reply, payload=b"")
@example(decode=decode_reply, payload=b"\x81" * 5000)  # deeper than any stack
@example(decode=decode_reply, payload=b"\x81" * 900)
@example(decode=UpdateChunk.from_bytes, payload=b"\x5b" + b"\xff" * 8)  # 2**64 bytes follow
@example(decode=UpdateChunk.from_bytes, payload=b"\x9b" + b"\x7f" * 8)  # 2**63 values follow
@example(decode=UpdateChunk.from_bytes, payload=b"\xbb" + b"\x7f" * 8)
@example(decode=DeviceState.from_bytes, payload=b"\xc0\x61x")  # a date
@example(decode=DeviceState.from_bytes, payload=b"\xc4\x82\x1a\x3b\x9a\xca\x00\x01")  # 1e1000000000
@example(decode=DeviceState.from_bytes, payload=b"\xc5\x82\x1b" + b"\x7f" * 8 + b"\x01")
@example(decode=DeviceState.from_bytes, payload=b"\xd8\x23\x61(")  # a broken regular expression
@example(decode=DeviceState.from_bytes, payload=b"\xd8\x1c\x81\xd8\x1d\x00")  # a list in itself
@example(decode=DeviceState.from_bytes, payload=b"\xd8\x1e\x82\x01\x00")  # 1/0
@example(
    decode=DeviceState.from_bytes, payload=b"\xd8\x24\x78\x1eContent-Type: a/b; charset=x\n\nx"
)
def test_random_bytes(decode: Decoder, payload: bytes) -> None:
    decodes_or_refuses(decode, payload)


@given(decode=any_decoder, value=st.lists(plain, max_size=8) | st.dictionaries(st.text(), plain))
@example(decode=UpdateChunk.from_bytes, value=[1, 1 << 20_000, b"", 0, 1, b"", b""])
@example(decode=BlobChunk.from_bytes, value=[1, 0, -(1 << 20_000), b""])
@example(decode=decode_reply, value=[1 << 20_000, 0, 0, 0, 0, 0])
def test_cbor_of_any_shape(decode: Decoder, value: object) -> None:
    decodes_or_refuses(decode, cbor2.dumps(value, canonical=True))


@given(decode=any_decoder, rest=st.lists(plain, min_size=3, max_size=6))
def test_arrays_of_the_right_version(decode: Decoder, rest: list[object]) -> None:
    decodes_or_refuses(decode, cbor2.dumps([1, *rest], canonical=True))


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
@given(data=st.data())
def test_a_field_replaced_by_anything(decode: Decoder, message: bytes, data: st.DataObject) -> None:
    fields = cbor2.loads(message)
    keys = list(fields) if isinstance(fields, dict) else list(range(len(fields)))
    fields[data.draw(st.sampled_from(keys))] = data.draw(plain | st.just(1 << 20_000))
    decodes_or_refuses(decode, cbor2.dumps(fields, canonical=True))


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
def test_every_message_with_one_bit_flipped(decode: Decoder, message: bytes) -> None:
    for bit in range(8 * len(message)):
        mutated = bytearray(message)
        mutated[bit // 8] ^= 1 << bit % 8
        decodes_or_refuses(decode, bytes(mutated))


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
def test_every_message_cut_short_or_continued_is_refused(decode: Decoder, message: bytes) -> None:
    decode(message)
    for wrong in [*(message[:end] for end in range(len(message))), message + b"\x00"]:
        with pytest.raises(PayloadError):
            decode(wrong)


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
def test_another_version_is_refused(decode: Decoder, message: bytes) -> None:
    fields = cbor2.loads(message)
    for version in (0, 2, True, "1", None):
        fields["v" if isinstance(fields, dict) else 0] = version
        with pytest.raises(PayloadError, match="version 1"):
            decode(cbor2.dumps(fields, canonical=True))


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
def test_a_second_spelling_of_a_message_is_refused(decode: Decoder, message: bytes) -> None:
    is_map = message[0] >> 5 == 5
    indefinite = (b"\xbf" if is_map else b"\x9f") + message[1:] + b"\xff"
    assert cbor2.loads(indefinite) == cbor2.loads(message)
    with pytest.raises(PayloadError, match="canonical"):
        decode(indefinite)


# Broadcasts are a blob: the manifest says how large it is, and no more of it is ever gathered.
@pytest.mark.parametrize("decode", [one for one in DECODERS if one != Broadcasts.from_bytes])
def test_a_message_too_large_is_refused_before_it_is_decoded(decode: Decoder) -> None:
    payload = b"\x84" + bytes(2 * CHUNK_BYTES)
    tracemalloc.start()
    with pytest.raises(PayloadError, match="at most"):
        decode(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000


def test_lists_that_are_announced_and_do_not_come_cost_little() -> None:
    """Three bytes announce 65 535 values, for which a decoder makes room: 200 MiB in 1200 bytes."""
    tracemalloc.start()
    with pytest.raises(PayloadError, match="nesting"):
        decode_reply(b"\x99\xff\xff" * 400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 2**20
