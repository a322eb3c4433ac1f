"""Every value of a delta, without error feedback."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge import _kernels
from fedge.codecs.codec import NOT_FINITE, check_vector
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_as
from fedge.codecs.payload import Stamp, seal
from fedge.codecs.scheme import BLOCK, Scheme
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class DenseInt8:
    """Stochastic rounding to 255 evenly spaced levels, with a scale for each 256 values.

    The mean over all seeds is the value, to 2**-16 of a step, and the error is below one step. A
    step is the block's max|delta| / 127 rounded up to bf16, at least 2**-126.

    Source: Reisizadeh et al., 2020, arXiv:1909.13014 (FedPAQ).
    """

    spec: str = "int8"
    uses_residual: ClassVar[bool] = False

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        _check_arguments(delta, residual)
        body = np.empty(delta.size + 2 * -(-delta.size // BLOCK), np.uint8)
        if not _kernels.quantise_dense(delta, int(rng.integers(2**32)), body):
            raise ValueError(NOT_FINITE)
        return _seal(Scheme.DENSE_INT8, stamp, delta.size, body.data)

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_as(Scheme.DENSE_INT8, payload)


@dataclass(frozen=True, slots=True)
class DenseFloat32:
    """The values themselves."""

    spec: str = "none"
    uses_residual: ClassVar[bool] = False

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is random here
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        _check_arguments(delta, residual)
        if not np.isfinite(delta).all():
            raise ValueError(NOT_FINITE)
        return _seal(Scheme.DENSE_FLOAT32, stamp, delta.size, delta.data.cast("B"))

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_as(Scheme.DENSE_FLOAT32, payload)


def _check_arguments(delta: Vector, residual: Vector | None) -> None:
    check_vector("delta", delta, delta.size)
    if residual is not None:
        raise ValueError("this codec has no error feedback: residual must be None")


def _seal(scheme: Scheme, stamp: Stamp, n_params: int, body: memoryview) -> bytes:
    return seal(scheme, stamp, n_params=n_params, n_kept=n_params, body=body)
