"""Writes values into an ONNX model without the onnx package, by walking its protobuf bytes.

Only four messages matter: ModelProto.graph (field 7), ModelProto.metadata_props (14),
GraphProto.input (11) and GraphProto.initializer (5). Everything else is copied unchanged.
Source: onnx/onnx.proto3; protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Mapping

from fedge.artifact import protobuf
from fedge.errors import ArtifactError
from fedge.types import Array

MAX_MODEL = 2**31 - 1  # bytes; protobuf's own limit

_GRAPH, _METADATA, _INPUT, _INITIALIZER = 7, 14, 11, 5
_NAME = 1  # of ValueInfoProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT32 = 1  # TensorProto.DataType.FLOAT
_VARINT, _BYTES = 0, 2  # wire types


def bake(
    model: bytes, values: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The model with the named graph inputs turned into float32 initialisers.

    Args:
        model: ONNX bytes.
        values: by name of graph input.
        metadata: entries for the model's metadata_props; they replace those with the same keys,
            and the rest stay.

    Raises:
        ArtifactError: if the bytes are not a model, or a named input is missing or duplicated.
    """
    parts: list[bytes | memoryview] = []
    n_graphs = 0
    for number, whole, body in protobuf.fields(memoryview(model)):
        if number == _GRAPH:
            n_graphs += 1
            parts += _message(_GRAPH, _bake_graph(body, values))
        elif not (number == _METADATA and _name(body) in (metadata or {})):
            parts.append(whole)
    if n_graphs != 1:
        raise ArtifactError("ONNX model", expected="one graph", found=n_graphs)
    for key, value in (metadata or {}).items():
        entry = [*_message(_KEY, [key.encode()]), *_message(_VALUE, [value.encode()])]
        parts += _message(_METADATA, entry)
    if sum(len(part) for part in parts) > MAX_MODEL:
        raise ArtifactError("ONNX model", expected=f"at most {MAX_MODEL} bytes", found="more")
    return b"".join(parts)


def _bake_graph(graph: memoryview, values: Mapping[str, Array]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    found: list[str] = []
    for number, whole, body in protobuf.fields(graph):
        name = _name(body) if number == _INPUT else ""
        if name in values:
            found.append(name)
        else:
            parts.append(whole)
    if sorted(found) != sorted(values):
        raise ArtifactError(
            "ONNX model", expected=f"{len(values)} parameters as inputs", found=f"{len(found)}"
        )
    for name in found:
        parts += _message(_INITIALIZER, _tensor(name, values[name]))
    return parts


def _tensor(name: str, value: Array) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for size in value.shape:
        parts += [_tag(_TENSOR_DIMS, _VARINT), _varint(size)]
    parts += [_tag(_TENSOR_TYPE, _VARINT), _varint(_FLOAT32)]
    parts += _message(_TENSOR_NAME, [name.encode()])
    return parts + _message(_TENSOR_RAW, [value.astype("<f4", order="C").tobytes()])


def _name(message: memoryview) -> str:
    """The name of a ValueInfoProto, or the key of a metadata entry: both are field 1."""
    for number, _, body in protobuf.fields(message):
        if number == _NAME:
            return str(body, "utf-8", "replace")
    return ""


def _message(number: int, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    return [_tag(number, _BYTES), _varint(sum(len(part) for part in parts)), *parts]


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
