"""Reads an ONNX model from outside: bounded, checked, refused in one sentence."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from onnx import inliner

from fedge.artifact.safety import check_storage
from fedge.builder.external import load_tensors
from fedge.errors import ArtifactError, ModelError

LARGEST_MODEL = 2**31 - 1  # bytes; protobuf cannot hold more


def read_model(source: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model, valid by onnx's checker, with its own functions inlined.

    Tensors in a second file are read if the model is a path and that file is next to it.

    Raises:
        ModelError: if it cannot be read or is not a valid ONNX model.
    """
    model = _parsed(source)
    if isinstance(source, str | Path):
        load_tensors(model, Path(source).parent, LARGEST_MODEL)
    try:
        check_storage(model.SerializeToString())
        onnx.checker.check_model(model)
        return inliner.inline_local_functions(model) if model.functions else model
    except ArtifactError as error:
        raise ModelError(
            f"{error}; a second file is read only next to a model given as a path: save the "
            "model with dense weights inside (onnx.save_model)"
        ) from None
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"not a valid ONNX model: {first}") from None


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
        raise ModelError(f"{what} not an ONNX model, or corrupt, or truncated") from None
    return model


def _file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_MODEL:
            raise ModelError(f"{path} has {size} bytes; an ONNX model has at most {LARGEST_MODEL}")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from None
