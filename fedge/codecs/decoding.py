"""Payloads back to values. Nothing is applied before the whole payload has been checked."""

import math
from collections.abc import Sequence

import numpy as np

from fedge import _kernels
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.payload import PayloadHeader, read_header
from fedge.codecs.scheme import Scheme
from fedge.errors import PayloadError
from fedge.types import Vector


def decode(payload: bytes) -> Sparse | Dense:
    """The values of a payload of any scheme.

    Memory is at most 64 times the payload: a value of one bit may have an index too.

    Raises:
        PayloadError: if the payload was damaged or does not hold what its header says.
    """
    return decode_body(read_header(payload), payload)


def decode_as(scheme: Scheme, payload: bytes) -> Sparse | Dense:
    """As decode, but refuses other schemes."""
    return decode_one_of((scheme,), payload)


def decode_one_of(schemes: Sequence[Scheme], payload: bytes) -> Sparse | Dense:
    """As decode, but refuses other schemes."""
    header = read_header(payload)
    if header.scheme not in schemes:
        names = " or ".join(scheme.name for scheme in schemes)
        raise PayloadError("payload scheme", expected=names, found=header.scheme.name)
    return decode_body(header, payload)


def decode_body(header: PayloadHeader, payload: bytes) -> Sparse | Dense:
    """As decode, for a caller that has read the payload's header already."""
    body = memoryview(payload)[header.body]
    if header.scheme.is_rotated:
        return _decode_rotated(header, body)
    if header.scheme.is_sparse:
        unpack = _kernels.unpack_context if header.scheme.is_contextual else _kernels.unpack
        indices = np.empty(header.n_kept, np.uint32)
        values = np.empty(header.n_kept, np.float32)
        is_valid = unpack(body, header.scheme.bits, header.n_params, indices, values)
        check_body(header, is_valid=is_valid)
        return Sparse(indices, values, header.n_params)
    dense = np.zeros(header.n_params, np.float32)
    is_valid = _kernels.accumulate_dense(body, header.scheme.bits, 1.0, dense)
    check_body(header, is_valid=is_valid)
    return Dense(dense)


def _decode_rotated(header: PayloadHeader, body: memoryview) -> Sparse | Dense:
    values = np.zeros(header.n_kept, np.float32)
    is_valid = _kernels.accumulate_rotated(body, header.seed, header.scheme.bits, 1.0, values)
    check_body(header, is_valid=is_valid)
    if not header.scheme.is_sparse:
        return Dense(values)
    indices = np.empty(header.n_kept, np.uint32)
    _kernels.draw_mask(header.n_params, header.seed, indices, values)
    return Sparse(indices, values, header.n_params)


def accumulate(payload: bytes, weight: float, out: Vector) -> None:
    """out += weight * decoded, without a dense intermediate; the same bits on every machine.

    Args:
        payload: of any scheme.
        weight: a finite factor, rounded to float32.
        out: float32, shape (n_params,), contiguous, writable.

    Raises:
        PayloadError: if the payload was damaged, does not hold what its header says, or is for
            another number of parameters than out has. out is then untouched.
    """
    if not math.isfinite(weight):
        raise ValueError(f"weight must be finite, not {weight}")
    header = read_header(payload)
    if header.n_params != out.size:
        raise PayloadError("payload parameters", expected=out.size, found=header.n_params)
    body, bits = memoryview(payload)[header.body], header.scheme.bits
    if header.scheme.is_sparse and header.scheme.is_rotated:
        _add_masked(_decode_rotated(header, body), weight, out)
        return
    if header.scheme.is_rotated:
        is_valid = _kernels.accumulate_rotated(body, header.seed, bits, weight, out)
    elif header.scheme.is_sparse:
        is_contextual = header.scheme.is_contextual
        add = _kernels.scatter_add_context if is_contextual else _kernels.scatter_add_stream
        is_valid = add(body, bits, header.n_kept, weight, out)
    else:
        is_valid = _kernels.accumulate_dense(body, bits, weight, out)
    check_body(header, is_valid=is_valid)


@np.errstate(over="ignore")
def _add_masked(kept: Sparse | Dense, weight: float, out: Vector) -> None:
    """A mask is drawn as a whole, so its values are decoded first; the others never are."""
    assert isinstance(kept, Sparse)  # noqa: S101 - only sparse schemes have a mask
    out[kept.indices] += np.float32(weight) * kept.values


def restore(payload: bytes, residual: Vector) -> None:
    """Takes back an update that was not accepted: the residual is as if it had never been sent.

    Exact where the encoder's subtraction was: always for int8 and float32, for sign where no kept
    magnitude is below half its block's mean or above 2**16 times it; else to a rounding error.
    """
    accumulate(payload, 1.0, residual)


def check_body(header: PayloadHeader, *, is_valid: bool) -> None:
    """Raises PayloadError unless a kernel found the body valid."""
    if not is_valid:
        raise PayloadError(
            "payload body",
            expected=f"{header.n_kept} values of {header.n_params} parameters",
            found="bytes that no encoder writes",
        )
