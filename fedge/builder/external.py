"""Tensors that a model keeps in a second file next to it, and nowhere else.

The model names that file, and could name any file. So only a regular file in the model's own
folder is opened, by a name without folders, never through a link; what the model claims to find
there is checked against the file's size and the tensor's shape before anything is read.
"""

import os
import stat
from math import prod
from pathlib import Path

import onnx
from onnx import helper

from fedge.errors import ModelError

_EXTERNAL = onnx.TensorProto.EXTERNAL


def load_tensors(model: onnx.ModelProto, folder: Path, largest: int) -> None:
    """Reads the tensors that a graph keeps in other files of its folder into the model.

    Args:
        model: the model, which is changed.
        folder: the one that holds the model.
        largest: most bytes of all the tensors together.

    Raises:
        ModelError: if a file is elsewhere or does not match what the model says.
    """
    outside = [t for t in model.graph.initializer if t.data_location == _EXTERNAL]
    total = sum(_size(tensor) for tensor in outside)
    if total > largest:
        raise ModelError(f"the model's tensors have {total} bytes; at most {largest} are read")
    for tensor in outside:
        tensor.raw_data = _read(tensor, folder)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _read(tensor: onnx.TensorProto, folder: Path) -> bytes:
    said = {entry.key: entry.value for entry in tensor.external_data}
    name, size = said.get("location", ""), _size(tensor)
    if not name or Path(name).name != name or name in (".", ".."):
        raise _refusal(tensor, f"a file in the model's own folder, not {name[:80]!r}")
    if not said.get("offset", "0").isdecimal() or said.get("length", str(size)) != str(size):
        raise _refusal(tensor, f"{size} bytes at an offset, as its shape says")
    offset = int(said.get("offset", "0"))
    try:
        file = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _refusal(tensor, f"a file that can be read ({name}: {error.strerror})") from None
    with os.fdopen(file, "rb") as data:
        about = os.fstat(data.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size < offset + size:
            raise _refusal(tensor, f"{offset + size} bytes in {name}, which has {about.st_size}")
        data.seek(offset)
        return data.read(size)


def _size(tensor: onnx.TensorProto) -> int:
    """A tensor's size in bytes, from its shape and type."""
    try:
        each = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError):
        raise _refusal(tensor, f"numbers, not elements of type {tensor.data_type}") from None
    if min(tensor.dims, default=1) < 0:
        raise _refusal(tensor, "sizes of at least 0")
    return int(prod(tensor.dims) * each)


def _refusal(tensor: onnx.TensorProto, expected: str) -> ModelError:
    return ModelError(f"tensor {tensor.name!r} is in another file; expected {expected}")
