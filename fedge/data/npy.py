"""One array of an `.npz` file: first its header, then, once that is checked, its values."""

import io
import math
import sys
import zipfile
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np

from fedge.errors import DataError
from fedge.types import Array

# Version 3 differs only for structured dtypes, which hold no numbers to train on.
_READERS = {  # size in bytes of the header's length field, and the function that reads both
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
_LONGEST_HEADER = 10_000  # bytes; NumPy's own limit


@dataclass(frozen=True, slots=True)
class Header:
    """The start of an array's bytes, read before any memory is allocated for the rest."""

    member: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    start: int  # offset of the values in the member

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def memory_bytes(self) -> int:
        """What training on it needs: the values, their float32 form, and the order of rows."""
        is_cast = self.dtype.kind in "biuf" and self.dtype.itemsize != 4
        cast = 4 * math.prod(self.shape) if is_cast else 0
        return self.size_bytes + cast + 8 * (self.shape[0] if self.shape else 0)


def read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """The dtype and shape that an array claims to have.

    Raises:
        DataError: if the member is not an array in NumPy's format 1 or 2.
    """
    with archive.open(member) as file:
        try:
            n_digits, read = _READERS[np.lib.format.read_magic(file)]
            digits = file.read(n_digits)
            shape, is_fortran, dtype = read(io.BytesIO(digits + _header(file, digits)))
        except Exception as error:
            # NumPy parses the header as Python text: each mistake in it fails in its own way.
            raise DataError(member.filename, expected="a NumPy array", found=error) from error
        return Header(member, dtype, shape, "F" if is_fortran else "C", file.tell())


def _header(file: IO[bytes], digits: bytes) -> bytes:
    """A header's text; NumPy sets no limit, and a few bytes can unpack to gigabytes."""
    length = int.from_bytes(digits, "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return file.read(length)


def read_values(archive: zipfile.ZipFile, header: Header) -> Array:
    """The array, read-only, if its member is exactly as long as the header says.

    Raises:
        DataError: if it is not.
    """
    size = header.start + header.size_bytes
    if header.member.file_size != size or min(header.shape, default=0) < 0:
        name, found = header.member.filename, header.member.file_size
        raise DataError(name, expected=f"{size} bytes", found=found)
    with archive.open(header.member) as file:
        file.read(header.start)
        values = np.frombuffer(file.read(), header.dtype)
    if header.dtype.kind == "U" and _highest_character(values) > sys.maxunicode:
        raise DataError(header.member.filename, expected="text", found="invalid Unicode")
    return values.reshape(header.shape, order=header.order)


def _highest_character(text: Array) -> int:
    code_point = np.dtype(np.uint32).newbyteorder(text.dtype.byteorder)
    return int(text.view(code_point).max(initial=0))
