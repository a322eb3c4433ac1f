"""The encoder computes exactly what its NumPy twin computes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.support.kernel_vectors import INFINITE_OR_NAN, finite, n_blocks, seeds


@given(finite, st.floats(0, 1), st.sampled_from([1, 4, 8, 32]), st.one_of(st.none(), seeds), seeds)
@example(np.empty(0, np.float32), 1.0, 8, None, 0)
@example(np.ones(513, np.float32), 1.0, 32, None, 0)
def test_encode_topk(
    delta: Vector, fraction: float, bits: int, seed: int | None, order: int
) -> None:
    before = np.random.default_rng(order).permutation(delta) / 2
    delta, k = delta / 2, round(fraction * delta.size)
    results = []
    for kernel in (_kernels.encode_topk, reference.encode_topk):
        residual, out = before.copy(), np.zeros(8 * k + 16 * n_blocks(k), np.uint8)
        n_kept, length = kernel(residual, delta, k, bits, seed, out)
        results.append((n_kept, out[:length].tobytes(), residual.tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("kernel", [_kernels.encode_topk, reference.encode_topk])
@pytest.mark.parametrize("bad", INFINITE_OR_NAN)
def test_encode_topk_refuses_a_bad_sum_and_changes_nothing(
    kernel: Callable[..., tuple[int, int]], bad: float
) -> None:
    residual, delta = np.ones(5000, np.float32), np.ones(5000, np.float32)
    delta[4321] = bad
    assert kernel(residual, delta, 10, 8, None, np.zeros(96, np.uint8)) == (-1, 0)
    np.testing.assert_array_equal(residual, np.ones(5000))


@pytest.mark.parametrize("kernel", [_kernels.encode_topk, reference.encode_topk])
@pytest.mark.parametrize(
    ("n_delta", "k", "bits", "n_out", "message"),
    [(4, 1, 8, 24, "length"), (5, 6, 8, 99, "k"), (5, 1, 2, 24, "bits"), (5, 2, 8, 31, "out")],
)
def test_encode_topk_refuses_what_does_not_fit(
    kernel: Callable[..., object], n_delta: int, k: int, bits: int, n_out: int, message: str
) -> None:
    delta, out = np.ones(n_delta, np.float32), np.zeros(n_out, np.uint8)
    with pytest.raises(ValueError, match=message):
        kernel(np.ones(5, np.float32), delta, k, bits, None, out)
