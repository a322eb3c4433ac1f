"""Examples to check a gradient on: random ones, and kinds found in real data but never by chance.

A window of equal values, a background of zeros, a row of padding: there the rules of Max, MaxPool,
Abs and the like must divide a gradient, and only there does a wrong division show.
"""

from collections.abc import Callable

import numpy as np

from fedge.artifact import InputSpec, Manifest, TargetSpec
from fedge.builder.check.indices import index_bounds
from fedge.training import ArrayData
from fedge.types import Array

Rng = np.random.Generator
Shape = tuple[int, ...]


def random_examples(manifest: Manifest, rng: Rng) -> ArrayData:
    """One full batch as the manifest describes it: numbers normally distributed, integers 0."""
    n = manifest.batch_size
    inputs = {spec.name: _normal_or_zero(spec, n, rng) for spec in manifest.inputs}
    return ArrayData(inputs, _random_targets(manifest.target, n, rng)).check(manifest)


def kinds_of_examples(manifest: Manifest, eval_graph: bytes, rng: Rng) -> ArrayData:
    """Whole batches that cycle through the kinds in `NUMBERS` and `INDICES`, each at least once.

    Integers that the graph looks up in a table are indices into it; others are a mask of ones,
    with zeros at the end in some examples; 8- and 16-bit ones are numbers from 0 up.
    """
    bounds = index_bounds(eval_graph, [spec.name for spec in manifest.inputs])
    size = manifest.batch_size
    n = -(-len(NUMBERS) // size) * size
    inputs = {
        spec.name: np.stack([_example(spec, bounds.get(spec.name), i, rng) for i in range(n)])
        for spec in manifest.inputs
    }
    return ArrayData(inputs, _random_targets(manifest.target, n, rng)).check(manifest)


def _zero_background(shape: Shape, rng: Rng) -> Array:
    """Positive numbers in a box of about half of each axis (but all of a leading axis); else 0."""
    inside = np.ones(shape, bool)
    for axis in range(1 if len(shape) > 1 else 0, len(shape)):
        start = int(rng.integers(0, shape[axis] // 2 + 1))
        at = np.arange(shape[axis]) - start
        place = [1] * len(shape)
        place[axis] = -1
        inside &= ((at >= 0) & (at < max(1, shape[axis] // 2))).reshape(place)
    return np.where(inside, np.abs(rng.standard_normal(shape)), 0)


def _constant_rows(shape: Shape, rng: Rng) -> Array:
    return np.broadcast_to(rng.standard_normal((*shape[:-1], 1)[: len(shape)]), shape)


def _equal_pairs(shape: Shape, rng: Rng) -> Array:
    values: Array = rng.standard_normal(shape)
    if shape:
        values[..., 1::2] = values[..., : shape[-1] // 2 * 2 : 2]
    return values


NUMBERS: tuple[Callable[[Shape, Rng], Array], ...] = (
    lambda shape, rng: rng.standard_normal(shape),
    _zero_background,
    lambda shape, rng: np.rint(2 * rng.standard_normal(shape)),
    _constant_rows,
    _equal_pairs,
    lambda shape, _: np.zeros(shape),
)

# Indices below n, each kind paired with the one in NUMBERS at the same position; padding is 0.
INDICES: tuple[Callable[[Shape, int, Rng], Array], ...] = (
    lambda shape, n, rng: rng.integers(0, n, shape),
    lambda shape, n, rng: rng.integers(0, n, shape) * _mask(shape, is_padded=True),
    lambda shape, n, rng: np.full(shape, rng.integers(0, n)),
    lambda shape, n, rng: rng.integers(0, min(n, 3), shape) * _mask(shape, is_padded=True),
    lambda shape, n, rng: rng.choice([0, n - 1], shape),
    lambda shape, _n, _rng: np.zeros(shape),
)
_PADDED = (1, 3)  # positions of the kinds with padding


def _mask(shape: Shape, *, is_padded: bool) -> Array:
    mask = np.ones(shape)
    if is_padded and shape:
        mask[..., (shape[-1] + 1) // 2 :] = 0
    return mask


def _example(spec: InputSpec, bound: int | None, i: int, rng: Rng) -> Array:
    kind, dtype = i % len(NUMBERS), np.dtype(spec.dtype)
    if bound is not None:
        values = INDICES[kind](spec.shape, bound, rng)
    elif dtype.kind == "f":
        values = NUMBERS[kind](spec.shape, rng)
    elif dtype.itemsize > 2 or dtype.kind == "b":
        values = _mask(spec.shape, is_padded=kind in _PADDED)
    else:
        values = np.minimum(np.rint(20 * np.abs(NUMBERS[kind](spec.shape, rng))), 127)
    return values.astype(dtype)


def _normal_or_zero(spec: InputSpec, n: int, rng: Rng) -> Array:
    shape, dtype = (n, *spec.shape), np.dtype(spec.dtype)
    values: Array = rng.standard_normal(shape) if dtype.kind == "f" else np.zeros(shape)
    return values.astype(dtype)


def _random_targets(target: TargetSpec, n: int, rng: Rng) -> Array:
    shape, n_classes = (n, *target.shape), target.n_classes
    targets: Array = rng.integers(0, n_classes, shape) if n_classes else rng.random(shape, "f4")
    return targets
