"""What every update codec promises."""

from fractions import Fraction
from typing import ClassVar, Protocol

import numpy as np

from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.payload import MAX_PARAMS, Stamp
from fedge.types import Vector

NOT_FINITE = "delta has NaN or infinity: clip or drop it before encoding"
_FLOAT32 = np.dtype(np.float32)


class Codec(Protocol):
    """Turns a delta into a payload and back.

    Laws, checked for every spec by tests/unit/codecs/test_laws.py: the same arguments and rng
    give the same bytes on every machine; what decode gives is within the codec's stated bound of
    the delta; with error feedback, what is not sent is in the residual; a payload that was damaged
    is refused with PayloadError.
    """

    @property
    def spec(self) -> str:
        """The text that `get` makes this codec of."""
        ...

    uses_residual: ClassVar[bool]  # whether it has error feedback

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        """Adds delta into residual in place, sends part of the sum, leaves the rest there.

        Args:
            delta: float32, shape (n_params,), contiguous, finite; not changed.
            residual: float32, shape (n_params,), what earlier payloads did not send. None with a
                codec without error feedback; with the others it means that nothing is carried.
            rng: for codecs that draw; the others leave it alone.
            stamp: what else the payload says.

        Raises:
            ValueError: delta or residual has the wrong dtype or shape, or their sum is not
                finite. The residual is then as it was, up to rounding.
        """

    def decode(self, payload: bytes) -> Sparse | Dense:
        """Raises PayloadError if this codec's scheme did not make these bytes."""


def check_vector(name: str, vector: Vector, n_params: int) -> None:
    """Raises ValueError unless vector is contiguous float32 of shape (n_params,)."""
    if vector.dtype != _FLOAT32 or vector.shape != (n_params,) or not vector.flags.c_contiguous:
        raise ValueError(
            f"{name} must be contiguous float32 of shape ({n_params},), "
            f"not {vector.dtype} of shape {vector.shape}"
        )
    if n_params > MAX_PARAMS:
        raise ValueError(f"{name} has {n_params} parameters; a payload holds at most {MAX_PARAMS}")


def carried(delta: Vector, residual: Vector | None) -> Vector:
    """The residual, or zeros where there is none; raises ValueError if they do not fit."""
    check_vector("delta", delta, delta.size)
    if residual is None:
        return np.zeros_like(delta)
    check_vector("residual", residual, delta.size)
    return residual


def n_kept(fraction: Fraction, n_params: int) -> int:
    """ceil(fraction * n_params): at least 1, unless there are no parameters."""
    return -(-fraction.numerator * n_params // fraction.denominator)
