"""Files of images and labels in the idx format of the MNIST database, gzipped.

magic     2 bytes of 0, a type byte (8: unsigned bytes), the number of axes
axes      that many big-endian unsigned 32-bit sizes
values    one byte each
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from fedge.errors import ConfigError, DataError
from fedge.types import Array

MAX_BYTES = 2**28  # of values in one file
_UNSIGNED_BYTES = 8


def read_idx(path: Path, *, n_axes: int) -> Array:
    """The array of a file, uint8; sizes are checked before anything is allocated.

    Raises:
        ConfigError: if there is no such file.
        DataError: if it is damaged, has other axes, or is larger than `MAX_BYTES`.
    """
    try:
        with gzip.open(path) as file:
            start = file.read(4 + 4 * n_axes)
            shape = _shape(path, start, n_axes)
            size = math.prod(shape)
            values = file.read(size + 1)  # one more, to see whether the file goes on
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(str(path), expected="a gzipped idx file", found=error) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    if len(values) != size:
        found = "more" if len(values) > size else len(values)
        raise DataError(str(path), expected=f"{size} values", found=found)
    return np.frombuffer(values, np.uint8).reshape(shape)


def _shape(path: Path, start: bytes, n_axes: int) -> tuple[int, ...]:
    magic = bytes([0, 0, _UNSIGNED_BYTES, n_axes])
    if len(start) != 4 + 4 * n_axes or start[:4] != magic:
        raise DataError(
            str(path), expected=f"an idx file of bytes with {n_axes} axes", found=start[:4].hex()
        )
    shape = tuple(map(int, np.frombuffer(start, ">u4", offset=4)))
    if not 0 < math.prod(shape) <= MAX_BYTES:
        raise DataError(str(path), expected=f"1 to {MAX_BYTES} values", found=math.prod(shape))
    return shape
