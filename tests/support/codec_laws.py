"""Deltas and specs that the codec tests share."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from fedge import codecs
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Laws:
    """Which laws a spec keeps besides those of every codec."""

    keeps_tenth: bool = False  # sends the largest tenth of all values, exactly
    feedback: Literal["exact", "rounded", "relaxed"] | None = None  # what becomes of the residual
    is_unbiased: bool = False  # the mean over all seeds is the value
    is_near_entropy: bool = False  # of positions and levels
    largest: float = 1e35  # Laplace scale of deltas that can be encoded


LAWS = {
    "topk:0.1/sign": Laws(keeps_tenth=True, feedback="rounded", is_near_entropy=True),
    "topk:0.1/int4": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/int8": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/int4+stochastic": Laws(keeps_tenth=True, feedback="rounded", is_near_entropy=True),
    "topk:0.1/int8+stochastic": Laws(keeps_tenth=True, feedback="rounded", is_near_entropy=True),
    "topk:0.1/float32": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/sign+ctx": Laws(keeps_tenth=True, feedback="rounded", is_near_entropy=True),
    "topk:0.1/int4+ctx": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/int8+ctx": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/float32+ctx": Laws(keeps_tenth=True, feedback="exact", is_near_entropy=True),
    "topk:0.1/int8+stochastic+ctx": Laws(
        keeps_tenth=True, feedback="rounded", is_near_entropy=True
    ),
    "topk:0.1/sign+relax:1.7": Laws(feedback="relaxed"),
    "topk:0.1/int8+relax:1.5": Laws(feedback="relaxed"),
    "topk:0.1/int4+stochastic+relax:1.95": Laws(feedback="relaxed"),
    "topk:0.1/float32+relax:1.7": Laws(feedback="relaxed"),
    "topk:0.1/sign+relax:1.7+ctx": Laws(feedback="relaxed"),
    "budget:200": Laws(feedback="rounded"),
    "budget:200+relax:1.7": Laws(feedback="relaxed"),
    "eden:1": Laws(is_unbiased=True, largest=1e25),
    "eden:2": Laws(is_unbiased=True, largest=1e25),
    "eden:3": Laws(is_unbiased=True, largest=1e25),
    "eden:4": Laws(is_unbiased=True, largest=1e25),
    "mask:0.1/eden:1": Laws(is_unbiased=True, largest=1e25),
    "mask:0.3/eden:3": Laws(is_unbiased=True, largest=1e25),
    "int8": Laws(is_unbiased=True),
    "none": Laws(feedback=None),
}
SPECS = list(LAWS)
SPARSE_SPECS = [spec for spec, laws in LAWS.items() if laws.keeps_tenth]
# exact, rounded: residual + decoded = before + delta; relaxed: see test_relaxation.py
FEEDBACK_SPECS = [spec for spec, laws in LAWS.items() if laws.feedback in {"exact", "rounded"}]
RELAXED_SPECS = [
    spec
    for spec, laws in LAWS.items()
    if laws.feedback == "relaxed" and not spec.startswith("budget:")  # which tries several times
]
STAMP = codecs.Stamp(schema=b"\x01\x02\x03\x04", round=7, n_examples=300)


def laplace(size: int, seed: int = 0, scale: float = 1.0) -> Vector:
    return (np.random.default_rng(seed).laplace(size=size) * scale).astype(np.float32)


@st.composite
def deltas(draw: st.DrawFn, largest: float = 1e35) -> Vector:
    """Laplace and sparse deltas around the sizes of blocks and tiles."""
    size = draw(st.sampled_from([0, 1, 2, 31, 33, 255, 256, 257, 700, 3000]))
    scale = draw(st.sampled_from([1e-42, 1e-3, 1.0, largest]))
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
