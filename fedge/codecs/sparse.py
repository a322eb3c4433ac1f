"""The largest values of a delta, the rest kept for later."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from fedge import _kernels
from fedge.codecs.codec import NOT_FINITE, carried, n_kept
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_as
from fedge.codecs.payload import Stamp, seal
from fedge.codecs.scheme import Scheme, most_sparse_size
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class TopK:
    """Exactly the k largest magnitudes of residual + delta; ties go to the lowest index.

    Zeros are not sent, so there may be fewer than k. The value of a kept one is by scheme:
    float32, itself; int8 and int4, the nearest of 255 or 15 levels of its block's largest
    magnitude, off by at most half a step of max / 127 or max / 7 rounded up to bf16; sign, its sign
    times its block's mean magnitude rounded up to bf16. A block is 256 kept values in index order.

    With stochastic rounding the level is one of the two around the value, off by less than a step,
    and the mean over all seeds is the value, to 2**-16 of a step. The residual carries the error of
    either rounding into the next round.

    Source: Basu et al., 2019, arXiv:1906.02367 (Qsparse-local-SGD); Sattler et al., 2019,
    arXiv:1903.02891 (STC: sign and mean, Golomb-coded positions).
    """

    spec: str
    fraction: Fraction  # 0 < fraction <= 1, exact, so that k does not depend on float rounding
    scheme: Scheme  # with the Rice coder
    is_stochastic: bool = False  # int8 and int4 only
    uses_residual: ClassVar[bool] = True

    def n_kept(self, n_params: int) -> int:
        """k = ceil(fraction * n_params): at least 1, unless there are no parameters."""
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
        body = np.empty(most_sparse_size(k), np.uint8)
        n_sent, length = _kernels.encode_topk(residual, delta, k, self.scheme.bits, seed, body)
        if n_sent < 0:
            raise ValueError(NOT_FINITE)
        return seal(self.scheme, stamp, n_params=delta.size, n_kept=n_sent, body=body.data[:length])

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_as(self.scheme, payload)
