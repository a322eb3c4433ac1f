# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Values of the kept indices to levels; what that loses goes back into the residual."""

from libc.stdint cimport int8_t, uint16_t, uint32_t

from fedge._kernels._bits cimport BLOCK, from_bits, magnitude, scale_above, scale_value


def quantise_kept(
    float[::1] residual,
    const uint32_t[::1] indices,
    int bits,
    int8_t[::1] levels,
    uint16_t[::1] scales,
):
    """levels[i] * scale approximates residual[indices[i]], which becomes what is left over.

    Args:
        residual: finite.
        indices: different from each other, below len(residual).
        bits: 8 for nearest levels -127..127 with the scale of a block's largest magnitude; 1 for
            the sign alone, with the scale of its mean magnitude.
        levels: result, one for each index.
        scales: result, bf16 bits rounded up, one for each 256 indices.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK
    if levels.shape[0] != k or scales.shape[0] != n_blocks:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if bits != 1 and bits != 8:
        raise ValueError("bits must be 1 or 8")
    if not _are_below(indices, residual.shape[0]):
        raise ValueError("indices must be below the length of residual")
    cdef Py_ssize_t b, start
    with nogil:
        for b in range(n_blocks):
            start = b * BLOCK
            scales[b] = _quantise_block(
                &residual[0], &indices[start], min(k - start, BLOCK), bits, &levels[start]
            )


cdef bint _are_below(const uint32_t[::1] indices, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t largest = 0
    for i in range(indices.shape[0]):
        largest = max(largest, indices[i])
    return indices.shape[0] == 0 or largest < n


cdef uint16_t _quantise_block(
    float* residual, const uint32_t* indices, Py_ssize_t m, int bits, int8_t* levels
) noexcept nogil:
    cdef float kept[BLOCK]
    cdef Py_ssize_t i
    for i in range(m):
        kept[i] = residual[indices[i]]
    cdef uint16_t scale16
    if bits == 1:
        scale16 = scale_above(_mean_magnitude(kept, m))
        for i in range(m):
            levels[i] = -1 if kept[i] < 0 else 1
    else:
        scale16 = scale_above(_largest_magnitude(kept, m) / <float>127)
        _nearest(kept, m, <float>1 / scale_value(scale16), levels)
    cdef float scale = scale_value(scale16)
    for i in range(m):
        residual[indices[i]] = kept[i] - <float>levels[i] * scale  # as the decoder computes it
    return scale16


cdef void _nearest(const float* kept, Py_ssize_t m, float inverse, int8_t* levels) noexcept nogil:
    """Nearest level, ties to even: adding 1.5 * 2**23 leaves no bits below one."""
    cdef float magic = 12582912
    cdef float level
    cdef Py_ssize_t i
    for i in range(m):
        level = (kept[i] * inverse + magic) - magic
        level = min(max(level, <float>-127), <float>127)
        levels[i] = <int8_t>level


cdef float _largest_magnitude(const float* kept, Py_ssize_t m) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(m):
        top = max(top, magnitude(kept[i]))
    return from_bits(top)


cdef float _mean_magnitude(const float* kept, Py_ssize_t m) noexcept nogil:
    """Summed in index order in double, so that every machine gets the same bits."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(m):
        total += from_bits(magnitude(kept[i]))
    return <float>(total / m)
