"""Payloads back to values. Nothing is applied before the whole payload was checked."""

import math

import numpy as np

from fedge import _kernels
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.payload import PayloadHeader, Scheme, read_header
from fedge.errors import PayloadError
from fedge.types import Vector


def decode(payload: bytes) -> Sparse | Dense:
    """The values of a payload of any scheme.

    Memory is at most 32 times the payload.

    Raises:
        PayloadError: if the payload was damaged or does not hold what its header says.
    """
    return _decode_body(read_header(payload), payload)


def decode_as(scheme: Scheme, payload: bytes) -> Sparse | Dense:
    """As decode, but refuses other schemes."""
    header = read_header(payload)
    if header.scheme is not scheme:
        raise PayloadError("payload scheme", expected=scheme.name, found=header.scheme.name)
    return _decode_body(header, payload)


def _decode_body(header: PayloadHeader, payload: bytes) -> Sparse | Dense:
    body = memoryview(payload)[header.body]
    if header.scheme.is_sparse:
        indices = np.empty(header.n_kept, np.uint32)
        values = np.empty(header.n_kept, np.float32)
        is_valid = _kernels.unpack(body, header.scheme.bits, header.n_params, indices, values)
        _check_body(header, is_valid=is_valid)
        return Sparse(indices, values, header.n_params)
    dense = np.zeros(header.n_params, np.float32)
    is_valid = _kernels.accumulate_dense(body, header.scheme.bits, 1.0, dense)
    _check_body(header, is_valid=is_valid)
    return Dense(dense)


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
    if header.scheme.is_sparse:
        is_valid = _kernels.scatter_add_stream(body, bits, header.n_kept, weight, out)
    else:
        is_valid = _kernels.accumulate_dense(body, bits, weight, out)
    _check_body(header, is_valid=is_valid)


def restore(payload: bytes, residual: Vector) -> None:
    """Takes an update back that was not accepted: the residual is as if it had not been sent.

    Exact where the encoder's subtraction was: always for int8 and float32, for sign where no kept
    magnitude is below half its block's mean or above 2**16 times it; else to a rounding error.
    """
    accumulate(payload, 1.0, residual)


def _check_body(header: PayloadHeader, *, is_valid: bool) -> None:
    if not is_valid:
        raise PayloadError(
            "payload body",
            expected=f"{header.n_kept} values of {header.n_params} parameters",
            found="bytes that no encoder writes",
        )
