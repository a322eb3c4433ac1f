"""Rotated payloads: their theory, derived here, against what they do."""

import itertools
import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge import codecs
from fedge._kernels.reference.eden import CENTROIDS
from fedge.types import Vector
from tests.support.codec_laws import deltas, encode, laplace

BITS = [1, 2, 3, 4]
VNMSE = {1: 0.5708, 2: 0.1331, 3: 0.0358, 4: 0.0096}  # 1 / (1 - D) - 1, D as derived below


class _Seeded:
    """Stands in for a generator: draws the seed that it was given."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def integers(self, high: int) -> int:
        return self.seed % high


def _rng(seed: int) -> np.random.Generator:
    return cast("np.random.Generator", _Seeded(seed))  # has what is used


def _back(spec: str, delta: Vector, seed: int) -> np.ndarray:
    payload = codecs.get(spec).encode(delta, None, _rng(seed))
    return codecs.decode(payload).to_dense().astype(np.float64)


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _share_below(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _lloyd_max(n: int) -> tuple[list[float], float]:
    """The n positive centroids of the best 2 * n levels for a standard normal, and their error."""
    centroids = [3 * (i + 0.5) / n for i in range(n)]
    for _ in range(3000):
        inner = [(a + b) / 2 for a, b in itertools.pairwise(centroids)]
        cells = list(zip([0.0, *inner], [*inner, 40.0], strict=True))
        shares = [_share_below(b) - _share_below(a) for a, b in cells]
        centroids = [
            (_density(a) - _density(b)) / share for (a, b), share in zip(cells, shares, strict=True)
        ]
    kept = 2 * sum(share * c**2 for share, c in zip(shares, centroids, strict=True))
    return centroids, 1 - kept


@pytest.mark.parametrize("bits", BITS)
def test_centroids_are_those_of_lloyd_and_max(bits: int) -> None:
    """The kernel's are the same: it computes the bits of its twin."""
    centroids, error = _lloyd_max(2 ** (bits - 1))
    np.testing.assert_allclose(CENTROIDS[bits], centroids, rtol=1e-6)
    assert 1 / (1 - error) - 1 == pytest.approx(VNMSE[bits], rel=0.01)


def _unkind(name: str) -> Vector:
    """Deltas that are not normal at all: heavy tails, few values, one sign, one big block."""
    delta = laplace(20_000)
    if name == "cubed":
        delta = delta**3
    elif name == "sparse":
        delta[np.arange(20_000) % 100 > 0] = 0
    elif name == "constant":
        delta[:] = 0.25
    elif name == "two":
        delta[:] = 0
        delta[[5000, 5001]] = 1, 0.9
    return delta


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", ["laplace", "cubed", "sparse", "constant"])
def test_error_is_that_of_the_theory(bits: int, name: str) -> None:
    delta = _unkind(name)
    errors = [((_back(f"eden:{bits}", delta, seed) - delta) ** 2).sum() for seed in range(8)]
    square = (delta.astype(np.float64) ** 2).sum()
    assert np.mean(errors) / square == pytest.approx(VNMSE[bits], rel=0.03)


@pytest.mark.parametrize(("fraction", "bits"), [(0.1, 1), (0.03, 1), (0.3, 3), (1, 2)])
def test_error_of_a_mask_is_that_of_the_theory(fraction: float, bits: int) -> None:
    delta = laplace(50_000)
    spec = f"mask:{fraction}/eden:{bits}"
    errors = [((_back(spec, delta, seed) - delta) ** 2).sum() for seed in range(20)]
    expected = (1 + VNMSE[bits]) / fraction - 1
    assert np.mean(errors) / (delta.astype(np.float64) ** 2).sum() == pytest.approx(
        expected, rel=0.05
    )


@pytest.mark.parametrize("bits", BITS)
@given(delta=deltas(1e25), seed=st.integers(0, 2**21 - 1))
@settings(deadline=None)
def test_what_comes_back_has_the_delta_as_its_projection(
    bits: int, delta: Vector, seed: int
) -> None:
    """<decoded, delta> = |delta|**2, for each seed: this is what makes the mean unbiased."""
    exact = delta.astype(np.float64)
    square = float(exact @ exact)
    if square < 1e-30:
        return  # so small that a scale below 2**-126 is sent as zero
    assert float(_back(f"eden:{bits}", delta, seed) @ exact) == pytest.approx(square, rel=1e-4)


@pytest.mark.parametrize(
    ("spec", "name", "n_seeds"),
    [
        ("eden:1", "laplace", 100),
        ("eden:1", "sparse", 100),
        ("eden:1", "constant", 100),
        ("eden:1", "two", 100),
        ("eden:2", "two", 100),
        ("eden:4", "two", 100),
        ("mask:0.1/eden:1", "laplace", 400),
        ("mask:0.1/eden:1", "constant", 400),
    ],
)
def test_the_mean_over_seeds_comes_near_as_unbiased_ones_do(
    spec: str, name: str, n_seeds: int
) -> None:
    """Its squared error is that of one seed over their number; a bias would remain."""
    delta = _unkind(name)
    backs = [_back(spec, delta, seed) for seed in range(n_seeds)]
    one = np.mean([((back - delta) ** 2).sum() for back in backs])
    mean = ((np.mean(backs, axis=0) - delta) ** 2).sum()
    assert mean == pytest.approx(one / n_seeds, rel=0.2)


def test_a_mask_draws_each_place_of_a_run_equally_often() -> None:
    """64 000 draws in 16 places: 4000 each, give or take four standard deviations."""
    delta, counts = np.ones(16_000, np.float32), np.zeros(16)
    for seed in range(64):
        payload = codecs.get("mask:0.0625/eden:1").encode(delta, None, _rng(seed))
        kept = codecs.decode(payload)
        assert isinstance(kept, codecs.Sparse)
        counts += np.bincount(kept.indices % 16, minlength=16)
    assert counts.sum() == 64_000
    assert np.abs(counts - 4000).max() < 4 * math.sqrt(4000)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("n_params", [0, 1, 7, 4095, 4096, 6143, 6144, 50_000])
def test_not_a_bit_is_sent_that_is_not_needed(bits: int, n_params: int) -> None:
    header = codecs.read_header(encode(f"eden:{bits}", laplace(n_params)))
    n_blocks = min(n_params, 1) if n_params < 4096 else (n_params + 2048) // 4096
    size = header.body.stop - header.body.start
    assert size == 4 * n_blocks + math.ceil(n_params * bits / 8)


def test_the_seed_in_the_header_is_the_only_chance() -> None:
    """A generator gives it; what is decoded needs no generator."""
    delta, codec = laplace(5000), codecs.get("mask:0.1/eden:2")
    first = codec.encode(delta, None, np.random.default_rng(7))
    seed = codecs.read_header(first).seed
    assert codec.encode(delta, None, _rng(seed)) == first
    assert codec.encode(delta, None, _rng(seed + 1)) != first


@pytest.mark.parametrize("spec", ["eden:1", "mask:0.1/eden:1"])
def test_values_whose_decoding_could_overflow_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"beyond 2\*\*90"):
        encode(spec, np.full(100, 1e30, np.float32))


def test_what_a_mask_leaves_out_must_be_finite_too() -> None:
    delta = laplace(100)
    kept = codecs.decode(encode("mask:0.01/eden:1", delta))
    assert isinstance(kept, codecs.Sparse)
    delta[(int(kept.indices[0]) + 1) % 100] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        encode("mask:0.01/eden:1", delta)
