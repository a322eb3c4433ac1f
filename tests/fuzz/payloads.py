"""Payloads of every scheme, with a correct checksum."""

import itertools
import random
import zlib
from unittest import mock

import numpy as np

from fedge import codecs
from fedge._kernels import reference
from fedge.codecs import decoding, ranges
from fedge.errors import PayloadError
from fedge.types import Vector
from tests.fuzz.bodies import make_payload
from tests.fuzz.target import Change, Target, read
from tests.golden.payloads import delta

_WEIGHT = np.float32(0.75)
_LARGEST_OUT = 2**17  # parameters; a payload that claims more gets an `out` of another size
_FACTOR = 64  # times its size: the most that `codecs.decode` says it needs
_EDGES = (0, 1, 2, 127, 128, 255, 256, 257, 2**14, 2**29, 2**29 + 1, 2**32 - 1, 2**32, 2**35)


def check(data: bytes) -> bool:
    """Decoding in four ways, by kernels and twins, gives one and the same delta, or a refusal."""
    header = read(lambda: codecs.read_header(data), (PayloadError,), most_bytes=len(data))
    most_bytes = _FACTOR * len(data)
    decoded = read(lambda: codecs.decode(data), (PayloadError,), most_bytes=most_bytes)
    assert header is None or header.n_params <= 2**29
    if decoded is not None:
        assert header is not None
        assert decoded.n_params == header.n_params
        _check_decoded(decoded)
    size = header.n_params if header is not None and header.n_params <= _LARGEST_OUT else 30
    fits = decoded if decoded is not None and decoded.n_params == size else None
    _check_accumulate(data, fits, np.full(size, 0.5, np.float32))
    # The twins are Python: their branches guide a coverage-guided fuzzer.
    _check_ranges(data, fits, size)
    with (
        mock.patch.object(decoding, "_kernels", reference),
        mock.patch.object(ranges, "_kernels", reference),
    ):
        twin = read(lambda: codecs.decode(data), (PayloadError,), most_bytes=2**30)
        _check_accumulate(data, fits, np.full(size, 0.5, np.float32))
        _check_ranges(data, fits, size)
    assert _bits(twin) == _bits(decoded)
    return decoded is not None


def _check_decoded(decoded: codecs.Sparse | codecs.Dense) -> None:
    assert decoded.values.dtype == np.float32
    assert np.isfinite(decoded.values).all()
    if isinstance(decoded, codecs.Sparse):
        indices = decoded.indices.astype(np.int64)
        assert indices.shape == decoded.values.shape
        assert np.all(np.diff(indices) > 0)
        assert indices.max(initial=-1) < decoded.n_params


def _check_accumulate(
    data: bytes, decoded: codecs.Sparse | codecs.Dense | None, out: Vector
) -> None:
    expected = out.copy()
    if decoded is not None:
        where = decoded.indices if isinstance(decoded, codecs.Sparse) else slice(None)
        expected[where] += _WEIGHT * decoded.values
    try:
        codecs.accumulate(data, float(_WEIGHT), out)
    except PayloadError:
        assert decoded is None
    else:
        assert decoded is not None
    assert out.tobytes() == expected.tobytes()  # unchanged if it was refused


def _check_ranges(data: bytes, decoded: codecs.Sparse | codecs.Dense | None, size: int) -> None:
    """In three parts, the delta is the same, or one of them is refused."""
    out = np.empty(size, np.float32)
    cuts = (0, size // 3, size // 2, size)
    try:
        for start, stop in itertools.pairwise(cuts):
            codecs.decode_range(data, start, out[start:stop], n_params=size)
    except PayloadError:
        assert decoded is None
    else:
        assert decoded is not None
        assert out.tobytes() == decoded.to_dense().tobytes()


def _bits(decoded: codecs.Sparse | codecs.Dense | None) -> tuple[bytes, ...] | None:
    if decoded is None:
        return None
    indices = decoded.indices.tobytes() if isinstance(decoded, codecs.Sparse) else b""
    return indices, decoded.values.tobytes(), str(decoded.n_params).encode()


def mutate(data: bytes, rng: random.Random, change: Change) -> bytes:
    """Changes what the checksum covers, or one of the header's numbers, and seals it again."""
    frame = data[:-4]
    match rng.randrange(8):
        case 0:
            return change(data)  # may change the checksum too
        case 1 if len(frame) > 1:
            frame = frame[:1] + bytes([rng.choice(list(codecs.Scheme))]) + frame[2:]
        case 2:
            frame = _with_numbers(frame, rng)
        case _:
            frame = change(frame)
    return sealed(frame)


def sealed(frame: bytes) -> bytes:
    """The frame with its checksum, which anybody can compute."""
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def _with_numbers(frame: bytes, rng: random.Random) -> bytes:
    """One or more of the header's varints replaced, often by the same number."""
    start, edge = 6, rng.choice((*_EDGES, rng.randrange(400)))
    parts = [frame[:start]]
    for _ in range(rng.randrange(1, 7)):
        end = start
        while end < len(frame) and frame[end] >= 128:
            end += 1
        parts.append(varint(edge) if rng.randrange(2) else frame[start : end + 1])
        start = end + 1
    return b"".join([*parts, frame[start:]])


def varint(number: int) -> bytes:
    """Unsigned LEB128."""
    groups = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def seeds() -> dict[str, bytes]:
    """Small payloads of every scheme; the golden payloads are run too, if present."""
    stamp = codecs.Stamp(schema=b"abcd", round=300, n_examples=7)
    return {
        f"{scheme.name.lower()}-{n}": make_payload(scheme, n, stamp)
        for scheme in codecs.Scheme
        for n in (0, 1, 40, 600)
    }


def large() -> bytes:
    """More kept values than the kernel buffers, so it reads the body twice. Too large to store."""
    rng = np.random.default_rng(0)
    return codecs.get("topk:1/sign").encode(delta(70_000), None, rng)


TARGET = Target("payload", check, mutate, seeds, n_mutations=2500)
