"""Some of a payload's parameters, without the others."""

import numpy as np

from fedge import _kernels
from fedge.codecs.codec import check_vector
from fedge.codecs.decoding import check_body
from fedge.codecs.payload import PayloadHeader, read_header
from fedge.errors import PayloadError
from fedge.types import Vector


def decode_range(
    payload: bytes,
    start: int,
    out: Vector,
    *,
    absent: float = 0.0,
    n_params: int | None = None,
) -> None:
    """Parameters start to start + len(out) of a payload of any scheme, into out.

    The same bits as that slice of what `decode` gives, in memory that depends on the range alone,
    but for a rotated payload's block of at most 6143 values. A sparse payload is read from its
    front to the end of the range, of the others only the range is read.

    The checksum is that of all bytes. Beyond it only what is read is checked, so a single range
    may pass where `decode` would refuse; ranges that cover all parameters refuse exactly what
    `decode` refuses.

    Args:
        payload: of any scheme.
        start: the parameter that belongs into out[0].
        out: float32, contiguous, writable; overwritten.
        absent: what a parameter is that a sparse payload does not send: 0, or NaN to tell it
            from a zero that was sent.
        n_params: how many parameters the payload must have; None if any number will do.

    Raises:
        PayloadError: if the payload was damaged, does not hold what its header says, or has
            another number of parameters. out is then unfinished.
        ValueError: if out has the wrong dtype or shape, or the range is not within the parameters.
    """
    check_vector("out", out, out.size)
    header = read_header(payload)
    if n_params is not None and header.n_params != n_params:
        raise PayloadError("payload parameters", expected=n_params, found=header.n_params)
    if not 0 <= start <= header.n_params - out.size:
        raise ValueError(
            f"parameters {start} to {start + out.size} are not within {header.n_params} parameters"
        )
    check_body(header, is_valid=_fill(header, memoryview(payload)[header.body], start, out, absent))


def _fill(header: PayloadHeader, body: memoryview, start: int, out: Vector, absent: float) -> bool:
    """False if the body is not valid."""
    bits, n_params, n_kept = header.scheme.bits, header.n_params, header.n_kept
    if not header.scheme.is_sparse:
        if header.scheme.is_rotated:
            return _kernels.fill_range_rotated(body, header.seed, bits, n_params, start, out)
        return _kernels.fill_range_dense(body, bits, n_params, start, out)
    out.fill(absent)
    if header.scheme.is_rotated:
        return _fill_masked(header, body, start, out)
    if header.scheme.is_contextual:
        return _kernels.fill_range_context(body, bits, n_kept, n_params, start, out)
    return _kernels.fill_range_stream(body, bits, n_kept, n_params, start, out)


def _fill_masked(header: PayloadHeader, body: memoryview, start: int, out: Vector) -> bool:
    """Each run of the mask has one place; only those runs are drawn that reach into the range."""
    n_params, n_kept, stop = header.n_params, header.n_kept, start + out.size
    if not n_kept or not out.size:
        return True
    first, last = _run_of(start, n_kept, n_params), _run_of(stop - 1, n_kept, n_params)
    indices, values = np.empty(last + 1 - first, np.uint32), np.empty(last + 1 - first, np.float32)
    bits, seed = header.scheme.bits, header.seed
    if not _kernels.fill_range_rotated(body, seed, bits, n_kept, first, values):
        return False
    _kernels.draw_mask_range(n_params, seed, n_kept, first, indices, values)
    low, high = np.searchsorted(indices, [start, stop])
    out[indices[low:high] - np.uint32(start)] = values[low:high]
    return True


def _run_of(parameter: int, n_runs: int, n_params: int) -> int:
    """The run that a parameter is in: j has those from j * n_params // n_runs."""
    return ((parameter + 1) * n_runs - 1) // n_params
