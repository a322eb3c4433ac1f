"""Examples: where training takes them from, and the arrays that most of them lie in."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedge.artifact import Manifest
from fedge.errors import DataError
from fedge.types import Array


class DataSource(Protocol):
    """Examples by number.

    Laws: `n_examples` does not change while a call of the trainer lasts; `batch` of the same
    indices gives the same examples; inputs and targets have one row an index, in the artifact's
    shapes, and dtypes that NumPy casts to the artifact's within the same kind.
    """

    @property
    def n_examples(self) -> int: ...

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        """Inputs by name, each of shape (len(indices), ..), and targets."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayData:
    """Examples in memory: row i of every array is example i."""

    inputs: dict[str, Array]
    targets: Array

    @property
    def n_examples(self) -> int:
        return len(self.targets)

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        return {name: array[indices] for name, array in self.inputs.items()}, self.targets[indices]

    def check(self, manifest: Manifest) -> "ArrayData":
        """The same examples in the artifact's dtypes and shapes, cast once.

        A lone array called `x` serves a model with one input, whatever its name. Axes of length
        one are added or dropped as needed. Casts keep every value: integers may become floats if
        they stay exact, float64 is rounded to float32. NaN means missing where the graph
        standardises, and is refused elsewhere.

        Raises:
            DataError: naming the array, what the artifact expects, and what was found.
        """
        inputs = self._named(manifest)
        checked = {}
        for spec in manifest.inputs:
            array = _fit(spec.name, inputs[spec.name], spec.dtype, spec.shape)
            _check_finite(spec.name, array, may_miss=spec.standardize != "none")
            checked[spec.name] = array
        targets = _fit("targets", self.targets, manifest.target.dtype, manifest.target.shape)
        _check_finite("targets", targets, may_miss=False)
        _check_range(targets, manifest)
        for name, array in checked.items():
            if len(array) != len(targets):
                raise DataError(name, expected=f"{len(targets)} examples", found=len(array))
        return ArrayData(checked, targets)

    def _named(self, manifest: Manifest) -> dict[str, Array]:
        names = [spec.name for spec in manifest.inputs]
        if len(names) == 1 and list(self.inputs) == ["x"]:
            return {names[0]: self.inputs["x"]}
        if sorted(names) != sorted(self.inputs):
            raise DataError("inputs", expected=sorted(names), found=sorted(self.inputs))
        return self.inputs


def _fit(name: str, array: Array, dtype: str, shape: tuple[int, ...]) -> Array:
    found = np.shape(array)
    if not found or _without_ones(found[1:]) != _without_ones(shape):
        raise DataError(name, expected=f"shape (n, {_text(shape)})", found=f"({_text(found)})")
    return _cast(name, np.asarray(array), np.dtype(dtype)).reshape(found[0], *shape)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _cast(name: str, array: Array, dtype: np.dtype) -> Array:
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise DataError(f"dtype of {name}", expected=dtype, found=array.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # looked at right below
        cast = np.ascontiguousarray(array, dtype)
        is_kept = array.dtype.kind == "f" or np.array_equal(cast.astype(array.dtype), array)
    if not is_kept:
        raise DataError(name, expected=f"values that {dtype} holds exactly", found="larger ones")
    return cast


def _check_finite(name: str, array: Array, *, may_miss: bool) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        if np.isinf(array).any():
            raise DataError(name, expected="finite float32 numbers", found="infinity or overflow")
        if not may_miss:
            raise DataError(name, expected="no missing values without standardize", found="NaN")


def _check_range(targets: Array, manifest: Manifest) -> None:
    low, high = _range(manifest)
    if targets.size and not (low <= targets.min() and targets.max() <= high):
        found = f"{targets.min()} to {targets.max()}"
        raise DataError("targets", expected=f"{low:g} to {high:g}", found=found)


def _range(manifest: Manifest) -> tuple[float, float]:
    match manifest.loss:
        case "cross_entropy":
            return 0, (manifest.target.n_classes or 1) - 1
        case "binary_cross_entropy":
            return 0, 1
        case _:
            return -math.inf, math.inf
