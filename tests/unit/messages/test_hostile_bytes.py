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
from fedge.messages.skim import _Reader
from fedge.messages.state import AggregatorState
from tests.support.message_examples import EXAMPLES

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
    with pytest.raises(PayloadError, match="array of 6"):
        decode_reply(b"\x99\xff\xff" * 400)
    with pytest.raises(PayloadError, match="at most 200 values"):
        decode_reply(b"\x86\x01\x60\x60\x00\x40" + b"\x99\xff\xff" * 400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**14


def heads_read(decode: Decoder, payload: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many values a decoder looks at before it refuses; a call of cbor2 looks at all."""
    n = 0
    head, loads = _Reader.head, cbor2.loads

    def counted(reader: _Reader) -> tuple[int, int]:
        nonlocal n
        n += 1
        return head(reader)

    def all_at_once(*given: object, **named: object) -> object:
        nonlocal n
        n += len(payload)
        return loads(*given, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(_Reader, "head", counted)
        patch.setattr(cbor2, "loads", all_at_once)
        with pytest.raises(PayloadError):
            decode(payload)
    return n


EMPTY = 61_000
FLOODS = {
    "a list of empty lists": b"\x99" + EMPTY.to_bytes(2) + b"\x80" * EMPTY,
    "eight fields, the last of empty lists": b"\x88\x01" + b"\x80" * EMPTY,
    "a field of empty lists": b"\x88\x01\x44run1\x07\x48" + bytes(8) + b"\x00\x01\x50"
    + bytes(16) + b"\x99" + EMPTY.to_bytes(2) + b"\x80" * EMPTY,
    "a map of small integers": b"\xb9" + (EMPTY // 2).to_bytes(2) + b"\x00" * EMPTY,
    "a map with an unknown field of lists": b"\xa2\x61v\x01\x61z\x99\x03\xe8" + b"\x80" * 1000,
    "lists in lists": b"\x81" * 1000,
    "one after another": b"\x80" * EMPTY,
    "a list of a whole reply": b"\x86\x01\x60\x60\x00\x40\x99\x07\xd0" + b"\x80" * 2000,
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("decode", [one for one in DECODERS if one != Broadcasts.from_bytes])
def test_a_flood_of_values_is_refused_after_a_few_heads(
    decode: Decoder, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the largest honest message has, and for most kinds fewer than ten."""
    assert heads_read(decode, FLOODS[name], monkeypatch) <= 257


def test_a_flood_where_a_chunk_should_be_is_refused_by_its_first_wrong_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode = UpdateChunk.from_bytes
    expected = {
        "a list of empty lists": 1,  # an array of another length
        "eight fields, the last of empty lists": 2,  # the version; a list where a run should be
        "a field of empty lists": 8,  # seven sound fields, then a list where data should be
        "a map of small integers": 1,
    }
    found = {name: heads_read(decode, FLOODS[name], monkeypatch) for name in expected}
    assert found == expected


@pytest.mark.parametrize(("decode", "message"), EXAMPLES)
def test_a_field_of_another_type_is_refused_before_anything_is_decoded(
    decode: Decoder, message: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every known field but the version, of which any value is told as a version."""
    fields = cbor2.loads(message)
    keys = list(fields) if isinstance(fields, dict) else range(len(fields))
    for key in keys:
        if key in ("v", 0):
            continue
        spoilt = fields.copy()
        spoilt[key] = {} if not isinstance(fields[key], dict) else []
        payload = cbor2.dumps(spoilt, canonical=True)
        assert heads_read(decode, payload, monkeypatch) < len(payload)
