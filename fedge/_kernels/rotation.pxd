# cython: language_level=3str, cdivision=True
"""A seeded random rotation of a block: random signs, then the Walsh-Hadamard transform, twice.

Twice, because after one transform a block with few values other than zero has few different
magnitudes, and its signs alone would say nothing of the smaller ones. A length that is no power of
two is covered by two transforms that overlap: of its first and of its last 2**i values.
"""

from libc.stdint cimport uint32_t

from fedge._kernels.rng cimport SIGNS, mix

cdef extern from "rotation.h":
    void fedge_fwht(float* x, size_t n) noexcept nogil
    void fedge_flip_all(
        float* x, size_t n, uint32_t seed, uint32_t salt, uint32_t counter, float factor
    ) noexcept nogil

cdef enum:
    ROTATED = 4096  # values that are rotated together: they fit the first cache
    MOST_ROTATED = 6144  # the last block takes what is left over if that is less than half a block


cdef inline Py_ssize_t n_rotations(Py_ssize_t n) noexcept nogil:
    """How many blocks n values make. All but the last have ROTATED values."""
    if n < ROTATED:
        return n > 0
    return (n + ROTATED // 2) // ROTATED


cdef inline Py_ssize_t rotation_length(Py_ssize_t n, Py_ssize_t block) noexcept nogil:
    return ROTATED if block + 1 < n_rotations(n) else n - block * ROTATED


cdef inline Py_ssize_t power_below(Py_ssize_t n) noexcept nogil:
    """The largest power of two not above n."""
    cdef Py_ssize_t power = 1
    while 2 * power <= n:
        power *= 2
    return power


cdef inline float inverse_root(Py_ssize_t power) noexcept nogil:
    """1 / sqrt(power) of a power of two, rounded once."""
    cdef float root = 1
    while power >= 4:
        root *= <float>0.5
        power //= 4
    return root * <float>0.70710678 if power == 2 else root


cdef inline void rotate(float* x, Py_ssize_t n, uint32_t seed, Py_ssize_t block) noexcept nogil:
    cdef Py_ssize_t power = power_below(n), start
    cdef uint32_t counter, salt = mix(seed ^ SIGNS)
    cdef int stage
    for stage in range(4):
        start = n - power if stage & 1 else 0
        if stage & 1 and start == 0:
            continue
        counter = <uint32_t>(block * 4 + stage) * (ROTATED // 32)
        fedge_flip_all(x + start, power, seed, salt, counter, inverse_root(power))
        fedge_fwht(x + start, power)


cdef inline void rotate_back(
    float* x, Py_ssize_t n, uint32_t seed, Py_ssize_t block
) noexcept nogil:
    """The steps of rotate, each undone, last first."""
    cdef Py_ssize_t power = power_below(n), start
    cdef uint32_t counter, salt = mix(seed ^ SIGNS)
    cdef int stage
    for stage in range(3, -1, -1):
        start = n - power if stage & 1 else 0
        if stage & 1 and start == 0:
            continue
        counter = <uint32_t>(block * 4 + stage) * (ROTATED // 32)
        fedge_fwht(x + start, power)
        fedge_flip_all(x + start, power, seed, salt, counter, inverse_root(power))
