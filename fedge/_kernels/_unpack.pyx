# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The body of a sparse payload to kept values; fedge/codecs/payload.py states the layout.

The bytes are untrusted: every length and number is held to its bound before it is used.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fedge._kernels._bits cimport (
    BLOCK,
    INFINITE,
    MAX_PARAMS,
    is_scale,
    largest_level,
    load16,
    load_float,
    magnitude,
    scale_value,
)

cdef extern from "_lanes.h" nogil:
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
    MOST_HELD = 1 << 16  # kept values: half a megabyte


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


def unpack(
    const uint8_t[::1] body, int bits, uint32_t n_params, uint32_t[::1] indices, float[::1] values
):
    """The body of a sparse payload to indices and values, as many as there is room for.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_params: indices are below it, and below 2**29.
        indices: result, increasing.
        values: result, finite.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    cdef Py_ssize_t k = indices.shape[0]
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if values.shape[0] != k:
        raise ValueError("indices and values must have the same length")
    cdef Reader reader
    cdef bint is_valid
    _open(&reader, body, bits, n_params)
    with nogil:
        is_valid = _read_all(
            &reader, k, &indices[0] if k else NULL, &values[0] if k else NULL, NULL
        )
    return is_valid


def scatter_add_stream(
    const uint8_t[::1] body, int bits, Py_ssize_t n_kept, float weight, float[::1] out
):
    """out[index] += weight * value for every kept value of a sparse body.

    Nothing is added before the whole body was checked. Up to 2**16 kept values are held until
    then; a larger body is read twice, so that memory does not grow with it.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_kept: how many values body holds.
        weight: a factor.
        out: one for each parameter.

    Returns:
        False, with out untouched, if body is not such a body of this length.
    """
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    if n_kept == 0 or body.shape[0] == 0 or out.shape[0] == 0:
        return n_kept == 0 and body.shape[0] == 0
    cdef Reader reader
    cdef bint is_valid
    cdef uint32_t* held = NULL
    if n_kept <= MOST_HELD:
        held = <uint32_t*>malloc(n_kept * (sizeof(uint32_t) + sizeof(float)))
        if held == NULL:
            raise MemoryError
    _open(&reader, body, bits, <uint64_t>out.shape[0])
    with nogil:
        if held != NULL:
            is_valid = _read_all(&reader, n_kept, held, <float*>(held + n_kept), &out[0])
            if is_valid:
                _add(held, <float*>(held + n_kept), n_kept, weight, &out[0])
            free(held)
        else:
            is_valid = _read_all(&reader, n_kept, NULL, NULL, NULL)
            if is_valid:
                _rewind(&reader, &body[0])
                _read_and_add(&reader, n_kept, weight, &out[0])
    return is_valid


cdef void _add(
    const uint32_t* indices, const float* values, Py_ssize_t n, float weight, float* out
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[indices[i]] = out[indices[i]] + weight * values[i]


cdef void _open(Reader* reader, const uint8_t[::1] body, int bits, uint64_t n_params):
    reader.bits = bits
    reader.n_params = min(n_params, <uint64_t>MAX_PARAMS)
    reader.ends[0] = 0xFFFFFFFF
    reader.end = (&body[0] if body.shape[0] else NULL) + body.shape[0]
    _rewind(reader, reader.end - body.shape[0])


cdef void _rewind(Reader* reader, const uint8_t* start) noexcept nogil:
    reader.position, reader.next_index = start, 0


cdef void _read_and_add(
    Reader* reader, Py_ssize_t n_kept, float weight, float* out
) noexcept nogil:
    """Of a body that was found valid."""
    cdef Py_ssize_t m
    while n_kept > 0:
        m = min(n_kept, BLOCK)
        _read_block(reader, m)
        _add(reader.indices, reader.values, m, weight, out)
        n_kept -= m


cdef bint _read_all(
    Reader* reader, Py_ssize_t n_kept, uint32_t* indices, float* values, const float* wanted
) noexcept nogil:
    """Reads the whole body, into indices and values unless they are NULL. The cache is asked for
    the places in wanted, unless that is NULL, while the next block is read."""
    cdef Py_ssize_t m
    reader.wanted, reader.n_wanted = wanted, 0
    while n_kept > 0:
        m = min(n_kept, BLOCK)
        if not _read_block(reader, m):
            return False
        if wanted != NULL:
            memcpy(reader.ahead, reader.indices, sizeof(reader.indices))
            reader.n_wanted = m
        if indices != NULL:
            memcpy(indices, reader.indices, m * sizeof(uint32_t))
            memcpy(values, reader.values, m * sizeof(float))
            indices += m
            values += m
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
    _ask(reader, 0)
    length = _read_rice(reader, p, m, gap_rice)
    _ask(reader, 1)
    if length < 0 or not _set_indices(reader, m, gap_rice):
        return -1
    p += length
    _ask(reader, 2)
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
    _ask(reader, 3)
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


cdef inline void _ask(Reader* reader, Py_ssize_t quarter) noexcept nogil:
    """Has the cache fetch a quarter of the places of the block before: all at once would stall."""
    cdef Py_ssize_t i, n = reader.n_wanted
    for i in range(n * quarter // 4, n * (quarter + 1) // 4):
        prefetch(reader.wanted + reader.ahead[i], 1, 2)


cdef Py_ssize_t _read_rice(
    Reader* reader, const uint8_t* p, Py_ssize_t m, int rice
) noexcept nogil:
    """Reads m numbers; gives the length of both streams, or -1 if no encoder wrote them."""
    cdef Py_ssize_t n_low = (m * rice + 7) // 8, i
    cdef uint32_t* ends = reader.ends + 1
    if not read_ends(p + n_low, m, ends):
        return -1
    read_low(p, m, rice, reader.low)
    for i in range(m, (m + 3) // 4 * 4):  # numbers that are zero, up to the next four
        ends[i] = ends[i - 1] + 1
        reader.low[i] = 0
    return n_low + (ends[m - 1] >> 3) + 1


cdef bint _set_indices(Reader* reader, Py_ssize_t m, int rice) noexcept nogil:
    """Gaps to indices. Their sum is exact in 64 bits, and no index is used if it is too large."""
    cdef uint64_t index = reader.next_index
    cdef const uint32_t* ends = reader.ends + 1
    cdef Py_ssize_t i
    for i in range(m):  # the rests before i, and i, sum up to the i-th end
        index += reader.low[i]
        reader.indices[i] = <uint32_t>(index + ((ends[i] - i) << rice) + i)
    reader.next_index = index + ((<uint64_t>ends[m - 1] + 1 - m) << rice) + m
    return reader.next_index <= reader.n_params


cdef bint _set_floats(Reader* reader, const uint8_t* p, Py_ssize_t m) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(m):
        reader.values[i] = load_float(p + 4 * i)
        top = max(top, magnitude(reader.values[i]))
    return top < INFINITE
