"""As much of a delta as a number of bytes holds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from fedge.codecs.codec import check_vector
from fedge.codecs.coded import CodedTopK
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import decode_one_of, restore
from fedge.codecs.payload import Stamp
from fedge.codecs.relaxation import PLAIN, Relaxation
from fedge.codecs.scheme import BLOCK, Scheme
from fedge.codecs.sparse import TopK
from fedge.types import Vector

LEAST_BUDGET = 64  # bytes: any header, and one kept value of 2**29
_HEADER = 31  # version, scheme, schema, five varints of at most 5, 5, 5, 5 and 1 bytes, checksum


@dataclass(frozen=True, slots=True)
class _Mode:
    """A value mode and what a kept value takes beside its gap, in bits."""

    name: str
    scheme: Scheme
    most_bits: int  # never more: sign and level
    usual_bits: float  # for values with a Laplace distribution


# The largest precision first. A level less the smallest takes at most 8 bits of 127, 4 of 7: Rice
# parameters 6 and 2 see to that.
_FLOAT32 = _Mode("float32", Scheme.SPARSE_FLOAT32, 32, 32.0)
_INT8 = _Mode("int8", Scheme.SPARSE_INT8, 9, 7.2)
_INT4 = _Mode("int4", Scheme.SPARSE_INT4, 5, 3.4)
_SIGN = _Mode("sign", Scheme.SPARSE_SIGN, 1, 1.0)
_MODES = (_FLOAT32, _INT8, _INT4, _SIGN)


def fit_budget(n_params: int, budget_bytes: int) -> str:
    """The spec of a top-k codec whose payload never exceeds the budget, whatever the delta.

    Positions first: sign until another mode can keep a tenth of all values, then int4, then int8;
    float32 only where it can keep all of them. The fraction is the largest that is safe.

    Args:
        n_params: values of a delta, at most 2**29.
        budget_bytes: of one payload, header and checksum included; at least 64.

    Raises:
        ValueError: if the budget is below 64 bytes.
    """
    if budget_bytes < LEAST_BUDGET:
        raise ValueError(f"a budget must be at least {LEAST_BUDGET} bytes, not {budget_bytes}")
    mode = _mode(n_params, budget_bytes)
    return f"topk:{_decimal(_n_safe(n_params, budget_bytes, mode), n_params)}/{mode.name}"


@dataclass(frozen=True, slots=True)
class Budget:
    """Top-k with error feedback in at most budget_bytes, by the value mode of fit_budget.

    First with as many values as usually fit; if they took more bytes, again with fewer. So what a
    device sends depends on its own budget and delta alone; payloads say what they hold, so a
    fleet may mix budgets and codecs.
    """

    spec: str
    budget_bytes: int  # header and checksum included; at least 64
    relaxation: Relaxation = PLAIN
    uses_residual: ClassVar[bool] = True

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: Stamp = Stamp(),  # noqa: B008 - frozen
    ) -> bytes:
        check_vector("delta", delta, delta.size)
        if residual is None:
            residual = np.zeros_like(delta)
        budget, mode = self.budget_bytes, _mode(delta.size, self.budget_bytes)
        n_kept = _n_usual(delta.size, budget, mode)
        first, again = self.relaxation, replace(self.relaxation, decay=1.0)
        top = _top(n_kept, delta.size, mode, first)
        payload = top.encode(delta, residual, rng, stamp=stamp)
        while len(payload) > budget:  # ends, as each try keeps fewer, and so many always fit
            restore(payload, residual)
            fewer = n_kept * budget * 49 // (len(payload) * 50)
            n_kept = max(fewer, _n_safe(delta.size, budget, mode))
            nothing = np.zeros_like(delta)
            top = _top(n_kept, delta.size, mode, again)
            payload = top.encode(nothing, residual, rng, stamp=stamp)
        return payload

    def decode(self, payload: bytes) -> Sparse | Dense:
        return decode_one_of([mode.scheme for mode in _MODES], payload)


def _top(n_kept: int, n_params: int, mode: _Mode, relaxed: Relaxation) -> TopK | CodedTopK:
    fraction, spec = Fraction(n_kept, n_params) if n_params else Fraction(1), f"topk/{mode.name}"
    if relaxed == PLAIN or mode == _FLOAT32:  # which keeps everything as it is
        return TopK(spec, fraction, mode.scheme)
    return CodedTopK(spec, fraction, mode.scheme, relaxation=relaxed, tries_context=False)


def _mode(n_params: int, budget_bytes: int) -> _Mode:
    if _most_bytes(n_params, n_params, _FLOAT32) <= budget_bytes:
        return _FLOAT32
    tenth = -(-n_params // 10)
    for mode in (_INT8, _INT4):
        if _most_bytes(n_params, tenth, mode) <= budget_bytes:
            return mode
    return _SIGN


def _n_safe(n_params: int, budget_bytes: int, mode: _Mode) -> int:
    return _largest(n_params, lambda k: _most_bytes(n_params, k, mode) <= budget_bytes)


def _n_usual(n_params: int, budget_bytes: int, mode: _Mode) -> int:
    return _largest(n_params, lambda k: _usual_bytes(n_params, k, mode) <= budget_bytes)


def _largest(n_params: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to n_params that fits; if one does, all below do."""
    low, high = 0, n_params
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _most_bytes(n_params: int, n_kept: int, mode: _Mode) -> int:
    """Bytes that no payload exceeds.

    The encoder takes the best Rice parameter for each block, so one parameter for all bounds it: r
    low bits and one that ends the rest for each gap, and gaps >> r bits for the rests of all.
    """
    gaps = n_params - n_kept
    gap_bits = min(n_kept * (r + 1) + (gaps >> r) for r in range(29))
    # A block has a head of at most 4 bytes and 5 streams that end on a whole byte.
    return _HEADER + -(-(gap_bits + n_kept * mode.most_bits) // 8) + 9 * -(-n_kept // BLOCK)


def _usual_bytes(n_params: int, n_kept: int, mode: _Mode) -> float:
    """Bytes of random places and Laplace values, and 1 % more.

    Sums, products and quotients alone: they have the same bits everywhere, so k has too.
    """
    if n_kept == 0:
        return _HEADER
    shares, dropped = [], 1 - n_kept / n_params
    for r in range(29):  # a rest has a mean of q / (1 - q), q the chance to skip 2**r places
        shares.append(r + 1 + dropped / (1 - dropped))
        dropped *= dropped
    bits = n_kept * (min(shares) + mode.usual_bits) * 1.01
    return _HEADER + bits / 8 + 7 * -(-n_kept // BLOCK)


def _decimal(n_kept: int, n_params: int) -> str:
    """The shortest decimal fraction whose product with n_params rounds up to n_kept."""
    if n_kept == n_params:
        return "1"
    for n_digits in range(1, 13):  # 12 are enough for 2**29
        digits = n_kept * 10**n_digits // n_params
        if -(-digits * n_params // 10**n_digits) == n_kept:
            break
    return f"0.{digits:0{n_digits}d}"
