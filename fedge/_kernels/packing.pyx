# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Kept values to the body of a sparse payload."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from fedge._kernels.bits cimport BLOCK, MAX_PARAMS
from fedge._kernels.packing cimport write_block


def pack(
    const uint32_t[::1] indices,
    const uint8_t[::1] codes,
    const uint16_t[::1] scales,
    int bits,
    uint8_t[::1] out,
):
    """Kept values to the body of a sparse payload.

    Args:
        indices: strictly increasing, below 2**29.
        codes: the values. Up to 8 bits the levels of quantise_kept, a signed byte each; for 32
            bits little-endian float32.
        scales: bf16 bits, one for each 256 indices; ignored for 32 bits.
        bits: 1, 4, 8 or 32.
        out: overwritten; at least 8 bytes for each index and 16 for each 256 begun.

    Returns:
        The length of the body at the start of out.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if codes.shape[0] != (4 * k if bits == 32 else k):
        raise ValueError("codes must have one value for each index")
    if bits != 32 and scales.shape[0] != n_blocks:
        raise ValueError("scales must have one entry for each 256 indices")
    if out.shape[0] < 8 * k + 16 * n_blocks:
        raise ValueError("out must have 8 bytes for each index and 16 for each 256")
    if not _are_increasing(indices):
        raise ValueError("indices must increase strictly and be below 2**29")
    if k == 0:
        return 0
    cdef Py_ssize_t b, m
    cdef uint32_t previous = 0xFFFFFFFF  # so that the first gap is the first index
    cdef const uint8_t* source = &codes[0]
    cdef uint8_t* start = &out[0]
    cdef uint8_t* end = start
    cdef uint8_t[BLOCK] levels  # whole words are read
    with nogil:
        for b in range(n_blocks):
            m = min(k - b * BLOCK, BLOCK)
            if bits == 32:
                end = write_block(&indices[b * BLOCK], previous, source, 0, bits, m, end)
                source += 4 * m
            else:
                memcpy(levels, source, m)
                end = write_block(&indices[b * BLOCK], previous, levels, scales[b], bits, m, end)
                source += m
            previous = indices[b * BLOCK + m - 1]
    return end - start


cdef bint _are_increasing(const uint32_t[::1] indices) noexcept nogil:
    """With no early exit, the loop takes four at a time."""
    cdef Py_ssize_t i, n = indices.shape[0]
    cdef uint32_t wrong = 0
    for i in range(1, n):
        wrong |= indices[i] <= indices[i - 1]
    return n == 0 or (wrong == 0 and indices[n - 1] < MAX_PARAMS)
