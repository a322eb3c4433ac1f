"""The artifact as a value: three graphs, a manifest and the parameters."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fedge.artifact import container, layout, onnx_bytes
from fedge.artifact.layout import Layout
from fedge.artifact.manifest import Manifest
from fedge.artifact.safety import check_graph
from fedge.errors import ArtifactError
from fedge.storage import write_file
from fedge.types import Vector

if TYPE_CHECKING:
    from _typeshed import StrPath

MEMBERS = ("manifest.json", "train.onnx", "eval.onnx", "infer.onnx", "parameters.f32")


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """Everything a device needs to train, evaluate and export a model.

    Attributes:
        manifest: the facts about the graphs.
        train_graph: ONNX bytes; inputs, `fedge.target`, `fedge.weight` and parameters to
            `fedge.loss` and one `fedge.grad.{slot}` per trainable slot. If the manifest lists
            dropout, `fedge.dropout` is one more input: the factors that activations are
            multiplied by.
            eval_graph: ONNX bytes; the same inputs without weights and dropout, to `fedge.losses`
            and `fedge.output`.
        infer_graph: ONNX bytes; the user's model with its parameters as graph inputs.
        parameters: float32 (n_params,), read-only: the values of model version 0.
        schema: 32 bytes that two models share exactly if they can exchange updates.
        n_params: how many values there are; the trainable ones come first.
        n_trainable: how many of them are trained.

    Raises:
        ArtifactError: on construction, if the parameters do not match the layout or are not
            finite, or if a graph is not safe to give to an engine (`fedge.artifact.safety`).
    """

    manifest: Manifest
    train_graph: bytes
    eval_graph: bytes
    infer_graph: bytes
    parameters: Vector
    schema: bytes = field(init=False, repr=False)
    n_params: int = field(init=False)
    n_trainable: int = field(init=False)

    def __post_init__(self) -> None:
        # Every update asks for these, so they are computed once.
        object.__setattr__(self, "schema", layout.schema_hash(self.layout))
        object.__setattr__(self, "n_params", layout.n_params(self.layout))
        object.__setattr__(self, "n_trainable", layout.n_trainable(self.layout))
        values = np.array(self.parameters, np.float32)  # a copy, which nobody else can write to
        if values.shape != (self.n_params,):
            raise ArtifactError("parameters", expected=(self.n_params,), found=values.shape)
        if not np.isfinite(values).all():
            raise ArtifactError("parameters", expected="finite numbers", found="NaN or infinity")
        for graph, name in zip((self.train_graph, self.eval_graph), MEMBERS[1:], strict=False):
            check_graph(graph, name)
        check_graph(self.infer_graph, MEMBERS[3], is_sized=False)
        values.flags.writeable = False
        object.__setattr__(self, "parameters", values)

    @property
    def layout(self) -> Layout:
        """Where each parameter lies in the flat vector."""
        return self.manifest.layout

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file; recomputed on every call."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The `.fedge` file; the same bytes for the same content."""
        contents = (
            self.train_graph,
            self.eval_graph,
            self.infer_graph,
            self.parameters.astype("<f4").tobytes(),
        )
        hashes = dict(zip(MEMBERS[1:], map(_sha256, contents), strict=True))
        manifest = self.manifest.to_json(hashes)
        return container.pack(list(zip(MEMBERS, (manifest, *contents), strict=True)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Artifact":
        """Reads a `.fedge` file.

        Raises:
            ArtifactError: unless the bytes are exactly what `to_bytes` writes.
        """
        head, *contents = container.unpack(data, MEMBERS)
        manifest, hashes = Manifest.from_json(bytes(head))
        if hashes != dict(zip(MEMBERS[1:], map(_sha256, contents), strict=True)):
            raise ArtifactError("members", expected="the manifest's SHA-256", found="another")
        train, evaluate, infer, values = contents
        size = 4 * layout.n_params(manifest.layout)
        if len(values) != size:
            raise ArtifactError("parameters.f32", expected=f"{size} bytes", found=len(values))
        parameters = np.frombuffer(values, "<f4")
        return cls(manifest, bytes(train), bytes(evaluate), bytes(infer), parameters)

    def to_onnx(self, parameters: Vector, *, metadata: Mapping[str, str] | None = None) -> bytes:
        """The deployable model: ONNX bytes that contain these parameters, shape (n_params,).

        `metadata` is added to the model's existing metadata_props.

        Raises:
            ArtifactError: if the shape differs or the inference graph lacks a parameter.
        """
        if parameters.shape != (self.n_params,):
            raise ArtifactError("parameters", expected=(self.n_params,), found=parameters.shape)
        values = {slot.name: slot.view(parameters) for slot in self.layout}
        return onnx_bytes.bake(self.infer_graph, values, metadata or {})

    def save(self, path: "StrPath") -> None:
        """Writes the `.fedge` file, whole or not at all.

        Raises:
            StorageError: if it cannot be written.
        """
        write_file(path, self.to_bytes())

    def export_onnx(self, parameters: Vector, path: "StrPath") -> None:
        """Writes `to_onnx(parameters)`, whole or not at all.

        Raises:
            StorageError: if it cannot be written.
        """
        write_file(path, self.to_onnx(parameters))


def _sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
