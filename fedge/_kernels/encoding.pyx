# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The encoder of sparse payloads in one call: accumulate, select, quantise, pack."""

from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fedge._kernels.bits cimport BLOCK, MAX_PARAMS
from fedge._kernels.packing cimport write_block
from fedge._kernels.quantising cimport Rounding, quantise_block
from fedge._kernels.topk cimport CHUNK, accumulate_largest


def encode_topk(
    float[::1] residual,
    const float[::1] delta,
    Py_ssize_t k,
    int bits,
    seed,
    uint8_t[::1] out,
):
    """residual += delta; its k largest magnitudes go to out, what is not sent stays.

    The result of accumulate_topk, quantise_kept and pack one after the other, without storing what
    lies between them.

    Args:
        residual: changed in place.
        delta: as long as residual.
        k: how many at most.
        bits: as in quantise_kept, or 32 for the values themselves.
        seed: as in quantise_kept.
        out: overwritten; at least 8 bytes for each of k and 16 for each 256 begun.

    Returns:
        How many values were kept, k or fewer, and the length of the body at the start of out.
        (-1, 0), with residual as it was up to rounding, if a sum is not finite.
    """
    cdef Py_ssize_t n = residual.shape[0], n_found = 0, length = 0
    if delta.shape[0] != n or n > MAX_PARAMS:
        raise ValueError("delta must have the length of residual, at most 2**29")
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if not 0 <= k <= n:
        raise ValueError("k must be 0 to the length of residual")
    if (out.shape[0] - 16 * ((k + BLOCK - 1) // BLOCK)) // 8 < k:  # a product could overflow
        raise ValueError("out must have 8 bytes for each of k values and 16 for each 256")
    if n == 0:
        return 0, 0
    cdef Rounding rounding = Rounding(bits, seed is not None, 0 if seed is None else seed)
    cdef Py_ssize_t room = min(2 * (k + CHUNK), n + CHUNK)
    cdef uint32_t* work = <uint32_t*>malloc(3 * room * sizeof(uint32_t))
    if work == NULL:
        raise MemoryError
    with nogil:
        n_found = accumulate_largest(&residual[0], &delta[0], n, k, work, room)
        length = _write(&rounding, &residual[0], work, n_found, &out[0])
        free(work)
    return n_found, length


cdef Py_ssize_t _write(
    const Rounding* rounding, float* residual, const uint32_t* indices, Py_ssize_t k, uint8_t* out
) noexcept nogil:
    """Returns the length of the body."""
    cdef uint8_t[4 * BLOCK] codes  # levels are a byte, floats are four
    cdef uint32_t previous = 0xFFFFFFFF  # so that the first gap is the first index
    cdef uint16_t scale = 0
    cdef uint8_t* end = out
    cdef Py_ssize_t b, start, m
    for b in range((k + BLOCK - 1) // BLOCK):
        start = b * BLOCK
        m = min(k - start, BLOCK)
        if rounding.bits == 32:
            _take_floats(residual, indices + start, m, codes)
        else:
            scale = quantise_block(
                rounding, residual, indices + start, m, <uint32_t>(start // 2), <int8_t*>codes
            )
        end = write_block(indices + start, previous, codes, scale, rounding.bits, m, end)
        previous = indices[start + m - 1]
    return end - out


cdef void _take_floats(
    float* residual, const uint32_t* indices, Py_ssize_t m, uint8_t* codes
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m):
        memcpy(codes + 4 * i, residual + indices[i], 4)
        residual[indices[i]] = 0
