"""The payload format: by hand, then bytes that somebody else made."""

import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import codecs
from fedge.errors import PayloadError
from fedge.types import Vector
from tests.support.codec_laws import SPARSE_SPECS, SPECS, STAMP, dense, encode, laplace


def _sealed(frame: bytes) -> bytes:
    """Adds the checksum that an attacker can compute too."""
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def _hex(text: str) -> bytes:
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def test_dense_float32_by_hand() -> None:
    """Two values, 1 and -2; round 300 takes two bytes of varint."""
    stamp = codecs.Stamp(schema=b"\xaa\xbb\xcc\xdd", round=300, n_examples=5)
    delta = np.array([1, -2], np.float32)
    payload = codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp)
    assert payload == _sealed(_hex("10 05 aabbccdd ac02 02 05 01 0000803f 000000c0"))


# Levels -127, 64 and 65 of scale 2**-7, at indices 5, 9 and 200 of 1000.
SPARSE_INT8_BY_HAND = _sealed(
    _hex(
        """
        10 d1 01020304   # version 1, sparse int8, schema
        07 e807 03 ac02 01  # round 7, 1000 parameters, 3 kept, 300 examples, 1 section
        003c             # scale 2**-7 as bf16
        85               # gaps with r = 5, levels with r = 4
        40               # smallest level 64
        6578             # gaps 5, 3, 190: low five bits, lowest first: 10100 11000 01111
        83               # their rests 0, 0, 5: 1 1 000001
        01               # signs -, +, +
        0f01             # above 64 by 63, 0, 1: low four bits, lowest first: 1111 0000 1000
        38               # their rests 3, 0, 0: 0001 1 1
        """
    )
)


def test_sparse_int8_by_hand() -> None:
    assert dense(SPARSE_INT8_BY_HAND).nonzero()[0].tolist() == [5, 9, 200]
    delta = np.zeros(1000, np.float32)
    delta[[5, 9, 200]] = np.array([-127, 64, 65], np.float32) / 128
    np.testing.assert_array_equal(dense(SPARSE_INT8_BY_HAND), delta)
    assert encode("topk:0.003/int8", delta) == SPARSE_INT8_BY_HAND


def test_sparse_sign_by_hand() -> None:
    """Mean magnitude 2 at indices 0 and 1 of 2: no gaps, so r = 0 and two set bits."""
    payload = encode("topk:1/sign", np.array([1, -3], np.float32))
    assert payload == _sealed(_hex("10 12 01020304 07 02 02 ac02 01 0040 00 03 02"))


def test_header_of_a_dense_payload_counts_all_as_kept() -> None:
    header = codecs.read_header(encode("int8", laplace(300)))
    assert (header.n_params, header.n_kept, header.scheme.name) == (300, 300, "DENSE_INT8")
    assert header.schema == STAMP.schema


@pytest.mark.parametrize(
    "fields",
    [{"schema": b"abc"}, {"round": -1}, {"round": 2**32}, {"n_examples": 0}, {"n_examples": 2**32}],
)
def test_a_stamp_out_of_range_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schema|round"):
        codecs.Stamp(**fields)  # type: ignore[arg-type] # one of them is wrong


def _assert_refused(payload: bytes, n_params: int) -> None:
    with pytest.raises(PayloadError):
        codecs.decode(payload)
    out = np.ones(n_params, np.float32)
    with pytest.raises(PayloadError):
        codecs.accumulate(payload, 1.0, out)
    np.testing.assert_array_equal(out, 1)


@pytest.mark.parametrize("spec", SPECS)
def test_every_flipped_bit_is_refused(spec: str) -> None:
    payload = encode(spec, laplace(60))
    for position in range(len(payload)):
        for bit in range(8):
            flipped = bytearray(payload)
            flipped[position] ^= 1 << bit
            _assert_refused(bytes(flipped), 60)


@pytest.mark.parametrize("spec", SPECS)
def test_every_truncation_and_every_trailing_byte_is_refused(spec: str) -> None:
    payload = encode(spec, laplace(300))
    frame = payload[:-4]
    for size in range(len(frame)):
        _assert_refused(payload[:size], 300)
        _assert_refused(_sealed(frame[:size]), 300)
    for extra in (b"\0", b"\xff", bytes(300)):
        _assert_refused(payload + extra, 300)
        _assert_refused(_sealed(frame + extra), 300)


