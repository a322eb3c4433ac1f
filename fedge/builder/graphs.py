"""The two graphs a device runs: one training step, one evaluation batch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from fedge.artifact import DropoutSpec, Layout, TargetSpec
from fedge.autodiff import (
    FACTORS,
    Graph,
    Loss,
    Tensor,
    Traced,
    apply_dropout,
    gradients,
    to_bytes,
    to_model,
)
from fedge.builder.target import add_statistics, in_units, standardized
from fedge.errors import ModelError

TARGET = "fedge.target"
WEIGHT = "fedge.weight"


@dataclass(frozen=True, slots=True)
class LossGraph:
    """A model with its loss and gradients, in one graph.

    Attributes:
        graph: the graph; its inputs are the data, the parameters, target, weight and factors.
        inputs: names of the data inputs.
        scores: the output in the target's form, before a final activation; batch first.
        losses: one loss per example, shape (batch,).
        trained_losses: the same with dropout active, and against the standardised target if any.
        target: what the targets are.
        gradients: those of sum(weight * trained_losses), by parameter.
        dropout: the dropout factors, if anything is dropped.
    """

    graph: Graph
    inputs: tuple[str, ...]
    scores: str
    losses: str
    trained_losses: str
    target: TargetSpec
    gradients: Mapping[str, str]
    dropout: tuple[DropoutSpec, ...]


def loss_graph(
    traced: Traced, loss: Loss, trainable: Collection[str], *, scales_target: bool = False
) -> LossGraph:
    """Adds loss and gradients to a traced model.

    A parameter that no gradient reaches is missing from the gradients. With `scales_target`, the
    target's mean and deviation are inputs of the graph too.

    Raises:
        ModelError: if the output does not fit the loss or an operator has no rule.
    """
    g = traced.graph
    _check_output(g, traced)
    scores = loss.scores(g, traced.outputs[0])
    batch = g.shape(scores)[:1]
    target = loss.target(g.tensors[scores])
    spec = _target_spec(target, g.shape(scores), loss, scales_target=scales_target)
    g.add_input(TARGET, target)
    g.add_input(WEIGHT, Tensor(np.dtype(np.float32), batch))
    trained, dropout = apply_dropout(g, scores)
    aim = TARGET
    if scales_target:
        add_statistics(g, spec)
        scores, aim = in_units(g, spec, scores), standardized(g, spec, TARGET)
    losses, _ = loss.losses(g, scores, TARGET)
    trained_losses, slope = loss.losses(g, trained, aim)
    column = g.reshape(WEIGHT, (*batch, *[1] * (g.rank(trained) - 1)))
    found = gradients(g, {trained: g.op("Mul", slope, column)}, trainable)
    return LossGraph(
        graph=g,
        inputs=traced.inputs,
        scores=scores,
        losses=losses,
        trained_losses=trained_losses,
        target=spec,
        gradients=found,
        dropout=dropout,
    )


def train_graph(made: LossGraph, layout: Layout) -> bytes:
    """Data, `fedge.target`, `fedge.weight` and slots to `fedge.loss` and `fedge.grad.{slot}`.

    If anything is dropped, `fedge.dropout` is an input too.
    """
    g = made.graph
    total = g.op("ReduceSum", g.op("Mul", made.trained_losses, WEIGHT), keepdims=0)
    outputs = {"fedge.loss": total}
    outputs |= {f"fedge.grad.{s.name}": made.gradients[s.name] for s in layout if s.trainable}
    fed = [TARGET, WEIGHT, FACTORS] if made.dropout else [TARGET, WEIGHT]
    inputs = [*made.inputs, *fed, *(slot.name for slot in layout)]
    return to_bytes(to_model(g, inputs, outputs))


def eval_graph(made: LossGraph, layout: Layout) -> bytes:
    """Data, `fedge.target` and slots to `fedge.losses` and `fedge.output`."""
    inputs = [*made.inputs, TARGET, *(slot.name for slot in layout)]
    outputs = {"fedge.losses": made.losses, "fedge.output": made.scores}
    return to_bytes(to_model(made.graph, inputs, outputs))


def _target_spec(
    target: Tensor, scores: tuple[int, ...], loss: Loss, *, scales_target: bool
) -> TargetSpec:
    return TargetSpec(
        dtype=target.dtype.name,
        shape=target.shape[1:],
        n_classes=scores[1] if loss.has_classes else None,
        standardize="federated" if scales_target else "none",
    )


def _check_output(g: Graph, traced: Traced) -> None:
    output, first = g.tensors[traced.outputs[0]], traced.inputs[0]
    if output.dtype != np.float32:
        raise ModelError(f"the output is {output.dtype}; training needs float32 scores there")
    if output.shape[:1] != g.shape(first)[:1]:
        raise ModelError(
            f"the output has shape {list(output.shape)} for a batch of {g.shape(first)[0]}; "
            "export the model with an open batch axis, first in every input and output"
        )
