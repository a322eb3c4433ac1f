# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Kept values to levels; the rounding error goes back into the residual."""

from libc.stdint cimport int8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from fedge._kernels.bits cimport BLOCK
from fedge._kernels.quantising cimport Rounding, quantise_block


def quantise_kept(
    float[::1] residual,
    const uint32_t[::1] indices,
    int bits,
    seed,
    int8_t[::1] levels,
    uint16_t[::1] scales,
):
    """levels[i] * scale approximates residual[indices[i]], which becomes the error.

    Args:
        residual: finite.
        indices: different from each other, below len(residual).
        bits: 8 for levels -127..127 or 4 for -7..7, with the scale of a block's largest magnitude;
            1 for the sign alone, with the scale of its mean magnitude.
        seed: None for the nearest level, ties to even. With a seed, stochastic rounding with the
            bits that quantise_dense would use for the kept values, so that the mean over all seeds
            is the value.
        levels: result, one for each index.
        scales: result, bf16 bits rounded up, one for each 256 indices.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK
    if levels.shape[0] != k or scales.shape[0] != n_blocks:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if bits != 1 and bits != 4 and bits != 8:
        raise ValueError("bits must be 1, 4 or 8")
    if not _are_below(indices, residual.shape[0]):
        raise ValueError("indices must be below the length of residual")
    cdef Rounding rounding = Rounding(bits, seed is not None, 0 if seed is None else seed)
    cdef int8_t[BLOCK] block
    cdef Py_ssize_t b, start, m
    with nogil:
        for b in range(n_blocks):
            start = b * BLOCK
            m = min(k - start, BLOCK)
            scales[b] = quantise_block(
                &rounding, &residual[0], &indices[start], m, <uint32_t>(start // 2), block
            )
            memcpy(&levels[start], block, m)


cdef bint _are_below(const uint32_t[::1] indices, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t largest = 0
    for i in range(indices.shape[0]):
        largest = max(largest, indices[i])
    return indices.shape[0] == 0 or largest < n
