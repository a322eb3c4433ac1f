"""Bytes to a target accuracy: every way to send updates, on different kinds of tasks.

Needs the extra `bench` (onnx, to build the tasks' networks).
"""

from importlib.util import find_spec

from fedge.errors import MissingDependencyError

if find_spec("onnx") is None:
    raise MissingDependencyError("fedge bench codecs needs onnx: pip install 'fedge[bench]'")
