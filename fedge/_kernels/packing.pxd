# cython: language_level=3str, cdivision=True
"""Up to 256 kept values to a block of a sparse body; fedge/codecs/payload.py states the layout.

Rice code with parameter r of a number: its low r bits, and the rest in unary, as the distance to
the next set bit. The best r for m numbers leaves at most 2 * m of rest, since otherwise r + 1 would
be better; so the unary stream has at most 3 * m bits, and a reader can hold to that.
"""

from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fedge._kernels.bits cimport BLOCK

cdef extern from "lanes.h" nogil:
    uint8_t* write_low "fedge_write_low"(
        const uint32_t* numbers, long m, int rice, uint8_t* out
    ) noexcept
    uint8_t* write_unary "fedge_write_unary"(
        const uint32_t* numbers, long m, int rice, uint8_t* out
    ) noexcept
    uint8_t* write_signs "fedge_write_signs"(
        const int8_t* levels, long m, uint8_t* out
    ) noexcept


cdef inline uint8_t* write_block(
    const uint32_t* indices,
    uint32_t previous,
    const uint8_t* codes,
    uint16_t scale,
    int bits,
    Py_ssize_t m,
    uint8_t* out,
) noexcept nogil:
    """Returns the end. Up to 7 bytes beyond the m-th level are read."""
    cdef uint32_t gaps[BLOCK]
    cdef uint32_t numbers[BLOCK]
    cdef uint32_t smallest = 0
    cdef int gap_rice, value_rice = 0
    cdef bint has_levels = bits == 4 or bits == 8
    cdef Py_ssize_t i
    gaps[0] = indices[0] - previous - 1
    for i in range(1, m):
        gaps[i] = indices[i] - indices[i - 1] - 1
    gap_rice = _best_rice(gaps, m)
    if bits != 32:
        memcpy(out, &scale, 2)
        out += 2
    if has_levels:
        smallest = _levels_above_smallest(<const int8_t*>codes, m, numbers)
        value_rice = _best_rice(numbers, m)
    out[0] = <uint8_t>(gap_rice | value_rice << 5)
    out += 1
    if has_levels:
        out[0] = <uint8_t>smallest
        out += 1
    out = _write_rice(gaps, m, gap_rice, out)
    if bits == 32:
        memcpy(out, codes, 4 * m)
        return out + 4 * m
    out = write_signs(<const int8_t*>codes, m, out)
    return _write_rice(numbers, m, value_rice, out) if has_levels else out


cdef inline uint32_t _levels_above_smallest(
    const int8_t* levels, Py_ssize_t m, uint32_t* numbers
) noexcept nogil:
    cdef int32_t smallest = 255, magnitude
    cdef Py_ssize_t i
    for i in range(m):
        magnitude = -levels[i] if levels[i] < 0 else levels[i]
        numbers[i] = <uint32_t>magnitude
        smallest = magnitude if magnitude < smallest else smallest
    for i in range(m):
        numbers[i] -= <uint32_t>smallest
    return <uint32_t>smallest


cdef inline int _best_rice(const uint32_t* numbers, Py_ssize_t m) noexcept nogil:
    """The smallest parameter with the shortest code, for numbers whose sum is below 2**31.

    r + 1 saves sum(ceil((x >> r) / 2)) bits of unary and costs m. The saving never grows with r,
    so the first r for which it does not pay is the best; the search begins where the mean says.
    """
    cdef uint32_t total = 0
    cdef Py_ssize_t i
    cdef int rice = 0
    for i in range(m):
        total += numbers[i]
    while (<uint64_t>m << (rice + 1)) <= total:
        rice += 1
    while rice > 0 and not _pays(numbers, m, rice - 1):
        rice -= 1
    while _pays(numbers, m, rice):
        rice += 1
    return rice


cdef inline bint _pays(const uint32_t* numbers, Py_ssize_t m, int rice) noexcept nogil:
    """Whether the code with parameter rice + 1 is shorter than with rice."""
    cdef uint32_t saved = 0
    cdef Py_ssize_t i
    for i in range(m):
        saved += ((numbers[i] >> rice) + 1) >> 1
    return saved > m


cdef inline uint8_t* _write_rice(
    const uint32_t* numbers, Py_ssize_t m, int rice, uint8_t* out
) noexcept nogil:
    """The low bits of all numbers, then their unary rests; each stream ends on a whole byte."""
    return write_unary(numbers, m, rice, write_low(numbers, m, rice, out))
