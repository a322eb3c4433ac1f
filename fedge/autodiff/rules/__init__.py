"""Every gradient rule, by family; importing this package fills the table."""

from fedge.autodiff.rules import (
    activation,
    convolution,
    elementwise,
    index,
    linear,
    normalization,
    pooling,
    reduce,
    shape,
    softmax,
)
from fedge.autodiff.table import RULES

FAMILIES = (
    activation,
    convolution,
    elementwise,
    index,
    linear,
    normalization,
    pooling,
    reduce,
    shape,
    softmax,
)

__all__ = ["FAMILIES", "RULES"]
