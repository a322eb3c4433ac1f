"""The largest values of a delta, step by step: by the shorter of two codes, or over-relaxed."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedge import _kernels
from fedge.codecs.codec import NOT_FINITE, carried, n_kept
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_one_of
from fedge.codecs.payload import Stamp, seal
from fedge.codecs.relaxation import PLAIN, Relaxation, as_float32, scaled, scaled_bf16
from fedge.codecs.scheme import BLOCK, Scheme, least_sparse_size, most_sparse_size
from fedge.types import Vector

# By scheme with the Rice coder, the same with the context coder.
CONTEXTUAL = {
    Scheme.SPARSE_INT8: Scheme.SPARSE_INT8_CONTEXT,
    Scheme.SPARSE_INT4: Scheme.SPARSE_INT4_CONTEXT,
    Scheme.SPARSE_SIGN: Scheme.SPARSE_SIGN_CONTEXT,
    Scheme.SPARSE_FLOAT32: Scheme.SPARSE_FLOAT32_CONTEXT,
}


@dataclass(frozen=True, slots=True)
class CodedTopK:
    """TopK, by the Rice coder or the context coder, whichever takes fewer bytes, and relaxed.

    The context coder learns how gaps cluster and signs repeat. It is about fifteen times slower
    than the Rice coder; which is shorter depends on the delta, so both are tried.

    Relaxed, it sends more than it takes: see `Relaxation`. With the default it is TopK to the bit.
    """

    spec: str
    fraction: Fraction  # 0 < fraction <= 1
    scheme: Scheme  # with the Rice coder
    is_stochastic: bool = False  # int8 and int4 only
    relaxation: Relaxation = PLAIN
    tries_context: bool = True  # otherwise the Rice coder alone
    uses_residual: ClassVar[bool] = True

    def n_kept(self, n_params: int) -> int:
        """As TopK: ceil(fraction * n_params)."""
        return n_kept(self.fraction, n_params)

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        residual, k = carried(delta, residual), n_kept(self.fraction, delta.size)
        seed = int(rng.integers(2**32)) if self.is_stochastic else None
        self.relaxation.forget(residual)
        try:
            indices = _select(delta, residual, k)
        except ValueError:
            self.relaxation.remember(residual)
            raise
        gain = np.float32(self.relaxation.gain)
        kept = _take(residual, indices, self.scheme.bits, seed, gain)
        scheme, body = self.scheme, _rice(kept)
        if self.tries_context:
            contextual = CONTEXTUAL[scheme]
            shorter = _context(kept, delta.size, len(body) - 1)
            if shorter is not None and len(shorter) >= least_sparse_size(contextual, kept.size):
                scheme, body = contextual, shorter
        return seal(scheme, stamp, n_params=delta.size, n_kept=kept.size, body=body)

    def decode(self, payload: bytes) -> Sparse | Dense:
        schemes = (self.scheme, CONTEXTUAL[self.scheme]) if self.tries_context else (self.scheme,)
        return decode_one_of(schemes, payload)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is sent, before it is coded."""

    indices: npt.NDArray[np.uint32]
    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint16]
    bits: int

    @property
    def size(self) -> int:
        return self.indices.size


def _select(delta: Vector, residual: Vector, k: int) -> npt.NDArray[np.uint32]:
    """Adds delta into residual and returns the indices to send."""
    indices = np.empty(k, np.uint32)
    work = np.empty(6 * (k + 2048), np.uint32)
    n_found = _kernels.accumulate_topk(residual, delta, k, work, indices)
    if n_found < 0:
        raise ValueError(NOT_FINITE)
    return indices[:n_found]


def _take(
    residual: Vector,
    indices: npt.NDArray[np.uint32],
    bits: int,
    seed: int | None,
    gain: np.float32,
) -> _Kept:
    """Takes gain times the values at indices out of residual, as far as they can be sent."""
    values = residual[indices]
    if bits == 32:
        sent = scaled(values, gain)
        residual[indices] = values - sent
        return _Kept(indices, sent.view(np.uint8), np.empty(0, np.uint16), bits)
    scales = np.empty(-(-indices.size // BLOCK), np.uint16)
    levels = np.empty(indices.size, np.int8)
    _kernels.quantise_kept(residual, indices, bits, seed, levels, scales)
    if gain != 1:
        scales = scaled_bf16(scales, gain)
        steps = np.repeat(as_float32(scales), BLOCK)[: indices.size]
        residual[indices] = values - levels * steps
    return _Kept(indices, levels.view(np.uint8), scales, bits)


def _rice(kept: _Kept) -> memoryview:
    body = np.empty(most_sparse_size(kept.size), np.uint8)
    length = _kernels.pack(kept.indices, kept.codes, kept.scales, kept.bits, body)
    return body.data[:length]


def _context(kept: _Kept, n_params: int, most: int) -> memoryview | None:
    """None if it takes more bytes than most."""
    body = np.empty(max(most, 0), np.uint8)
    length = _kernels.pack_context(kept.indices, kept.codes, kept.scales, kept.bits, n_params, body)
    return body.data[:length] if length > 0 else None
