"""The second engine: onnx's own reference in NumPy, for machines without onnxruntime."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import load_op

from fedge.errors import ArtifactError, TrainingError
from fedge.training.engines.operators import REPLACED
from fedge.training.engines.protocol import Shape, check_values, first_line
from fedge.types import Array

_OPSET = 18  # what graphs are built for; our operators have no older forms


class Reference:
    """One graph on onnx's reference evaluator, with its slowest operators replaced by ours.

    Every intermediate value is kept until the run ends. Threads are up to NumPy.

    Raises:
        ArtifactError: if the graph cannot be loaded or has other inputs and outputs.
    """

    def __init__(
        self,
        graph: bytes,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        threads: int,  # noqa: ARG002 - the protocol's; NumPy's are set in the environment
    ) -> None:
        try:
            onnx.checker.check_model(graph, full_check=True)
            model = onnx.load_from_string(graph)
            self._evaluator = ReferenceEvaluator(model, new_ops=operators(model))
        except Exception as error:  # its exceptions share no narrower base class
            raise ArtifactError(
                "graph", expected="one onnx can load", found=first_line(error)
            ) from None
        check_values("inputs", _shapes(model.graph.input), inputs)
        check_values("outputs", _shapes(model.graph.output), outputs)
        self._inputs, self._outputs = dict(inputs), dict(outputs)

    def run(self) -> None:
        try:
            with np.errstate(all="ignore"):
                values = self._evaluator.run(list(self._outputs), self._inputs)
                for (name, buffer), value in zip(self._outputs.items(), values, strict=True):
                    _write(name, value, buffer)
        except Exception as error:
            raise TrainingError(f"the graph failed: {first_line(error)}") from None


def _write(name: str, value: Array, buffer: Array) -> None:
    if value.shape != buffer.shape:  # otherwise NumPy would broadcast
        raise ValueError(f"{name} has shape {value.shape} instead of {buffer.shape}")
    np.copyto(buffer, value)


def operators(model: onnx.ModelProto) -> list[type[OpRun]]:
    """Our replacements for the operators that the graph uses."""
    (opset,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _OPSET:
        return []
    used = {node.op_type for node in model.graph.node}
    return [_replacement(name, REPLACED[name], opset) for name in sorted(used & REPLACED.keys())]


def _replacement(
    op_type: str, compute: Callable[..., tuple[Array, ...] | None], opset: int
) -> type[OpRun]:
    """The reference's operator, used only for forms that ours does not know."""
    base: Any = load_op("", op_type, opset)
    schema = onnx.defs.get_schema(op_type, opset, "")

    def run(self: Any, *inputs: Array | None, **given: Any) -> tuple[Array, ...]:
        # Some bases pass attributes as arguments, some leave them on the object, which has all.
        attributes = {name: getattr(self, name, None) for name in schema.attributes}
        found = compute(*inputs, n_outputs=len(self.output), **attributes)
        if found is None:
            found = tuple(base._run(self, *inputs, **given))  # noqa: SLF001 - it is its base
        return found

    return type(op_type, (base,), {"_run": run, "op_schema": schema})


def _shapes(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Shape]:
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
