"""Examples: where training gets them from, and the arrays that usually hold them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedge.artifact import Manifest
from fedge.data import Dataset
from fedge.errors import DataError
from fedge.types import Array

_MOST_NAMED = 3  # features or values in one message


class DataSource(Protocol):
    """Examples by index.

    Laws: `n_examples` does not change during a call of the trainer; `batch` returns the same
    examples for the same indices; inputs and targets have one row per index, in the artifact's
    shapes, with dtypes that NumPy casts to the artifact's within the same kind.
    """

    @property
    def n_examples(self) -> int: ...

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        """Inputs by name, each of shape (len(indices), ..), and targets."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayData:
    """Examples in memory: row i of every array is example i.

    `checked_for` is the manifest that they are known to fit; see `check`.
    """

    inputs: dict[str, Array]
    targets: Array
    checked_for: Manifest | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "ArrayData":
        """The content of a data file, without the owners."""
        return cls(dataset.inputs, dataset.targets)

    @property
    def n_examples(self) -> int:
        return len(self.targets)

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        return {name: array[indices] for name, array in self.inputs.items()}, self.targets[indices]

    def check(self, manifest: Manifest) -> "ArrayData":
        """The same examples in the artifact's dtypes and shapes, cast once.

        A lone array called `x` serves a model with one input, whatever its name. Axes of length
        one are added or dropped as needed. Casts preserve values: integers may become floats if
        they stay exact, float64 is rounded to float32. NaN means missing if the graph
        standardises, and is refused otherwise.

        Raises:
            DataError: naming the array, what the artifact expects, and what was found; for
                impossible values, in which features and how many rows.
        """
        if self.checked_for is manifest:
            return self
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
        return ArrayData(checked, targets, manifest)

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
    with np.errstate(over="ignore", invalid="ignore"):  # checked right below
        cast = np.ascontiguousarray(array, dtype)
        is_kept = array.dtype.kind == "f" or np.array_equal(cast.astype(array.dtype), array)
    if not is_kept:
        raise DataError(name, expected=f"values that {dtype} holds exactly", found="larger ones")
    return cast


def _check_finite(name: str, array: Array, *, may_miss: bool) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    infinite, missing = np.isinf(array), np.isnan(array)
    if infinite.any():
        found = f"infinity or overflow in {_places(infinite)}"
        raise DataError(name, expected="finite float32 numbers", found=found)
    if not may_miss:
        expected = "no missing values without standardize"
        raise DataError(name, expected=expected, found=f"NaN in {_places(missing)}")


def _check_range(targets: Array, manifest: Manifest) -> None:
    low, high = _range(manifest)
    is_wrong = (targets < low) | (targets > high)
    if not is_wrong.any():
        return
    values = [
        f"{value} in {_rows(is_wrong & (targets == value))}"
        for value in np.unique(targets[is_wrong])
    ]
    what = "labels" if manifest.loss == "cross_entropy" else "targets"
    raise DataError(what, expected=f"{low:g} to {high:g}", found=_few(values, "other values"))


def _places(is_wrong: Array) -> str:
    """Which features, by index, a mask of the examples marks, and in how many rows."""
    if is_wrong.ndim == 1 or is_wrong[0].size == 1:
        return _rows(is_wrong)
    features = [
        f"feature {index[0] if len(index) == 1 else index} in {_rows(is_wrong[:, *index])}"
        for index in map(tuple, np.argwhere(is_wrong.any(axis=0))[: _MOST_NAMED + 1].tolist())
    ]
    n_more = int(is_wrong.any(axis=0).sum()) - len(features)
    return _few(features, "other features", n_more)


def _rows(is_wrong: Array) -> str:
    n_wrong = int(is_wrong.reshape(len(is_wrong), -1).any(axis=1).sum())
    return f"{n_wrong} of {len(is_wrong)} rows"


def _few(parts: Sequence[str], others: str, n_more: int = 0) -> str:
    """The first few, and how many more there are."""
    n_more += len(parts) - _MOST_NAMED
    return ", ".join([*parts[:_MOST_NAMED], *([f"{n_more} {others}"] if n_more > 0 else [])])


def _range(manifest: Manifest) -> tuple[float, float]:
    match manifest.loss:
        case "cross_entropy":
            return 0, (manifest.target.n_classes or 1) - 1
        case "binary_cross_entropy":
            return 0, 1
        case _:
            return -math.inf, math.inf
