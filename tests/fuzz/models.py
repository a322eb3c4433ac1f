"""A small model whose graphs are never run, so that no target needs onnx or onnxruntime."""

import struct

import numpy as np

from fedge.artifact import Artifact, InputSpec, Manifest, TargetSpec, arrange
from fedge.artifact.layout import schema_hash

MANIFEST = Manifest(
    batch_size=4,
    loss="cross_entropy",
    opset=18,
    inputs=(InputSpec(name="x", dtype="float32", shape=(2,), standardize="federated"),),
    target=TargetSpec(dtype="int64", shape=(), n_classes=3),
    layout=arrange(
        [
            ("w", (20, 15), True, "weight"),
            ("b", (3,), False, "bias"),
            ("x.fedge.mean", (2,), False, "statistic"),
            ("x.fedge.scale", (2,), False, "statistic"),
        ]
    ),
)
SCHEMA = schema_hash(MANIFEST.layout)
N_TRAINABLE = 300


def _field(number: int, body: bytes) -> bytes:
    """A length-delimited protobuf field of fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(body)]) + body


def _tensor(name: bytes, *values: int) -> bytes:
    """A vector of int64; TensorProto.dims is field 1, data_type 2, name 8, raw_data 9."""
    return (
        bytes([1 << 3, len(values), 2 << 3, 7])
        + _field(8, name)
        + _field(9, struct.pack(f"<{len(values)}q", *values))
    )


def _node(op: bytes, output: bytes, *inputs: bytes) -> bytes:
    """NodeProto.input is field 1, output 2, op_type 4."""
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, op)


def _model(*fields: tuple[int, bytes]) -> bytes:
    """ModelProto.ir_version is field 1, graph 7, opset_import 8 with a version as its field 2."""
    graph = b"".join(_field(number, body) for number, body in fields)
    size = bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7])
    return b"\x08\x08" + bytes([7 << 3 | 2]) + size + graph + _field(8, b"\x10\x12")


# GraphProto.node is field 1, name 2, initializer 5, input 11, output 12. ValueInfoProto.name is
# field 1, type 2 with tensor_type 1: elem_type 1 and shape 2 with a dim 1: dim_value 1.
_INPUTS = [(11, _field(1, slot.name.encode())) for slot in MANIFEST.layout]
_X = _field(1, b"x") + _field(2, _field(1, b"\x08\x01" + _field(2, _field(1, b"\x08\x04"))))
_TRAIN = _model(
    (1, _node(b"Expand", b"wide", b"x", b"shape")),
    (1, _node(b"Reshape", b"flat", b"wide", b"last")),
    (2, b"graph"),
    (5, _tensor(b"shape", 3, 4)),
    (5, _tensor(b"last", -1)),
    (11, _X),
    (12, _field(1, b"flat")),
)
_EVALUATE = _model((1, _node(b"Relu", b"y", b"x")), (2, b"graph"), (11, _X), (12, _field(1, b"y")))
ARTIFACT = Artifact(
    manifest=MANIFEST,
    train_graph=_TRAIN,
    eval_graph=_EVALUATE,
    infer_graph=_model(*_INPUTS, (2, b"graph")),
    parameters=np.linspace(-1, 1, 307, dtype=np.float32),
)
