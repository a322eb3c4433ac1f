# cython: language_level=3str, cdivision=True
"""Up to 256 kept values to levels; the rounding error goes back into the residual."""

from libc.stdint cimport int32_t, int8_t, uint16_t, uint32_t
from libc.string cimport memset

from fedge._kernels.bits cimport (
    BLOCK, INFINITE, from_bits, largest_level, magnitude, scale_above, scale_value,
)

cdef extern from "quantising.h" nogil:
    int32_t largest_bits "fedge_top"(const float* values) noexcept
    void round_nearest "fedge_nearest_levels"(
        const float* values, float inverse, int32_t bound, int8_t* levels
    ) noexcept
    void round_stochastic "fedge_stochastic_levels"(
        const float* values,
        float inverse,
        int32_t bound,
        uint32_t seed,
        uint32_t counter,
        int8_t* levels,
    ) noexcept


cdef struct Rounding:
    int bits  # 8 and 4 for nearly 2**bits levels, 1 for the sign alone
    bint is_random
    uint32_t seed


cdef inline uint16_t quantise_block(
    const Rounding* rounding,
    float* residual,
    const uint32_t* indices,
    Py_ssize_t m,
    uint32_t counter,
    int8_t* levels,
) noexcept nogil:
    """Levels of a block of m values and, as bf16 bits, their scale; levels has room for 256."""
    cdef float kept[BLOCK]
    cdef float scale
    cdef uint16_t scale16
    cdef Py_ssize_t i
    for i in range(m):
        kept[i] = residual[indices[i]]
    if rounding.bits == 1:
        scale16 = _set_signs(kept, m, levels)
    else:
        memset(kept + m, 0, (BLOCK - m) * sizeof(float))
        scale16 = set_levels(rounding, kept, counter, levels)
    scale = scale_value(scale16)
    for i in range(m):
        residual[indices[i]] = kept[i] - <float>levels[i] * scale  # as the decoder computes it
    return scale16


cdef inline uint16_t _set_signs(const float* kept, Py_ssize_t m, int8_t* levels) noexcept nogil:
    """The scale is the mean magnitude, summed in index order in double: the same bits anywhere."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(m):
        total += from_bits(magnitude(kept[i]))
        levels[i] = -1 if kept[i] < 0 else 1
    return scale_above(<float>(total / m))


cdef inline uint16_t set_levels(
    const Rounding* rounding, const float* kept, uint32_t counter, int8_t* levels
) noexcept nogil:
    """Levels of 256 values; the largest magnitude gets the largest level. Returns the scale, or 0
    if a value is not finite."""
    cdef int32_t bound = largest_level(rounding.bits)
    cdef uint32_t largest = <uint32_t>largest_bits(kept)
    if largest >= INFINITE:
        return 0
    cdef uint16_t scale16 = scale_above(from_bits(largest) / <float>bound)
    cdef float inverse = <float>1 / scale_value(scale16)
    if rounding.is_random:
        round_stochastic(kept, inverse, bound, rounding.seed, counter, levels)
    else:
        round_nearest(kept, inverse, bound, levels)
    return scale16
