"""Reads an ONNX model that somebody else made: bounded, checked, refused in one sentence."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from onnx import inliner

from fedge.errors import ModelError

_LARGEST_MODEL = 2**31 - 1  # bytes; protobuf cannot hold more


def read_model(source: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model, valid by onnx's checker, with its own functions inlined.

    Raises:
        ModelError: if it cannot be read or is not a valid ONNX model.
    """
    model = _parsed(source)
    _check_tensors(model.graph)
    try:
        onnx.checker.check_model(model)
        return inliner.inline_local_functions(model) if model.functions else model
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"not a valid ONNX model: {first}") from None


def _check_tensors(graph: onnx.GraphProto) -> None:
    """Before anything is read: a tensor in another file could name any file."""
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ModelError(f"initializer {name!r} is sparse; export it as a dense tensor")
    attributes = [attribute.t for node in graph.node for attribute in node.attribute]
    for tensor in [*graph.initializer, *attributes]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"tensor {tensor.name!r} lies in another file; "
                "save the model with its weights inside (onnx.save_model)"
            )


def _parsed(source: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
        return model
    data = source if isinstance(source, bytes) else _file(Path(source))
    try:
        model.ParseFromString(data)
    except DecodeError:
        what = "the bytes are" if isinstance(source, bytes) else f"{source} is"
        raise ModelError(f"{what} no ONNX model, or corrupt, or truncated") from None
    return model


def _file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _LARGEST_MODEL:
            raise ModelError(f"{path} has {size} bytes; an ONNX model has at most {_LARGEST_MODEL}")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from None
