"""A small model whose graphs are never run, so that no target needs onnx or onnxruntime."""

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


# ModelProto.graph is field 7, GraphProto.input 11, ValueInfoProto.name 1.
_INPUTS = b"".join(_field(11, _field(1, slot.name.encode())) for slot in MANIFEST.layout)
ARTIFACT = Artifact(
    manifest=MANIFEST,
    train_graph=b"train",
    eval_graph=b"eval",
    infer_graph=b"\x08\x09" + _field(7, _INPUTS + _field(2, b"graph")),
    parameters=np.linspace(-1, 1, 307, dtype=np.float32),
)
