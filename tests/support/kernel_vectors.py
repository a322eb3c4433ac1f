"""Vectors that are unkind to the codec kernels."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedge.types import Vector

LARGEST = float(np.finfo(np.float32).max)
INFINITE_OR_NAN = [np.nan, np.inf, -np.inf]
LENGTHS = [0, 1, 2, 31, 32, 33, 64, 127, 128, 129, 255, 256, 257, 511, 513]

# Any finite number in short vectors, and so are ties; long ones come from a seed.
short = arrays(np.float32, st.integers(0, 40), elements=st.floats(-LARGEST, LARGEST, width=32))
ties = arrays(np.float32, st.sampled_from(LENGTHS), elements=st.integers(-2, 2), fill=st.just(0))


@st.composite
def heavy_tailed(draw: st.DrawFn) -> Vector:
    """Laplace vectors from subnormal to nearly the largest."""
    size, seed = draw(st.sampled_from(LENGTHS)), draw(st.integers(0, 2**32 - 1))
    scale = draw(st.sampled_from([1e-44, 1e-39, 1e-3, 1.0, 1e36]))
    return (np.random.default_rng(seed).laplace(size=size) * scale).astype(np.float32)


finite = st.one_of(short, ties, heavy_tailed())
seeds = st.integers(0, 2**32 - 1)


@st.composite
def index_sets(draw: st.DrawFn, n_params: int = 2**29) -> np.ndarray:
    """Increasing indices: dense, sparse, and as far apart as can be."""
    size, seed = draw(st.sampled_from(LENGTHS)), draw(st.integers(0, 2**32 - 1))
    mean_gap = draw(st.sampled_from([1, 2, 100, n_params // 600]))
    gaps = np.random.default_rng(seed).geometric(1 / mean_gap, size)
    indices = np.minimum(np.cumsum(gaps) - 1, n_params - 1)
    return np.unique(np.append(indices, draw(st.sampled_from([0, n_params - 1])))).astype(np.uint32)


def n_blocks(size: int, block: int = 256) -> int:
    return -(-size // block)


def assert_same_bits(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8))


def codes_of(rng: np.random.Generator, k: int, bits: int) -> np.ndarray:
    """Levels of k kept values, or their floats for 32 bits, as pack takes them."""
    if bits == 32:
        return rng.laplace(size=k).astype(np.float32).view(np.uint8)
    largest = 2 ** (bits - 1) - 1
    levels = np.clip(rng.laplace(scale=largest / 3, size=k), -largest, largest)
    if bits == 1:
        levels = rng.choice([-1, 1], k)
    return levels.astype(np.int8).view(np.uint8)


def packed(pack: Callable[..., int], indices: np.ndarray, codes: np.ndarray, bits: int) -> bytes:
    """The body that a kernel or its twin makes of kept values."""
    scales = np.linspace(0x80, 0x7BFF, n_blocks(indices.size)).astype(np.uint16)
    out = np.full(8 * indices.size + 16 * scales.size, 0xAA, np.uint8)
    return out[: pack(indices, codes, scales, bits, out)].tobytes()


def assert_same_range(
    kernel: Callable[..., bool],
    twin: Callable[..., bool],
    arguments: tuple[object, ...],
    start: int,
    width: int,
) -> bool:
    """Whether both found the range valid; what they wrote until then is the same."""
    got, want = np.full(width, 7, np.float32), np.full(width, 7, np.float32)
    is_valid = kernel(*arguments, start, got)
    assert is_valid == twin(*arguments, start, want)
    if is_valid:
        assert_same_bits(got, want)
    return is_valid


@st.composite
def ranges(draw: st.DrawFn, n: int) -> tuple[int, int]:
    """Start and width of a range of n, often to their end."""
    start = draw(st.integers(0, n))
    stop = draw(st.one_of(st.just(n), st.integers(start, n)))
    return start, stop - start
