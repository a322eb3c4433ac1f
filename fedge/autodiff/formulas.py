"""Whether a tensor's values were computed by a formula, or drawn at random and learned."""

import numpy as np

from fedge.types import Array

_MASKED = -1e4  # a score that no softmax lets through; exporters write this or less
_TOLERANCE = 1e-3  # the error in float32 of sines at large positions
_ROUNDING = 5e-7  # relative to the largest value: slow cosines hardly differ from 1
_LEAST_EVIDENCE = 4  # values that a recurrence predicts beyond those it was fitted to


def is_constant(value: Array) -> bool:
    """Whether all elements are equal, as in scales and biases before training."""
    return bool(value.size) and bool((value == value.flat[0]).all())


def is_mask(value: Array) -> bool:
    """Whether it passes or blocks elements: ones and zeros, or zeros and -infinity."""
    if is_constant(value):
        return False
    open_ = (value == 0) | (value == 1)
    return bool((open_ | (value <= _MASKED)).all())


def is_formula(value: Array) -> bool:
    """Whether its lines along some axis are waves, ramps or geometric series.

    Tables of sinusoidal or rotary positions are, and so are the slopes of linear biases. Such a
    line follows x[t + 1] = a x[t] + b x[t - 1], with its own a and b. Lines of one repeated value
    prove nothing and do not count. Also true if elements depend only on the difference of the
    last two indices, as in relative position biases.
    """
    lines = any(_has_recurrence(np.moveaxis(value, axis, -1)) for axis in range(value.ndim))
    return lines or _is_relative(value)


def padding_row(value: Array) -> int | None:
    """The only row of a table that is all zero, as an embedding's padding row is; or None."""
    if value.ndim != 2 or len(value) < 3:
        return None
    rows = np.flatnonzero(~value.any(axis=1))
    return int(rows[0]) if len(rows) == 1 else None


def _is_relative(value: Array) -> bool:
    if value.ndim < 2 or min(value.shape[-2:]) < 4 or is_constant(value):
        return False
    return bool((value[..., 1:, 1:] == value[..., :-1, :-1]).all())


def _has_recurrence(value: Array) -> bool:
    n = value.shape[-1]
    lines = value.reshape(-1, n).astype(np.float64)
    lines = lines[np.ptp(lines, axis=1) > 0]
    if len(lines) * (n - 4) < _LEAST_EVIDENCE or n < 5 or not np.isfinite(lines).all():
        return False
    after, now, before = lines[:, 2:], lines[:, 1:-1], lines[:, :-2]
    rest = _without(_without(after, now), _without(before, now))
    error = np.abs(rest).max(axis=1)
    allowed = _TOLERANCE * np.ptp(lines, axis=1) + _ROUNDING * np.abs(lines).max(axis=1)
    return bool((error <= allowed).all())


def _without(lines: Array, direction: Array) -> Array:
    """The part of each line that is orthogonal to that line's own direction."""
    norm = (direction * direction).sum(axis=1, keepdims=True)
    along = (lines * direction).sum(axis=1, keepdims=True) / np.where(norm > 0, norm, 1)
    rest: Array = lines - along * direction
    return rest
