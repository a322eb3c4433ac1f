"""What the twins of the codec kernels share: blocks, scales and their bounds."""

from typing import Any

import numpy as np

MAX_PARAMS = 2**29
BLOCK = 256  # values that share a scale
SMALLEST_SCALE = 0x0080  # 2**-126: its inverse is finite, nothing is subnormal
LARGEST_SCALE = 0x7BFF  # the largest bf16 whose 128-fold is a finite float32
LARGEST_LEVEL = {1: 1, 4: 7, 8: 127}  # by bits


def scale_above(value: np.floating[Any]) -> np.uint16:
    """The smallest bf16 not below value, as bits, within the range that a payload may carry."""
    bits = (int(np.float32(value).view(np.uint32)) + 0xFFFF) >> 16
    return np.uint16(min(max(bits, SMALLEST_SCALE), LARGEST_SCALE))


def scale_value(scale: int | np.uint16) -> np.float32:
    return np.uint32(int(scale) << 16).view(np.float32)


def is_scale(scale: int) -> bool:
    return SMALLEST_SCALE <= scale <= LARGEST_SCALE
