"""The .fedge file: graphs, layout and parameters in one stored, deterministic zip."""

from fedge.artifact.artifact import Artifact
from fedge.artifact.files import load_artifact
from fedge.artifact.layout import Kind, Layout, Slot, arrange, flatten, schema_hash
from fedge.artifact.manifest import DropoutSpec, InputSpec, Manifest, TargetSpec

__all__ = [
    "Artifact",
    "DropoutSpec",
    "InputSpec",
    "Kind",
    "Layout",
    "Manifest",
    "Slot",
    "TargetSpec",
    "arrange",
    "flatten",
    "load_artifact",
    "schema_hash",
]
