# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Values of the kept indices to few levels; what that loses goes back into the residual."""

from libc.stdint cimport int8_t, uint16_t, uint32_t

from fedge._kernels._bits cimport BLOCK, from_bits, magnitude, scale_above, scale_value


def quantise_levels(
    float[::1] residual,
    const uint32_t[::1] indices,
    int largest,
    int8_t[::1] levels,
    uint16_t[::1] scales,
):
    """Nearest levels -largest..largest; residual[indices[i]] becomes what is left over.

    Args:
        residual: finite.
        indices: different from each other, below len(residual).
        largest: 1 to 127; the level of a block's largest magnitude.
        levels: result, one for each index.
        scales: result, bf16 bits rounded up, one for each 256 indices.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK, b, i
    if levels.shape[0] != k or scales.shape[0] != n_blocks:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if not 1 <= largest <= 127:
        raise ValueError("largest must be 1 to 127")
    for i in range(k):
        if indices[i] >= residual.shape[0]:
            raise ValueError("indices must be below the length of residual")
    with nogil:
        for b in range(n_blocks):
            i = b * BLOCK
            scales[b] = _quantise_block(
                &residual[0], &indices[i], min(k - i, BLOCK), largest, &levels[i]
            )


cdef uint16_t _quantise_block(
    float* residual, const uint32_t* indices, Py_ssize_t m, int largest, int8_t* levels
) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(m):
        top = max(top, magnitude(residual[indices[i]]))
    cdef uint16_t scale16 = scale_above(from_bits(top) / <float>largest)
    cdef float scale = scale_value(scale16), inverse = <float>1 / scale, level
    cdef float bound = <float>largest
    cdef float magic = 12582912  # 1.5 * 2**23: adding it leaves no bits below one
    for i in range(m):
        level = (residual[indices[i]] * inverse + magic) - magic
        level = min(max(level, -bound), bound)
        levels[i] = <int8_t>level
        # As the decoder computes it.
        residual[indices[i]] = residual[indices[i]] - <float>levels[i] * scale
    return scale16
