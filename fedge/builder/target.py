"""The target's mean and deviation in the graphs: training sees numbers of order one.

A model's initial scores are of that size, and learning rates are chosen for it. Training compares
the scores with (target - mean) / deviation; evaluation and inference output scores * deviation +
mean, in the target's own units.
"""

import numpy as np
import onnx
from onnx import helper

from fedge.artifact import TargetSpec
from fedge.autodiff import Graph, Parameter, Stored, Tensor
from fedge.builder.choices import Choice


def target_statistics(spec: TargetSpec) -> dict[str, Parameter]:
    """Mean and deviation before the fleet has measured them; empty if it need not."""
    if spec.standardize == "none":
        return {}
    values = {
        spec.mean_slot: np.zeros(spec.statistic_shape, np.float32),
        spec.scale_slot: np.ones(spec.statistic_shape, np.float32),
    }
    return {name: Parameter(value, "statistic") for name, value in values.items()}


def as_choices(statistics: dict[str, Parameter]) -> tuple[Choice, ...]:
    """Their entries in the table of tensors."""
    why = "standardises the target"
    return tuple(
        Choice(Stored(name, p.value, p.kind, True, why), True, False, why, False)  # noqa: FBT003
        for name, p in statistics.items()
    )


def add_statistics(g: Graph, spec: TargetSpec) -> None:
    """Makes the statistics inputs of a graph."""
    for name in (spec.mean_slot, spec.scale_slot):
        g.add_input(name, Tensor(np.dtype(np.float32), spec.statistic_shape))


def in_units(g: Graph, spec: TargetSpec, scores: str) -> str:
    """Scores converted to the target's units."""
    return g.op("Add", g.op("Mul", scores, spec.scale_slot), spec.mean_slot)


def standardized(g: Graph, spec: TargetSpec, target: str) -> str:
    """The target converted to the units of the scores."""
    return g.op("Div", g.op("Sub", target, spec.mean_slot), spec.scale_slot)


def scale_output(model: onnx.ModelProto, spec: TargetSpec) -> None:
    """Converts the model's only output to the target's units; changes the model."""
    if spec.standardize == "none":
        return
    graph, result = model.graph, model.graph.output[0].name
    scores, scaled = f"{result}.fedge.scores", f"{result}.fedge.scaled"
    for node in graph.node:
        node.input[:] = [scores if name == result else name for name in node.input]
        node.output[:] = [scores if name == result else name for name in node.output]
    graph.node.extend(
        [
            helper.make_node("Mul", [scores, spec.scale_slot], [scaled]),
            helper.make_node("Add", [scaled, spec.mean_slot], [result]),
        ]
    )
