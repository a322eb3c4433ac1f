"""An ONNX model in, a training artifact out. Needs the extra `build` (onnx)."""

from importlib.util import find_spec

from fedge.errors import MissingDependencyError

if find_spec("onnx") is None:
    raise MissingDependencyError("building an artifact needs onnx: pip install 'fedge[build]'")

from fedge.builder.artifact import Built, build, build_artifact
from fedge.builder.check import CheckReport, SlotCheck, check_artifact
from fedge.builder.choices import Choice
from fedge.builder.outputs import Output

__all__ = [
    "Built",
    "CheckReport",
    "Choice",
    "Output",
    "SlotCheck",
    "build",
    "build_artifact",
    "check_artifact",
]
