"""Sparse bodies are written exactly as the NumPy twin writes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from tests.support.kernel_vectors import codes_of, index_sets, packed, seeds


@given(index_sets(), st.sampled_from([1, 4, 8, 32]), seeds)
@example(np.empty(0, np.uint32), 8, 0)
@example(np.arange(256, dtype=np.uint32), 1, 0)
def test_pack(indices: np.ndarray, bits: int, seed: int) -> None:
    codes = codes_of(np.random.default_rng(seed), indices.size, bits)
    body = packed(_kernels.pack, indices, codes, bits)
    assert body == packed(reference.pack, indices, codes, bits)


@pytest.mark.parametrize("kernel", [_kernels.pack, reference.pack])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 2}, "bits"),
        ({"codes": np.ones(3, np.uint8)}, "each index"),
        ({"scales": np.full(2, 0x3F80, np.uint16)}, "each 256"),
        ({"out": np.zeros(31, np.uint8)}, "out"),
        ({"indices": np.array([1, 1], np.uint32)}, "increase"),
        ({"indices": np.array([1, 2**29], np.uint32)}, "below"),
    ],
)
def test_pack_refuses_what_does_not_fit(
    kernel: Callable[..., int], change: dict[str, Any], message: str
) -> None:
    fits: dict[str, Any] = {
        "indices": np.array([0, 1], np.uint32),
        "codes": np.ones(2, np.uint8),
        "scales": np.full(1, 0x3F80, np.uint16),
        "bits": 8,
        "out": np.zeros(32, np.uint8),
    }
    assert kernel(**fits) > 0
    with pytest.raises(ValueError, match=message):
        kernel(**fits | change)
