"""Data files: `.npz` with inputs, targets, and optionally each example's owner and a test split.

    x         one row per example; or, without x, one array per input of the model
    y         targets, one per example
    client    optional: integer or text per example, the natural split
    is_test   optional: boolean per example

Other arrays, such as class names, are ignored. Nothing is unpickled.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedge.data.npy import Header, read_header, read_values
from fedge.errors import ConfigError, DataError
from fedge.storage import writing
from fedge.types import Array

MAX_BYTES = 2**32  # of memory, for all the arrays that are read
MAX_ARRAYS = 256
_NUMBERS = "biuf"  # NumPy's kinds: boolean, signed, unsigned, floating
# What zipfile and NumPy raise for archives that contradict themselves.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # NumPy's; others can expand without bound


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Examples: row i of every array is example i.

    Attributes:
        inputs: by name; numbers of shape (n, ..).
        targets: numbers of shape (n, ..).
        client: (n,) integers or text, or None.
        is_test: (n,) booleans, or None.
    """

    inputs: dict[str, Array]
    targets: Array
    client: Array | None = None
    is_test: Array | None = None

    @property
    def n_examples(self) -> int:
        return len(self.targets)

    def select(self, chosen: Array) -> "Dataset":
        """The examples chosen by a mask (n,) of booleans, or by indices."""
        return Dataset(
            inputs={name: array[chosen] for name, array in self.inputs.items()},
            targets=self.targets[chosen],
            client=None if self.client is None else self.client[chosen],
            is_test=None if self.is_test is None else self.is_test[chosen],
        )

    def of_client(self, client: object) -> "Dataset":
        """The examples of one client.

        Raises:
            DataError: if the file has no such client, or names no clients at all.
        """
        if self.client is None:
            raise DataError("data", expected="an array client", found="none")
        chosen = self.client == _like(self.client, str(client))
        if not chosen.any():
            raise DataError("client", expected="one of the data's", found=client)
        return self.select(chosen)

    def train(self) -> "Dataset":
        """The examples that are not held out: all of them if the file does not say."""
        return self if self.is_test is None else self._half(~self.is_test)

    def test(self) -> "Dataset":
        """The held-out examples: none if the file does not say."""
        held_out = np.zeros(self.n_examples, np.bool_) if self.is_test is None else self.is_test
        return self._half(held_out)

    def _half(self, chosen: Array) -> "Dataset":
        return replace(self.select(chosen), is_test=None)


def read_npz(path: Path | str) -> Dataset:
    """Reads a data file; sizes are checked against the file before anything is allocated.

    Raises:
        ConfigError: if there is no such file.
        DataError: if it is damaged, or if arrays are missing, differ in length, or have a dtype
            that is not numeric.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except DataError as error:
        what = f"{path}: {error.what}"
        raise DataError(what, expected=error.expected, found=error.found) from None
    except (OSError, *_ZIP_ERRORS) as error:
        if isinstance(error, OSError) and error.filename is not None:  # it could not be opened
            raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
        found = str(error) or type(error).__name__
        raise DataError(str(path), expected="an intact .npz file", found=found) from None


def write_npz(path: Path | str, data: Dataset) -> None:
    """Writes a data file that `read_npz` reads.

    Raises:
        StorageError: if it cannot be written.
    """
    optional = {"client": data.client, "is_test": data.is_test}
    arrays = data.inputs | {"y": data.targets}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise DataError(name, expected="numbers or text", found="Python objects")
    with writing(path):
        np.savez(path, **arrays)  # type: ignore[arg-type]  # stubs: every name a flag


def _like(clients: Array, name: str) -> str | int:
    """The name as an element of the array; if it cannot be one, an integer no array holds."""
    if clients.dtype.kind == "U":
        return name
    is_number = name.removeprefix("-").isdecimal() and len(name) <= 20  # 64 bits need no more
    return int(name) if is_number and str(int(name)) == name else -(2**70)


def _read(archive: zipfile.ZipFile) -> Dataset:
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if any(member.compress_type not in _METHODS for member in members):
        raise DataError("data", expected="arrays stored or deflated", found="another compression")
    headers = {
        member.filename[:-4]: read_header(archive, member) for member in members[:MAX_ARRAYS]
    }
    if len(headers) != len(members):
        expected = f"up to {MAX_ARRAYS} arrays, each named once"
        raise DataError("data", expected=expected, found=len(members))
    if "y" not in headers:
        raise DataError("data", expected="an array y", found=sorted(headers))
    inputs = _input_names(headers)
    wanted = [*inputs, "y", *(name for name in ("client", "is_test") if name in headers)]
    _check({name: headers[name] for name in wanted})
    arrays = {name: read_values(archive, headers[name]) for name in wanted}
    return Dataset(
        {name: arrays[name] for name in inputs},
        arrays["y"],
        client=arrays.get("client"),
        is_test=arrays.get("is_test"),
    )


def _input_names(headers: Mapping[str, Header]) -> list[str]:
    """x alone if there is one; otherwise every numeric array with one row per target."""
    if "x" in headers:
        return ["x"]
    rows = headers["y"].shape[:1]
    names = [
        name
        for name, header in headers.items()
        if name not in {"y", "client", "is_test"}
        and header.dtype.kind in _NUMBERS
        and header.shape[:1] == rows
    ]
    if not names:
        raise DataError("data", expected="an array x, or one per input", found=sorted(headers))
    return names


def _check(headers: Mapping[str, Header]) -> None:
    total = sum(header.memory_bytes for header in headers.values())
    if total > MAX_BYTES:
        raise DataError("data", expected=f"at most {MAX_BYTES} bytes of memory", found=total)
    n_rows = {name: header.shape[0] if header.shape else None for name, header in headers.items()}
    if len(set(n_rows.values())) != 1 or None in n_rows.values():
        raise DataError("rows of arrays", expected="the same number", found=n_rows)
    for name, header in headers.items():
        kinds = _KINDS.get(name, _NUMBERS)
        if header.dtype.kind not in kinds or (name in _KINDS and len(header.shape) != 1):
            expected = _EXPECTED.get(name, "numbers")
            raise DataError(name, expected=expected, found=f"{header.dtype}, {header.shape}")


_KINDS = {"client": "iuU", "is_test": "b"}
_EXPECTED = {
    "client": "integers or text, one per example",
    "is_test": "booleans, one per example",
}