def _frame(scheme: str, *numbers: str, body: str = "") -> bytes:
    return _sealed(_hex(f"10 {scheme} 01020304 {''.join(numbers)} {body}"))


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"", "size"),
        (_hex("20 05 01020304 00 00 01 01") + bytes(4), "version"),
        (_sealed(_hex("11 05 01020304 00 00 01 01")), "version"),  # a flag
        (_hex("10 05 01020304 00 00 01 01") + bytes(4), "checksum"),
        (_frame("06", "00 00 01 01"), "scheme"),
        (_frame("45", "00 00 01 01"), "scheme"),
        (_frame("05", "00 00 00 01"), "examples"),
        (_frame("05", "00 00 01 02"), "sections"),
        (_frame("05", "00 00 8100 01"), "number"),  # 1 in two bytes
        (_frame("05", "ffffffff10 00 01 01"), "number"),  # 2**32
        (_frame("05", "8080808080 00 01 01"), "number"),
        (_frame("05", "00 00 01 81"), "header"),
        (_frame("05", "00 8180808002 01 01"), "parameters"),  # 2**29 + 1
        (_frame("12", "00 05 06 01 01", body="003c 00 3f 00"), "kept values"),
        (_frame("12", "00 8080808002 8080808002 01 01", body="003c 00 ff 00"), "body"),  # 2**29
        (_frame("c0", "00 8080808002 01 01", body="003c 00"), "body"),
        (_frame("05", "00 02 01 01", body="0000803f"), "body"),
        (_frame("05", "00 01 01 01", body="0000807f"), "body"),  # infinity
        (_frame("05", "00 01 01 01", body="0000c0ff"), "body"),  # NaN
        (_frame("c0", "00 01 01 01", body="807f 01"), "body"),  # infinite scale
        (_frame("c0", "00 01 01 01", body="ff7b 01"), None),  # the largest scale
        (_frame("c0", "00 01 01 01", body="007c 01"), "body"),
        (_frame("c0", "00 01 01 01", body="7f00 01"), "body"),  # below the smallest scale
        (_frame("12", "00 01 01 01 01", body="003c 00 01 01"), None),
        (_frame("12", "00 01 01 01 01", body="003c 00 02 01"), "body"),  # index 1 of 1
        (_frame("12", "00 01 01 01 01", body="003c 1d 00000000 01 01"), "body"),  # r = 29
        (_frame("12", "00 01 01 01 01", body="003c 20 01 01"), "body"),  # levels in a sign body
        (_frame("d1", "00 01 01 01 01", body="003c 00 7f 01 00 01"), None),  # level 127
        (_frame("d1", "00 01 01 01 01", body="003c 00 80 01 00 01"), "body"),  # level 128
        (_frame("d1", "00 01 01 01 01", body="003c e0 00 01 00 00 01"), "body"),  # r = 7
        (_frame("14", "00 01 01 01 01", body="00 01 0000807f"), "body"),
        (_frame("91", "00 01 01 01 01", body="003c 00 07 01 00 01"), None),  # int4, level 7
        (_frame("91", "00 01 01 01 01", body="003c 00 08 01 00 01"), "body"),  # level 8
        (_frame("91", "00 01 01 01 01", body="003c 00 06 01 00 04"), "body"),  # 6 and 2 above it
        (_frame("91", "00 01 01 01 01", body="003c 60 00 01 00 00 01"), "body"),  # v = 3
        (_frame("03", "00 01 01 00 01", body="0000803f 01"), None),  # rotated, scale 1
        (_frame("03", "00 01 01 00 01", body="0000803f"), "body"),
        (_frame("03", "00 01 01 00 01", body="0000803f 01 00"), "body"),
        (_frame("03", "00 01 01 00 01", body="0000c07f 01"), "body"),  # NaN for a scale
        (_frame("03", "00 01 01 00 01", body="0000806d 01"), "body"),  # above 2**90
        (_frame("03", "00 01 01 00 01", body="000080bf 01"), "body"),  # below zero
        (_frame("03", "00 01 01 ffffffff10 01", body="0000803f 01"), "number"),  # a seed of 2**32
        (_frame("03", "00 8080808002 01 00 01", body="0000803f 01"), "body"),  # 2**29 values
        (_frame("33", "00 05 01 01 00 01", body="0000803f 01"), None),  # masked, 1 of 5
        (_frame("33", "00 05 06 01 00 01", body="0000803f 01"), "kept values"),
        (_frame("13", "00 05 01 01 00 01", body="0000803f 01"), "scheme"),
        (_frame("22", "00 09 08 01 01", body="003c"), "body"),  # less than a bit for each value
        (_frame("22", "00 8080808002 8080808002 01 01", body="003c 00"), "body"),  # 2**29
        (_frame("22", "00 01 01 01 01", body="007c 80"), "body"),  # a scale too large
        (_frame("24", "00 01 01 01 01", body="0000807f 80"), "body"),
    ],
)
def test_each_check_refuses_what_it_is_there_for(payload: bytes, what: str | None) -> None:
    if what is None:
        assert np.isfinite(dense(payload)).all()
        return
    with pytest.raises(PayloadError, match=f"payload {what}.*: expected .*, found "):
        codecs.decode(payload)


