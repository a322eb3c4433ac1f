"""A range of a payload's parameters is that slice of the whole, and as strictly checked."""

import itertools
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs
from fedge.errors import PayloadError
from fedge.types import Vector
from tests.fuzz.bodies import make_payload
from tests.support.codec_laws import SPECS, STAMP, deltas, dense, encode, laplace

SCHEMES = list(codecs.Scheme)


def _range(payload: bytes, start: int, stop: int, absent: float = 0.0) -> Vector:
    out = np.full(stop - start, 7, np.float32)
    codecs.decode_range(payload, start, out, absent=absent)
    return out


def _slice(decoded: codecs.Sparse | codecs.Dense, start: int, stop: int, absent: float) -> Vector:
    whole = decoded.to_dense()
    if isinstance(decoded, codecs.Sparse):
        whole = np.full(decoded.n_params, absent, np.float32)
        whole[decoded.indices] = decoded.values
    return whole[start:stop]


def test_a_range_by_hand() -> None:
    payload = encode("topk:0.3/float32", np.array([0, 4, 0, 0, -5, 0, 1, 0, 0, 3], np.float32))
    np.testing.assert_array_equal(_range(payload, 1, 6), [4, 0, 0, -5, 0])
    np.testing.assert_array_equal(_range(payload, 3, 6, np.nan), [np.nan, -5, np.nan])
    np.testing.assert_array_equal(_range(payload, 5, 10, np.nan), [*[np.nan] * 4, 3])
    assert _range(payload, 10, 10).size == 0
    whole = encode("none", np.array([1, 2, 0, 3], np.float32))
    np.testing.assert_array_equal(_range(whole, 1, 4, np.nan), [2, 0, 3])  # a zero that was sent


@pytest.mark.parametrize("spec", SPECS)
@given(
    delta=deltas(1e25),
    bounds=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
    absent=st.sampled_from([0.0, np.nan]),
)
def test_a_range_is_the_slice_of_the_whole(
    spec: str, delta: Vector, bounds: tuple[int, int], absent: float
) -> None:
    payload = encode(spec, delta)
    start, stop = sorted(bound % (delta.size + 1) for bound in bounds)
    want = _slice(codecs.decode(payload), start, stop, absent)
    assert _range(payload, start, stop, absent).tobytes() == want.tobytes()


@pytest.mark.parametrize("spec", ["eden:1", "eden:3", "mask:0.9/eden:2", "mask:0.1/eden:4", "int8"])
@given(seed=st.integers(0, 99), width=st.sampled_from([1, 300, 4096, 9000]), place=st.floats(0, 1))
def test_a_range_across_rotated_blocks_is_the_slice_of_the_whole(
    spec: str, seed: int, width: int, place: float
) -> None:
    payload = encode(spec, laplace(14_000, 3), seed=seed)
    start = int(place * (14_000 - width))
    want = dense(payload)[start : start + width]
    assert _range(payload, start, start + width).tobytes() == want.tobytes()


@pytest.mark.parametrize("scheme", SCHEMES)
@given(
    data=st.data(),
    n=st.sampled_from([1, 40, 600, 6500]),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
def test_ranges_refuse_together_what_the_whole_refuses(
    scheme: codecs.Scheme, data: st.DataObject, n: int, cuts: list[float]
) -> None:
    payload = bytearray(make_payload(scheme, n, STAMP)[:-4])
    for _ in range(data.draw(st.integers(0, 3))):
        payload[data.draw(st.integers(6, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payload += zlib.crc32(payload).to_bytes(4, "little")
    try:
        n_params = min(codecs.read_header(bytes(payload)).n_params, 20_000)
    except PayloadError:
        n_params = n
    bounds = sorted({0, n_params, *(int(cut * n_params) for cut in cuts)})
    _assert_one_verdict(bytes(payload), bounds)


def _assert_one_verdict(payload: bytes, bounds: list[int]) -> None:
    want, refusal = _decoded(payload)
    if want is None:
        with pytest.raises(PayloadError) as caught:
            _read_all(payload, bounds)
        assert str(caught.value) == refusal
        return
    for start, stop in itertools.pairwise(bounds):
        part = _range(payload, start, stop, np.nan)
        assert part.tobytes() == _slice(want, start, stop, np.nan).tobytes()


def _decoded(payload: bytes) -> tuple[codecs.Sparse | codecs.Dense | None, str]:
    try:
        return codecs.decode(payload), ""
    except PayloadError as error:
        return None, str(error)


def _read_all(payload: bytes, bounds: list[int]) -> None:
    for start, stop in itertools.pairwise(bounds):
        _range(payload, start, stop)
    # What claims more than 20 000 parameters may go wrong behind them; 0 parameters have no range.
    header = codecs.read_header(payload)
    if header.n_params > bounds[-1] or header.n_params == 0:
        codecs.decode_range(payload, header.n_params, np.empty(0, np.float32))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_checksum_is_refused_whatever_the_range(scheme: codecs.Scheme) -> None:
    payload = bytearray(make_payload(scheme, 600, STAMP))
    payload[-6] ^= 1  # far behind the range
    with pytest.raises(PayloadError, match="checksum"):
        _range(bytes(payload), 0, 1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_payload_cut_short_is_refused(scheme: codecs.Scheme) -> None:
    payload = make_payload(scheme, 600, STAMP)
    for end in range(0, len(payload), 5):
        with pytest.raises(PayloadError):
            _range(payload[:end], 0, 600)


def test_another_number_of_parameters_is_refused() -> None:
    payload = encode("topk:0.1/sign", laplace(50))
    out = np.zeros(3, np.float32)
    codecs.decode_range(payload, 0, out, n_params=50)
    with pytest.raises(PayloadError, match="payload parameters: expected 51, found 50"):
        codecs.decode_range(payload, 0, out, n_params=51)


@pytest.mark.parametrize(("start", "width"), [(-1, 2), (49, 2), (51, 0), (0, 51)])
def test_a_range_that_is_not_within_the_parameters_is_refused(start: int, width: int) -> None:
    with pytest.raises(ValueError, match="not within 50 parameters"):
        codecs.decode_range(encode("int8", laplace(50)), start, np.zeros(width, np.float32))


@pytest.mark.parametrize("out", [np.zeros(4, np.float64), np.zeros((2, 2), np.float32)])
def test_an_output_of_another_kind_is_refused(out: Vector) -> None:
    with pytest.raises(ValueError, match="out must be contiguous float32"):
        codecs.decode_range(encode("int8", laplace(50)), 0, out)


@pytest.mark.parametrize("spec", ["none", "int8", "topk:0.1/int8", "topk:0.1/sign", "eden:2"])
def test_memory_is_that_of_the_range(spec: str) -> None:
    payload, out = encode(spec, laplace(300_000)), np.empty(100, np.float32)
    tracemalloc.start()
    for start in (0, 150_000, 299_900):
        codecs.decode_range(payload, start, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000
