"""Deltas and specs that the codec tests share."""

import numpy as np
from hypothesis import strategies as st

from fedge import codecs
from fedge.types import Vector

SPECS = ["topk:0.1/sign", "topk:0.1/int8", "topk:0.1/float32", "int8", "none"]
SPARSE_SPECS = SPECS[:3]
STAMP = codecs.Stamp(schema=b"\x01\x02\x03\x04", round=7, n_examples=300)


def laplace(size: int, seed: int = 0, scale: float = 1.0) -> Vector:
    return (np.random.default_rng(seed).laplace(size=size) * scale).astype(np.float32)


@st.composite
def deltas(draw: st.DrawFn) -> Vector:
    """Laplace and sparse deltas around the sizes of blocks and tiles."""
    size = draw(st.sampled_from([0, 1, 2, 31, 33, 255, 256, 257, 700, 3000]))
    scale = draw(st.sampled_from([1e-42, 1e-3, 1.0, 1e35]))
    delta = laplace(size, draw(st.integers(0, 2**32 - 1)), scale)
    delta[draw(st.sampled_from([0, size // 2, size])) :] = 0
    return delta


def encode(spec: str, delta: Vector, residual: Vector | None = None, seed: int = 0) -> bytes:
    codec = codecs.get(spec)
    if codec.uses_residual and residual is None:
        residual = np.zeros_like(delta)
    return codec.encode(delta, residual, np.random.default_rng(seed), stamp=STAMP)


def dense(payload: bytes) -> Vector:
    return codecs.decode(payload).to_dense()
