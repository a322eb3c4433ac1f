"""Every value, or those of a random mask, in one to four bits and without bias."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from fedge import _kernels
from fedge.codecs.codec import check_vector, n_kept
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_as
from fedge.codecs.payload import Stamp, seal
from fedge.codecs.scheme import Scheme, rotated_size
from fedge.types import Vector

# Seeds take three bytes. Of a thousand devices, two share a seed in about every fourth round:
# their errors then do not cancel, which makes no difference to a mean of a thousand.
_SEEDS = 2**21

_ROTATED = {1: Scheme.ROTATED_1, 2: Scheme.ROTATED_2, 3: Scheme.ROTATED_3, 4: Scheme.ROTATED_4}
_MASKED = {1: Scheme.MASKED_1, 2: Scheme.MASKED_2, 3: Scheme.MASKED_3, 4: Scheme.MASKED_4}


@dataclass(frozen=True, slots=True)
class Eden:
    """Blocks of 4096 values rotated at random, then the nearest of 2**bits centroids.

    The mean over all seeds is the value, and the mean squared error of a block is v times its
    squared length, with v = 0.571, 0.133, 0.036, 0.0096 for 1 to 4 bits. Both hold as the block
    grows: below some hundred values a rotated one is no longer nearly normal.

    With a mask, only a fraction of the values is sent, each standing for the 1 / fraction values
    it was drawn from: still without bias, with v' = (1 + v) / fraction - 1. The mean of m devices
    has an m-th of that error, so keep fraction * m above 1 / 2.

    Source: Vargaftik et al., 2022, arXiv:2108.08842 (EDEN; sub-bit by a random mask).
    """

    spec: str
    bits: int  # 1 to 4
    fraction: Fraction | None = None  # of the mask, 0 < fraction <= 1; None sends all
    uses_residual: ClassVar[bool] = False

    @property
    def scheme(self) -> Scheme:
        return _ROTATED[self.bits] if self.fraction is None else _MASKED[self.bits]

    def n_kept(self, n_params: int) -> int:
        """All, or ceil(fraction * n_params)."""
        return n_params if self.fraction is None else n_kept(self.fraction, n_params)

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        """As Codec.encode; also refuses values beyond 2**90, whose decoded value could overflow."""
        check_vector("delta", delta, delta.size)
        if residual is not None:
            raise ValueError("this codec has no error feedback: residual must be None")
        seed, n_sent = int(rng.integers(_SEEDS)), self.n_kept(delta.size)
        kept = delta if self.fraction is None else _masked(delta, n_sent, seed)
        body = np.empty(rotated_size(n_sent, self.bits), np.uint8)
        # The kernel looks at what is kept; a mask must not hide the rest.
        is_finite = kept is delta or bool(np.isfinite(delta).all())
        if not _kernels.quantise_rotated(kept, seed, self.bits, body) or not is_finite:
            raise ValueError(
                "delta has NaN or infinity, or values beyond 2**90: clip or drop it before encoding"
            )
        return seal(
            self.scheme, stamp, n_params=delta.size, n_kept=n_sent, body=body.data, seed=seed
        )

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_as(self.scheme, payload)


def _masked(delta: Vector, n_kept: int, seed: int) -> Vector:
    indices = np.empty(n_kept, np.uint32)
    _kernels.draw_mask(delta.size, seed, indices, np.zeros(n_kept, np.float32))
    return delta[indices]
