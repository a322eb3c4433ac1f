"""Builds input standardisation into the model itself, so that it takes raw data everywhere."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fedge.artifact.manifest import InputSpec
from fedge.errors import ConfigError, ModelError
from fedge.types import Array

Given = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
"""Mean and standard deviation of each feature, by input."""

_OLDEST_OPSET = 9  # IsNaN and Where


def plan_standardization(
    specs: Sequence[InputSpec], how: Given | Literal["federated"] | None
) -> tuple[InputSpec, ...]:
    """Marks the inputs to be standardised; "federated" means all float32 ones.

    Raises:
        ConfigError: if an input is unknown or not float32.
    """
    if how is None:
        return tuple(specs)
    if isinstance(how, str) and how != "federated":
        raise ConfigError(f"standardize must be 'federated' or numbers by input, not {how!r}")
    real = [spec.name for spec in specs if spec.dtype == "float32"]
    chosen = real if isinstance(how, str) else list(how)
    for name in chosen:
        if name not in real:
            raise ConfigError(f"cannot standardize {name!r}; float32 inputs are {real}")
    origin: Literal["given", "federated"] = "federated" if isinstance(how, str) else "given"
    return tuple(
        InputSpec(name=s.name, dtype=s.dtype, shape=s.shape, standardize=origin)
        if s.name in chosen
        else s
        for s in specs
    )


def add_standardization(
    model: onnx.ModelProto,
    specs: Sequence[InputSpec],
    how: Given | Literal["federated"] | None,
) -> None:
    """Prepends (x - mean) * scale to each marked input, with 0 for a missing (NaN) value.

    The mean maps to zero, so a missing value counts as the mean. Mean and scale
    become initialisers of the shape `InputSpec.statistic_shape`.
    """
    marked = [spec for spec in specs if spec.standardize != "none"]
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if marked and opset < _OLDEST_OPSET:
        raise ModelError(
            f"standardize needs opset {_OLDEST_OPSET}, the model has {opset}; "
            "convert it (onnx.version_converter.convert_version)"
        )
    for spec in marked:
        mean, scale = _numbers(spec, how[spec.name]) if isinstance(how, Mapping) else _neutral(spec)
        _prepend(model.graph, spec, mean, scale)


def _neutral(spec: InputSpec) -> tuple[Array, Array]:
    shape = spec.statistic_shape
    return np.zeros(shape, np.float32), np.ones(shape, np.float32)


def _numbers(spec: InputSpec, given: tuple[npt.ArrayLike, npt.ArrayLike]) -> tuple[Array, Array]:
    """Mean and 1 / std; a feature that never varies gets scale 0."""
    try:
        mean, std = (
            np.broadcast_to(np.asarray(values, np.float64), spec.statistic_shape)
            for values in given
        )
    except (ValueError, TypeError):
        raise ConfigError(
            f"standardize[{spec.name!r}] must be a mean and a standard deviation, "
            f"each of shape {spec.statistic_shape}"
        ) from None
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
        raise ConfigError(f"standardize[{spec.name!r}] must be finite, deviations not negative")
    scale = np.divide(1, std, out=np.zeros(std.shape), where=std > 0)
    return mean.astype(np.float32), scale.astype(np.float32)


def _prepend(graph: onnx.GraphProto, spec: InputSpec, mean: Array, scale: Array) -> None:
    x, prefix = spec.name, f"{spec.name}.fedge"
    known, zero = f"{prefix}.known", f"{prefix}.zero"
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == x:
                node.input[i] = known
    nodes = [
        helper.make_node("Sub", [x, spec.mean_slot], [f"{prefix}.centred"]),
        helper.make_node("Mul", [f"{prefix}.centred", spec.scale_slot], [f"{prefix}.scaled"]),
        helper.make_node("IsNaN", [f"{prefix}.scaled"], [f"{prefix}.missing"]),
        helper.make_node("Where", [f"{prefix}.missing", zero, f"{prefix}.scaled"], [known]),
    ]
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    graph.initializer.extend(
        [
            numpy_helper.from_array(mean, spec.mean_slot),
            numpy_helper.from_array(scale, spec.scale_slot),
            numpy_helper.from_array(np.zeros((), np.float32), zero),
        ]
    )
