"""An ONNX model in, a training artifact out. Needs the extra `build` (onnx)."""

from importlib.util import find_spec

from fedge.errors import MissingDependencyError

if find_spec("onnx") is None:
    raise MissingDependencyError("building an artifact needs onnx: pip install 'fedge[build]'")

from fedge.build.artifact import Built, build, build_artifact
from fedge.build.check import CheckReport, SlotCheck, check_artifact
from fedge.build.choices import Choice
from fedge.build.outputs import Output

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