def test_a_payload_for_another_model_size_is_refused() -> None:
    out = np.zeros(299, np.float32)
    with pytest.raises(PayloadError, match="payload parameters: expected 299, found 300"):
        codecs.accumulate(encode("none", laplace(300)), 1.0, out)
    with pytest.raises(PayloadError, match="payload parameters: expected 299, found 300"):
        codecs.restore(encode("topk:0.1/sign", laplace(300)), out)
    assert not out.any()


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_weight_must_be_finite(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        codecs.accumulate(encode("none", laplace(3)), weight, np.zeros(3, np.float32))


def test_a_codec_refuses_the_payload_of_another() -> None:
    payload = encode("topk:0.1/sign", laplace(30))
    with pytest.raises(PayloadError, match="expected SPARSE_INT8, found SPARSE_SIGN"):
        codecs.get("topk:0.1/int8").decode(payload)
    with pytest.raises(PayloadError, match="expected DENSE_FLOAT32, found SPARSE_SIGN"):
        codecs.get("none").decode(payload)


def _assert_decodes_or_is_refused(payload: bytes, n_params: int) -> None:
    out = np.zeros(n_params, np.float32)
    try:
        decoded = codecs.decode(payload)
    except PayloadError:
        with pytest.raises(PayloadError):
            codecs.accumulate(payload, 1.0, out)
        assert not out.any()
        return
    values: Vector = decoded.values
    assert np.isfinite(values).all()
    if isinstance(decoded, codecs.Sparse):
        assert np.all(np.diff(decoded.indices.astype(np.int64)) > 0)
        assert decoded.indices.max(initial=0) < max(decoded.n_params, 1)


@given(st.binary(max_size=100))
@example(SPARSE_INT8_BY_HAND)
def test_random_bytes_decode_or_are_refused(payload: bytes) -> None:
    _assert_decodes_or_is_refused(payload, 30)
    _assert_decodes_or_is_refused(_sealed(payload), 30)


@pytest.mark.parametrize("spec", SPARSE_SPECS)
@given(data=st.data())
def test_a_forged_payload_decodes_or_is_refused(spec: str, data: st.DataObject) -> None:
    """Changed bytes with the right checksum."""
    frame = bytearray(encode(spec, laplace(3000))[:-4])
    for _ in range(data.draw(st.integers(1, 4))):
        near_start = st.integers(0, 40)
        position = data.draw(st.one_of(near_start, st.integers(0, len(frame) - 1)))
        frame[position % len(frame)] = data.draw(st.integers(0, 255))
    _assert_decodes_or_is_refused(_sealed(bytes(frame)), 3000)


def test_every_forged_byte_of_a_small_payload_decodes_or_is_refused() -> None:
    frame = bytearray(SPARSE_INT8_BY_HAND[:-4])
    for position in range(len(frame)):
        for byte in range(256):
            forged = frame[:position] + bytes([byte]) + frame[position + 1 :]
            _assert_decodes_or_is_refused(_sealed(bytes(forged)), 1000)
