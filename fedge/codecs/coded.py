"""The largest values of a delta, by the value modes and coders that cost more work."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedge import _kernels
from fedge.codecs.codec import check_vector
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_one_of
from fedge.codecs.payload import BLOCK, Scheme, Stamp, least_sparse_size, seal
from fedge.codecs.sparse import Indices, _select
from fedge.types import Vector

INT4_LARGEST = 7  # levels -7..7

# By scheme with the Rice coder, the same with the context coder.
CONTEXTUAL = {
    Scheme.SPARSE_INT8: Scheme.SPARSE_INT8_CONTEXT,
    Scheme.SPARSE_INT4: Scheme.SPARSE_INT4_CONTEXT,
    Scheme.SPARSE_SIGN: Scheme.SPARSE_SIGN_CONTEXT,
    Scheme.SPARSE_FLOAT32: Scheme.SPARSE_FLOAT32_CONTEXT,
}


@dataclass(frozen=True, slots=True)
class CodedTopK:
    """TopK with int4 values, or with the shorter of two codes.

    int4: the nearest of 15 levels of the block's largest magnitude, off by at most half a step of
    max / 7 rounded up to bf16. Rounding is to the nearest, not by dice: the residual carries what
    is lost to the next round, so dice would only add noise.

    The context coder learns how gaps cluster and signs repeat. It is about fifteen times slower
    than the Rice coder; which is shorter depends on the delta, so both are tried.
    """

    spec: str
    fraction: Fraction  # 0 < fraction <= 1
    scheme: Scheme  # with the Rice coder
    tries_context: bool = False
    uses_residual: ClassVar[bool] = True

    def n_kept(self, n_params: int) -> int:
        """As TopK: ceil(fraction * n_params)."""
        return math.ceil(self.fraction * n_params)

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,  # noqa: ARG002 - no dice here
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        check_vector("delta", delta, delta.size)
        if residual is None:
            residual = np.zeros_like(delta)
        check_vector("residual", residual, delta.size)
        kept = _take(residual, _select(delta, residual, self.n_kept(delta.size)), self.scheme)
        scheme, body = self.scheme, _rice(kept)
        contextual = CONTEXTUAL[scheme]
        if self.tries_context:
            shorter = _context(kept, delta.size, len(body) - 1)
            if shorter is not None and len(shorter) >= least_sparse_size(contextual, kept.size):
                scheme, body = contextual, shorter
        return seal(scheme, stamp, n_params=delta.size, n_kept=kept.size, body=body)

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_one_of((self.scheme, CONTEXTUAL[self.scheme]), payload)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is sent, before it is coded."""

    indices: Indices
    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint16]
    bits: int

    @property
    def size(self) -> int:
        return self.indices.size


def _take(residual: Vector, indices: Indices, scheme: Scheme) -> _Kept:
    """Takes the values at indices out of residual, as far as they can be sent."""
    scales = np.empty(-(-indices.size // BLOCK), np.uint16)
    if scheme.bits == 32:
        codes = residual[indices].view(np.uint8)
        residual[indices] = 0
        return _Kept(indices, codes, scales, 32)
    levels = np.empty(indices.size, np.int8)
    if scheme is Scheme.SPARSE_INT4:
        _kernels.quantise_levels(residual, indices, INT4_LARGEST, levels, scales)
    else:
        _kernels.quantise_kept(residual, indices, scheme.bits, levels, scales)
    return _Kept(indices, levels.view(np.uint8), scales, scheme.bits)


def _rice(kept: _Kept) -> memoryview:
    body = np.empty(8 * kept.size + 16 * kept.scales.size, np.uint8)
    length = _kernels.pack(kept.indices, kept.codes, kept.scales, kept.bits, body)
    return body.data[:length]


def _context(kept: _Kept, n_params: int, most: int) -> memoryview | None:
    """None if it takes more bytes than most."""
    body = np.empty(max(most, 0), np.uint8)
    length = _kernels.pack_context(kept.indices, kept.codes, kept.scales, kept.bits, n_params, body)
    return body.data[:length] if length > 0 else None
