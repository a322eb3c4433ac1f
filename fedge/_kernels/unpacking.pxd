# cython: language_level=3str, cdivision=True
"""A block of a sparse body to up to 256 kept values; fedge/codecs/payload.py states the layout.

The bytes are untrusted: every length and number is checked against its bound before use.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fedge._kernels.bits cimport (
    BLOCK, INFINITE, is_scale, largest_level, load16, load_float, magnitude, scale_value,
)

cdef extern from "lanes.h" nogil:
    bint read_ends "fedge_read_ends"(const uint8_t* source, long m, uint32_t* ends) noexcept
    void read_low "fedge_read_low"(
        const uint8_t* source, long m, int rice, uint32_t* numbers
    ) noexcept
    void set_signs "fedge_set_signs"(
        const uint8_t* signs, long m, float scale, float* values
    ) noexcept
    bint set_levels "fedge_set_levels"(
        const uint32_t* ends,
        const uint32_t* low,
        const uint8_t* signs,
        long m,
        int rice,
        int32_t smallest,
        int32_t largest,
        float scale,
        float* values,
    ) noexcept
    void prefetch "__builtin_prefetch"(const void* address, int is_write, int locality) noexcept

cdef enum:
    LARGEST_GAP_RICE = 28
    WINDOW = 2048  # a block is at most 4 + 896 + 96 + 1024 bytes
    PADDING = 16  # words are loaded whole


cdef struct Reader:
    int bits
    uint64_t n_params
    uint64_t next_index  # the smallest that may follow
    const uint8_t* position
    const uint8_t* end
    const float* wanted  # where the values will be added, or NULL
    Py_ssize_t n_wanted
    uint32_t ahead[BLOCK]  # indices of the block before
    uint32_t indices[BLOCK]  # of the block last read
    float values[BLOCK]
    uint32_t low[BLOCK]
    uint32_t ends[1 + BLOCK + 64]  # the first one is -1
    uint8_t window[WINDOW + PADDING]


cdef inline bint read_block(Reader* reader, Py_ssize_t m) noexcept nogil:
    """Reads m kept values into indices and values. Near the end it reads from a padded copy, so
    that no load leaves the body."""
    cdef Py_ssize_t left = reader.end - reader.position, length
    cdef const uint8_t* source = reader.position
    if left < WINDOW + PADDING:
        memset(reader.window + left, 0, WINDOW + PADDING - left)
        if left > 0:
            memcpy(reader.window, source, left)
        source = reader.window
    length = _parse_block(reader, source, m)
    if length < 0 or length > left:
        return False
    reader.position += length
    return True


cdef inline Py_ssize_t _parse_block(
    Reader* reader, const uint8_t* source, Py_ssize_t m
) noexcept nogil:
    """Returns the length of the block, or -1 if no encoder wrote it."""
    cdef const uint8_t* p = source
    cdef uint16_t scale = 0
    cdef uint32_t smallest = 0
    cdef int gap_rice, value_rice
    cdef Py_ssize_t length
    cdef bint has_levels = reader.bits == 4 or reader.bits == 8
    if reader.bits != 32:
        scale = load16(p)
        p += 2
        if not is_scale(scale):
            return -1
    gap_rice, value_rice = p[0] & 31, p[0] >> 5  # the best for numbers below 2**n is below n
    p += 1
    if gap_rice > LARGEST_GAP_RICE or value_rice > (reader.bits - 2 if has_levels else 0):
        return -1
    if has_levels:
        smallest = p[0]
        p += 1
    _prefetch_quarter(reader, 0)
    length = _read_rice(reader, p, m, gap_rice)
    _prefetch_quarter(reader, 1)
    if length < 0 or not _set_indices(reader, m, gap_rice):
        return -1
    p += length
    _prefetch_quarter(reader, 2)
    if reader.bits == 32:
        return p + 4 * m - source if _set_floats(reader, p, m) else -1
    cdef const uint8_t* signs = p
    p += (m + 7) // 8
    if reader.bits == 1:
        set_signs(signs, m, scale_value(scale), reader.values)
        return p - source
    length = _read_rice(reader, p, m, value_rice)
    if length < 0:
        return -1
    _prefetch_quarter(reader, 3)
    if not set_levels(
        reader.ends + 1,
        reader.low,
        signs,
        m,
        value_rice,
        smallest,
        largest_level(reader.bits),
        scale_value(scale),
        reader.values,
    ):
        return -1
    return p + length - source


cdef inline void _prefetch_quarter(Reader* reader, Py_ssize_t quarter) noexcept nogil:
    """Prefetches a quarter of the places of the block before: all at once would stall."""
    cdef Py_ssize_t i, n = reader.n_wanted
    for i in range(n * quarter // 4, n * (quarter + 1) // 4):
        prefetch(reader.wanted + reader.ahead[i], 1, 2)


cdef inline Py_ssize_t _read_rice(
    Reader* reader, const uint8_t* p, Py_ssize_t m, int rice
) noexcept nogil:
    """Reads m numbers; returns the length of both streams, or -1 if no encoder wrote them."""
    cdef Py_ssize_t n_low = (m * rice + 7) // 8, i
    cdef uint32_t* ends = reader.ends + 1
    if not read_ends(p + n_low, m, ends):
        return -1
    read_low(p, m, rice, reader.low)
    for i in range(m, (m + 3) // 4 * 4):  # zeros, up to a multiple of four
        ends[i] = ends[i - 1] + 1
        reader.low[i] = 0
    return n_low + (ends[m - 1] >> 3) + 1


cdef inline bint _set_indices(Reader* reader, Py_ssize_t m, int rice) noexcept nogil:
    """Gaps to indices. Their sum is exact in 64 bits, and no index is used if it is too large."""
    cdef uint64_t index = reader.next_index
    cdef const uint32_t* ends = reader.ends + 1
    cdef Py_ssize_t i
    for i in range(m):  # the i-th end is the sum of the rests before it, and i
        index += reader.low[i]
        reader.indices[i] = <uint32_t>(index + ((ends[i] - i) << rice) + i)
    reader.next_index = index + ((<uint64_t>ends[m - 1] + 1 - m) << rice) + m
    return reader.next_index <= reader.n_params


cdef inline bint _set_floats(Reader* reader, const uint8_t* p, Py_ssize_t m) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(m):
        reader.values[i] = load_float(p + 4 * i)
        top = max(top, magnitude(reader.values[i]))
    return top < INFINITE
