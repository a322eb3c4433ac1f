"""Runs ONNX models for tests, in float64 or float32, on onnxruntime or onnx's own reference."""

import os
from collections.abc import Mapping

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which reads it

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

Arrays = Mapping[str, npt.NDArray]


def run_onnxruntime(model: onnx.ModelProto, feeds: Arrays) -> list[npt.NDArray]:
    """onnxruntime's results, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    known = {value.name for value in session.get_inputs()}
    found = session.run(None, {name: value for name, value in feeds.items() if name in known})
    return [np.asarray(value) for value in found]


def run_reference(model: onnx.ModelProto, feeds: Arrays) -> list[npt.NDArray]:
    """The results of onnx's reference implementation in NumPy."""
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, dict(feeds))]


ENGINES = {"onnxruntime": run_onnxruntime, "reference": run_reference}
