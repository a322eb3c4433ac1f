"""Artifacts whose gradient is wrong in a known way."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fedge.artifact import Artifact


def spoiled(sound: Artifact, slots: Sequence[str], factor: npt.ArrayLike) -> Artifact:
    """The same artifact, the gradients of some slots multiplied by a number, or by many."""
    model = onnx.load_from_string(sound.train_graph)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.asarray(factor, np.float32), "factor"))
    for slot in slots:
        name, before = f"fedge.grad.{slot}", f"before.{slot}"
        for node in graph.node:
            node.input[:] = [before if each == name else each for each in node.input]
            node.output[:] = [before if each == name else each for each in node.output]
        graph.node.append(helper.make_node("Mul", [before, "factor"], [name]))
    return replace(sound, train_graph=model.SerializeToString())
