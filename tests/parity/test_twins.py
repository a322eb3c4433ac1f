"""Every kernel has a plain twin."""

import inspect

import pytest

from fedge import _kernels
from fedge._kernels import reference


@pytest.mark.parametrize("name", _kernels.__all__)
def test_twin_exists_with_the_same_parameters(name: str) -> None:
    kernel, twin = getattr(_kernels, name), getattr(reference, name)
    assert list(inspect.signature(kernel).parameters) == list(inspect.signature(twin).parameters)
    assert kernel is not twin
