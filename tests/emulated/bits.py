"""Prints what the kernels and codecs compute, as SHA-256 of every result. Runs on a board too.

The inputs are made by integer arithmetic, so that no library's generator can change them.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fedge import _kernels, codecs
from fedge.types import Vector

sys.path.insert(0, str(Path(__file__).parents[2]))  # on a board: where the copy of tests/ lies

from tests.golden.payloads import SPECS, contents

SIZES = (1, 257, 20_011)
_STAMP = codecs.Stamp(schema=b"\xfe\xd6\xe0\x01", round=300, n_examples=70_000)


def results() -> dict[str, str]:
    """What was computed, to the SHA-256 of its bytes."""
    found = [*_golden(), *_chains(), *_steps(), *_robust(), *_rows()]
    return {name: hashlib.sha256(content).hexdigest() for name, content in found}


def _golden() -> Iterator[tuple[str, bytes]]:
    """The stored payloads' inputs."""
    for spec in SPECS:
        for path, content in contents(spec).items():
            yield path.name, content


def _chains() -> Iterator[tuple[str, bytes]]:
    """Three rounds of every codec on unkind numbers, the residual carried on; then all decoded."""
    for spec in SPECS:
        for size in SIZES:
            codec, dice = codecs.get(spec), np.random.default_rng(7)
            residual = np.zeros(size, np.float32) if codec.uses_residual else None
            total = np.zeros(size, np.float32)
            for number in range(3):
                payload = codec.encode(numbers(size, number), residual, dice, stamp=_STAMP)
                codecs.accumulate(payload, 0.3, total)
                yield f"{spec} {size} payload {number}", payload
                yield f"{spec} {size} decoded {number}", _bytes(codecs.decode(payload).to_dense())
            part = np.empty(size // 2, np.float32)
            codecs.decode_range(payload, size // 3, part, absent=-1.0)
            yield f"{spec} {size} range", _bytes(part)
            yield f"{spec} {size} total", _bytes(total)
            if residual is not None:
                yield f"{spec} {size} residual", _bytes(residual)


def _steps() -> Iterator[tuple[str, bytes]]:
    """Training steps, with and without each term."""
    none = np.empty(0, np.float32)
    for momentum, decay, proximal in ((0.0, 0.0, 0.0), (0.9, 1e-4, 0.0), (0.9, 0.01, 0.1)):
        parameters, gradient = numbers(1009, 0), numbers(1009, 1)
        buffer = numbers(1009, 2) if momentum else none
        anchor = numbers(1009, 3) if proximal else none
        _kernels.sgd_step(parameters, gradient, buffer, anchor, 0.05, momentum, decay, proximal)
        yield f"sgd_step {momentum} {decay} {proximal}", _bytes(parameters) + _bytes(buffer)


def _robust() -> Iterator[tuple[str, bytes]]:
    """Trimmed means and medians of a tile."""
    rows = np.stack([numbers(257, seed) for seed in range(7)])
    for low, high in ((0, 7), (1, 6), (3, 4)):
        out = np.empty(257, np.float32)
        _kernels.robust_tile(rows, low, high, out)
        yield f"robust_tile {low} {high}", _bytes(out)
    rows[rows < -0.5] = np.nan
    for number in (1, 3, 7):
        out = np.empty(257, np.float32)
        _kernels.present_tile(rows, number, out)
        yield f"present_tile {number}", _bytes(out)
        _kernels.nearest_tile(rows, number, out)
        yield f"nearest_tile {number}", _bytes(out)


def _rows() -> Iterator[tuple[str, bytes]]:
    """Products and mixtures of rows, as they are and centred."""
    rows = np.stack([numbers(1500, seed) for seed in range(7)])
    for name in ("plain", "centred"):
        products, mixed = np.zeros((7, 7)), np.empty((7, 1500), np.float32)
        _kernels.gram_tile(rows, products)
        _kernels.mix_tile(rows[:, 64:71].copy(), rows, mixed)
        yield f"gram_tile {name}", products.astype("<f8").tobytes()
        yield f"mix_tile {name}", _bytes(mixed)
        _kernels.centre_tile(rows)
    yield "centre_tile", _bytes(rows)


def numbers(size: int, seed: int) -> Vector:
    """Finite numbers of every size: many small, some subnormal, some tied, some zero."""
    state = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(2654435761 + 2 * seed)
    state = (state ^ (state >> np.uint64(15))) % np.uint64(2**32)
    values = (state.astype(np.int64) - 2**31).astype(np.float32) / np.float32(2**31)
    places = np.arange(size) % 64
    values[places < 48] *= np.float32(2**-12)
    # Subnormal, made of bits: NumPy takes such numbers for zero on ARMv7, the kernels must not.
    values[places == 5] = (state[places == 5] % np.uint64(2**23)).astype(np.uint32).view(np.float32)
    values[places == 6] = np.float32(0.5)
    values[places == 7] = 0
    return values


def _bytes(values: Vector) -> bytes:
    return values.astype("<f4").tobytes()


if __name__ == "__main__":
    json.dump(results(), sys.stdout, indent=1, sort_keys=True)
