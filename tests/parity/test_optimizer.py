"""The optimizer step: by hand, and kernel against twin."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector

EMPTY = np.empty(0, np.float32)
scalars = st.sampled_from([0.0, 0.1, 0.9, 1.0])


def _one(value: float) -> Vector:
    return np.array([value], np.float32)


@pytest.mark.parametrize("step", [_kernels.sgd_step, reference.sgd_step])
def test_step_by_hand(step: Callable[..., None]) -> None:
    """p=8, g=1 + 0.5*8 + 0.25*(8-4) = 6; m = 0.5*2 + 6 = 7; p = 8 - 0.5*7 = 4.5."""
    parameters, momentum = _one(8), _one(2)
    step(parameters, _one(1), momentum, _one(4), 0.5, 0.5, 0.5, 0.25)
    assert (parameters[0], momentum[0]) == (4.5, 7.0)


@pytest.mark.parametrize("step", [_kernels.sgd_step, reference.sgd_step])
def test_plain_step_needs_neither_momentum_nor_anchor(step: Callable[..., None]) -> None:
    parameters = _one(1)
    step(parameters, _one(0.5), EMPTY, EMPTY, 0.5, 0.0, 0.0, 0.0)
    assert parameters[0] == 0.75


@given(
    rows=arrays(
        np.float32,
        st.tuples(st.just(4), st.sampled_from([0, 1, 7, 33])),
        elements=st.floats(-(2.0**60), 2.0**60, width=32),
    ),
    lr=scalars,
    momentum=scalars,
    weight_decay=scalars,
    proximal=scalars,
)
def test_kernel_computes_the_bits_of_its_twin(
    rows: Vector, lr: float, momentum: float, weight_decay: float, proximal: float
) -> None:
    got, want = rows.copy(), rows.copy()
    factors = (lr, momentum, weight_decay, proximal)
    _kernels.sgd_step(got[0], got[1], got[2], got[3], *factors)
    reference.sgd_step(want[0], want[1], want[2], want[3], *factors)
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("step", [_kernels.sgd_step, reference.sgd_step])
@pytest.mark.parametrize("short", ["gradient", "momentum_buffer", "anchor"])
def test_unequal_lengths_are_refused(step: Callable[..., None], short: str) -> None:
    arguments = {
        name: np.zeros(2 if name == short else 3, np.float32)
        for name in ("parameters", "gradient", "momentum_buffer", "anchor")
    }
    with pytest.raises(ValueError, match="length"):
        step(**arguments, lr=0.1, momentum=0.9, weight_decay=0.0, proximal=0.1)
