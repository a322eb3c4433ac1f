"""The largest eigenvalue of small symmetric matrices, the same bits on every machine."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers, squared

_MOST_SQUARINGS = 40
_TOLERANCE = 1e-14


def dominant(matrices: Numbers) -> tuple[Numbers, Numbers]:
    """The largest eigenvalue of each positive semidefinite matrix, and its eigenvector.

    Squared again and again, a matrix becomes the projection onto that eigenvector: after k times
    this is a power iteration of 2^k steps from every unit vector at once. Of several eigenvectors
    with one eigenvalue it gives one, always the same.

    Args:
        matrices: float64, shape (..., n, n), symmetric.

    Returns:
        float64, shapes (...) and (..., n); the vectors have length 1. For a matrix of zeros they
        are 0 and the first unit vector.
    """
    power = _scaled(matrices)
    for _ in range(_MOST_SQUARINGS):
        last, power = power, _scaled(squared(power))
        if np.max(np.abs(power - last), initial=0.0) <= _TOLERANCE:
            break
    diagonal = np.diagonal(power, axis1=-2, axis2=-1)
    place = np.argmax(diagonal, axis=-1)[..., None, None]
    vectors = np.take_along_axis(power, place, axis=-1)[..., 0]
    lengths = np.sqrt(np.sum(vectors**2, axis=-1, keepdims=True))
    first = np.zeros(vectors.shape[-1])
    first[:1] = 1.0
    vectors = np.where(lengths > 0, vectors / np.where(lengths > 0, lengths, 1.0), first)
    images = np.add.reduce(matrices * vectors[..., :, None], axis=-2)
    return np.sum(vectors * images, axis=-1), vectors


def _scaled(matrices: Numbers) -> Numbers:
    """Divided by their traces; zeros stay."""
    traces = np.sum(np.diagonal(matrices, axis1=-2, axis2=-1), axis=-1)[..., None, None]
    return matrices / np.where(traces > 0, traces, 1.0)
