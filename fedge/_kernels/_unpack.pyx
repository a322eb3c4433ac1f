# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The body of a sparse payload to kept values; fedge/codecs/payload.py states the layout.

The bytes are untrusted: every length and number is held to its bound before it is used.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fedge._kernels._bits cimport (
    BLOCK,
    INFINITE,
    MAX_PARAMS,
    is_scale,
    load16,
    load64,
    load_float,
    lowest_set_bit,
    magnitude,
    scale_value,
)

cdef enum:
    LARGEST_GAP_RICE = 28
    LARGEST_VALUE_RICE = 6
    WINDOW = 2048  # a block is at most 4 + 896 + 96 + 1024 bytes
    PADDING = 16  # words are loaded whole


cdef struct Reader:
    int bits
    uint64_t n_params
    uint64_t next_index  # the smallest that may follow
    const uint8_t* position
    const uint8_t* end
    uint32_t indices[BLOCK]  # of the block last read
    float values[BLOCK]
    uint32_t numbers[BLOCK]
    uint32_t ends[BLOCK + 64]
    uint8_t window[WINDOW + PADDING]


def unpack(
    const uint8_t[::1] body, int bits, uint32_t n_params, uint32_t[::1] indices, float[::1] values
):
    """The body of a sparse payload to indices and values, as many as there is room for.

    Args:
        body: untrusted.
        bits: 1, 8 or 32, as it was packed.
        n_params: indices are below it.
        indices: result, increasing.
        values: result, finite.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    cdef Py_ssize_t k = indices.shape[0]
    if bits != 1 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 8 or 32")
    if values.shape[0] != k:
        raise ValueError("indices and values must have the same length")
    cdef Reader reader
    cdef Py_ssize_t start = 0, m
    reader.bits = bits
    reader.n_params = n_params
    reader.next_index = 0
    reader.position = &body[0] if body.shape[0] else NULL
    reader.end = reader.position + body.shape[0]
    with nogil:
        while start < k:
            m = min(k - start, BLOCK)
            if not _read_block(&reader, m):
                break
            memcpy(&indices[start], reader.indices, m * sizeof(uint32_t))
            memcpy(&values[start], reader.values, m * sizeof(float))
            start += m
    return start >= k and reader.position == reader.end


def scatter_add_stream(
    const uint8_t[::1] body, int bits, Py_ssize_t n_kept, float weight, float[::1] out
):
    """out[index] += weight * value for every kept value of a sparse body.

    The body is read twice: once to check it, once to apply it. Memory does not grow with it.

    Args:
        body: untrusted.
        bits: 1, 8 or 32, as it was packed.
        n_kept: how many values body holds.
        weight: a factor.
        out: one for each parameter.

    Returns:
        False, with out untouched, if body is not such a body of this length.
    """
    if bits != 1 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 8 or 32")
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    cdef Reader reader
    cdef Py_ssize_t n = body.shape[0]
    cdef bint is_valid
    cdef const uint8_t* start = &body[0] if n else NULL
    cdef float* sums = &out[0] if out.shape[0] else NULL
    reader.bits = bits
    reader.n_params = <uint64_t>min(out.shape[0], <Py_ssize_t>MAX_PARAMS)
    with nogil:
        is_valid = _walk(&reader, start, start + n, n_kept, 0, NULL)
        if is_valid:
            _walk(&reader, start, start + n, n_kept, weight, sums)
    return is_valid


cdef bint _walk(
    Reader* reader,
    const uint8_t* start,
    const uint8_t* end,
    Py_ssize_t n_kept,
    float weight,
    float* out,
) noexcept nogil:
    """Reads the whole body and adds it to out, or only checks it if out is NULL."""
    cdef Py_ssize_t m, i
    cdef uint32_t index
    reader.position, reader.end, reader.next_index = start, end, 0
    while n_kept > 0:
        m = min(n_kept, BLOCK)
        if not _read_block(reader, m):
            return False
        if out != NULL:
            for i in range(m):
                index = reader.indices[i]
                out[index] = out[index] + weight * reader.values[i]
        n_kept -= m
    return reader.position == reader.end


cdef bint _read_block(Reader* reader, Py_ssize_t m) noexcept nogil:
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


cdef Py_ssize_t _parse_block(Reader* reader, const uint8_t* source, Py_ssize_t m) noexcept nogil:
    """Gives the length of the block, or -1 if no encoder wrote it."""
    cdef const uint8_t* p = source
    cdef uint16_t scale = 0
    cdef uint32_t smallest = 0
    cdef int gap_rice, value_rice
    cdef Py_ssize_t length
    if reader.bits != 32:
        scale = load16(p)
        p += 2
        if not is_scale(scale):
            return -1
    gap_rice, value_rice = p[0] & 31, p[0] >> 5
    p += 1
    if gap_rice > LARGEST_GAP_RICE or value_rice > (LARGEST_VALUE_RICE if reader.bits == 8 else 0):
        return -1
    if reader.bits == 8:
        smallest = p[0]
        p += 1
    length = _read_rice(reader, p, m, gap_rice)
    if length < 0 or not _set_indices(reader, m):
        return -1
    p += length
    if reader.bits == 32:
        return p + 4 * m - source if _set_floats(reader, p, m) else -1
    cdef const uint8_t* signs = p
    p += (m + 7) // 8
    if reader.bits == 1:
        _set_signs(reader, signs, m, scale_value(scale))
        return p - source
    length = _read_rice(reader, p, m, value_rice)
    if length < 0 or not _set_levels(reader, signs, m, smallest, scale_value(scale)):
        return -1
    return p + length - source


cdef Py_ssize_t _read_rice(
    Reader* reader, const uint8_t* p, Py_ssize_t m, int rice
) noexcept nogil:
    """Reads m numbers; gives the length of both streams, or -1 if no encoder wrote them."""
    cdef Py_ssize_t n_low = (m * rice + 7) // 8, i, bit
    cdef uint64_t mask = (<uint64_t>1 << rice) - 1
    cdef uint32_t unary, longest = 0, previous = 0xFFFFFFFF
    if not _find_ends(p + n_low, m, reader.ends):
        return -1
    for i in range(m):
        bit = i * rice
        unary = reader.ends[i] - previous - 1
        previous = reader.ends[i]
        longest = max(longest, unary)
        reader.numbers[i] = unary << rice | <uint32_t>(load64(p + (bit >> 3)) >> (bit & 7) & mask)
    if <uint64_t>longest << rice >= MAX_PARAMS:
        return -1
    return n_low + (previous >> 3) + 1


cdef bint _find_ends(const uint8_t* p, Py_ssize_t m, uint32_t* ends) noexcept nogil:
    """Positions of the first m set bits; False if they reach beyond 3 * m bits."""
    cdef Py_ssize_t n = 0
    cdef uint32_t base = 0
    cdef uint64_t word
    while n < m:
        if base >= 3 * m:
            return False
        word = load64(p + (base >> 3))
        while word:
            ends[n] = base + <uint32_t>lowest_set_bit(word)
            n += 1
            word &= word - 1
        base += 64
    return ends[m - 1] < 3 * m


cdef bint _set_indices(Reader* reader, Py_ssize_t m) noexcept nogil:
    """Gaps to indices. Gaps are below 2**29, so a 64-bit sum cannot wrap before the check."""
    cdef uint64_t index = reader.next_index
    cdef Py_ssize_t i
    for i in range(m):
        index += reader.numbers[i]
        reader.indices[i] = <uint32_t>index
        index += 1
    reader.next_index = index
    return index <= reader.n_params


cdef bint _set_floats(Reader* reader, const uint8_t* p, Py_ssize_t m) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(m):
        reader.values[i] = load_float(p + 4 * i)
        top = max(top, magnitude(reader.values[i]))
    return top < INFINITE


cdef void _set_signs(
    Reader* reader, const uint8_t* signs, Py_ssize_t m, float scale
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m):
        reader.values[i] = -scale if signs[i >> 3] >> (i & 7) & 1 else scale


cdef bint _set_levels(
    Reader* reader, const uint8_t* signs, Py_ssize_t m, uint32_t smallest, float scale
) noexcept nogil:
    cdef uint32_t top = 0, level
    cdef float value
    cdef Py_ssize_t i
    for i in range(m):
        level = smallest + reader.numbers[i]
        top = max(top, level)
        value = <float>level * scale
        reader.values[i] = -value if signs[i >> 3] >> (i & 7) & 1 else value
    return top <= 127
