"""The largest values of a delta, the rest kept for later."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedge import _kernels
from fedge.codecs.codec import check_vector
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_as
from fedge.codecs.payload import BLOCK, Scheme, Stamp, seal
from fedge.types import Vector

Indices = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class TopK:
    """Exactly the k largest magnitudes of residual + delta; ties go to the lowest index.

    Zeros are not sent, so there may be fewer than k. The value of a kept one is by scheme:
    float32, itself; int8, the nearest of 255 levels of its block's largest magnitude, off by at
    most half a step of max / 127 rounded up to bf16; sign, its sign times its block's mean
    magnitude rounded up to bf16. A block is 256 kept values in index order.

    Source: Basu et al., 2019, arXiv:1906.02367 (Qsparse-local-SGD); Sattler et al., 2019,
    arXiv:1903.02891 (STC: sign and mean, Golomb-coded positions).
    """

    spec: str
    fraction: Fraction  # 0 < fraction <= 1, exact, so that k does not hang on float rounding
    scheme: Scheme
    uses_residual: ClassVar[bool] = True

    def n_kept(self, n_params: int) -> int:
        """k = ceil(fraction * n_params): at least 1, unless there are no parameters."""
        return -(-self.fraction.numerator * n_params // self.fraction.denominator)

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
        indices = _select(delta, residual, self.n_kept(delta.size))
        body = _body(residual, indices, self.scheme.bits)
        return seal(self.scheme, stamp, n_params=delta.size, n_kept=indices.size, body=body)

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_as(self.scheme, payload)


def _select(delta: Vector, residual: Vector, k: int) -> Indices:
    """Adds delta into residual; gives the indices to send."""
    indices = np.empty(k, np.uint32)
    work = np.empty(6 * (k + 2048), np.uint32)
    n_kept = _kernels.accumulate_topk(residual, delta, k, work, indices)
    if n_kept < 0:
        raise ValueError("delta or residual has NaN or infinity: clip or drop it before encoding")
    return indices[:n_kept]


def _body(residual: Vector, indices: Indices, bits: int) -> memoryview:
    """Takes the values at indices out of residual, as far as they can be sent."""
    n_blocks = -(-indices.size // BLOCK)
    scales = np.empty(n_blocks, np.uint16)
    if bits == 32:
        codes = residual[indices].view(np.uint8)
        residual[indices] = 0
    else:
        levels = np.empty(indices.size, np.int8)
        _kernels.quantise_kept(residual, indices, bits, levels, scales)
        codes = levels.view(np.uint8)
    body = np.empty(8 * indices.size + 16 * n_blocks, np.uint8)
    return body.data[: _kernels.pack(indices, codes, scales, bits, body)]
