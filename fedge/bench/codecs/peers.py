"""Other projects' ways to send an update, in short plain form, for comparison only.

They see the layout, because they work tensor by tensor.
"""

import gzip
import math

import numpy as np

from fedge.artifact import Slot
from fedge.codecs import Stamp
from fedge.types import Vector


class StcGzip:
    """Each tensor's top tenth as -1, 0 or +1 times their mean magnitude; gzipped.

    Like `STCPipeline` of OpenFL 1.x, without error feedback, but with the mean over the kept
    values (theirs is over all, zeros included, which shrinks every update tenfold), and bytes
    instead of float32 words for gzip. Its level is 6: the slowest, 9, saves a tenth of the bytes
    and takes sixteen times as long. Bytes: 4 for each tensor's scale, then gzip.
    """

    uses_residual = False

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self._slots = slots

    def encode(
        self, delta: Vector, residual: Vector | None, rng: np.random.Generator, *, stamp: Stamp
    ) -> bytes:
        del residual, rng, stamp
        scales = np.zeros(len(self._slots), np.float32)
        signs = np.zeros(delta.size, np.int8)
        for number, slot in enumerate(self._slots):
            values = delta[slot.offset : slot.offset + slot.size]
            first = slot.size - math.ceil(0.1 * slot.size)
            kept = np.argpartition(np.abs(values), first)[first:]
            scales[number] = np.abs(values[kept]).mean()
            signs[slot.offset + kept] = np.sign(values[kept])
        return scales.tobytes() + gzip.compress(signs.tobytes(), 6, mtime=0)

    def accumulate(self, payload: bytes, weight: float, out: Vector) -> None:
        head = 4 * len(self._slots)
        scales = np.frombuffer(payload[:head], np.float32)
        signs = np.frombuffer(gzip.decompress(payload[head:]), np.int8)
        for scale, slot in zip(scales, self._slots, strict=True):
            part = slice(slot.offset, slot.offset + slot.size)
            out[part] += np.float32(weight) * scale * signs[part]


class PowerSgd:
    """Each matrix as a product of two thin ones, the rest as float32, with error feedback.

    Each device works alone: two power iterations from the same start, instead of one that all
    share in the middle of the round. Bytes: the factors and the other tensors as float32.

    Source: Vogels et al., 2019, arXiv:1905.13727 (PowerSGD), rank 1.
    """

    uses_residual = True

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self._slots = slots

    def encode(
        self, delta: Vector, residual: Vector | None, rng: np.random.Generator, *, stamp: Stamp
    ) -> bytes:
        del rng, stamp
        total = delta.copy() if residual is None else residual
        if residual is not None:
            total += delta
        factors = (part for slot in self._slots for part in _factors(_matrix(slot, total)))
        payload = b"".join(np.asarray(part, np.float32).tobytes() for part in factors)
        self.accumulate(payload, -1.0, total)
        return payload

    def accumulate(self, payload: bytes, weight: float, out: Vector) -> None:
        numbers, start = np.frombuffer(payload, np.float32), 0
        for slot in self._slots:
            target = _matrix(slot, out)
            rows, columns = target.shape
            left = numbers[start : start + rows]
            start += rows
            if columns == 1:
                target += np.float32(weight) * left[:, None]
                continue
            target += np.float32(weight) * np.outer(left, numbers[start : start + columns])
            start += columns


def _matrix(slot: Slot, flat: Vector) -> Vector:
    """A view as a matrix: rows are the first axis of two or more; any other is one column."""
    rows = slot.shape[0] if len(slot.shape) > 1 else slot.size
    return flat[slot.offset : slot.offset + slot.size].reshape(rows, -1)


def _factors(matrix: Vector) -> list[Vector]:
    """left and right, with left right^T close to the matrix; or its only column."""
    if matrix.shape[1] == 1:
        return [matrix[:, 0]]
    left: Vector = np.zeros(matrix.shape[0], np.float32)
    right: Vector = np.random.default_rng(0).standard_normal((matrix.shape[1],), np.float32)
    for _ in range(2):
        left = matrix @ right
        left /= np.float32(max(float(np.linalg.norm(left)), 1e-30))
        right = matrix.T @ left
    return [left, right]
