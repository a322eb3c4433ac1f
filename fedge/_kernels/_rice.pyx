# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Sparse payload bodies: Rice codes in split streams. fedge/codecs/payload.py states the layout.

Rice code with parameter r of a number: its low r bits, and the rest in unary, as the distance to
the next set bit. The best r for m numbers leaves at most 2 * m of unary rest, since otherwise
r + 1 would be better; so the unary stream has at most 3 * m bits, and the reader can hold to that.
"""

from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fedge._kernels._bits cimport (
    BLOCK, INFINITE, is_scale, load16, load64, load_float, lowest_set_bit, magnitude, scale_value,
)

cdef enum:
    MAX_PARAMS = 1 << 29
    LARGEST_GAP_RICE = 28
    LARGEST_VALUE_RICE = 6  # levels are at most 127
    WINDOW = 2048  # a block is at most 4 + 896 + 96 + 1024 bytes
    PADDING = 16  # readers load whole words


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
        codes: the values. For 1 and 8 bits the levels of quantise_kept, a signed byte each; for
            32 bits little-endian float32.
        scales: bf16 bits, one for each 256 indices; ignored for 32 bits.
        bits: 1, 8 or 32.
        out: overwritten; at least 8 bytes for each index and 16 for each 256 begun.

    Returns:
        The length of the body at the start of out.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK
    if bits != 1 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 8 or 32")
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
    with nogil:
        for b in range(n_blocks):
            m = min(k - b * BLOCK, BLOCK)
            end = _write_block(
                &indices[b * BLOCK], previous, source, scales[b] if bits != 32 else 0, bits, m, end
            )
            previous = indices[b * BLOCK + m - 1]
            source += 4 * m if bits == 32 else m
    return end - start


cdef bint _are_increasing(const uint32_t[::1] indices) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, indices.shape[0]):
        if indices[i] <= indices[i - 1]:
            return False
    return indices.shape[0] == 0 or indices[indices.shape[0] - 1] < MAX_PARAMS


cdef uint8_t* _write_block(
    const uint32_t* indices,
    uint32_t previous,
    const uint8_t* codes,
    uint16_t scale,
    int bits,
    Py_ssize_t m,
    uint8_t* out,
) noexcept nogil:
    cdef uint32_t gaps[BLOCK]
    cdef uint32_t numbers[BLOCK]
    cdef uint32_t smallest = 0
    cdef int gap_rice, value_rice = 0
    cdef Py_ssize_t i
    for i in range(m):
        gaps[i] = indices[i] - previous - 1
        previous = indices[i]
    gap_rice = _best_rice(gaps, m)
    if bits != 32:
        memcpy(out, &scale, 2)
        out += 2
    if bits == 8:
        smallest = _levels_above_smallest(<const int8_t*>codes, m, numbers)
        value_rice = _best_rice(numbers, m)
    out[0] = <uint8_t>(gap_rice | value_rice << 5)
    out += 1
    if bits == 8:
        out[0] = <uint8_t>smallest
        out += 1
    out = _write_rice(gaps, m, gap_rice, out)
    if bits == 32:
        memcpy(out, codes, 4 * m)
        return out + 4 * m
    out = _write_signs(<const int8_t*>codes, m, out)
    return _write_rice(numbers, m, value_rice, out) if bits == 8 else out


cdef uint32_t _levels_above_smallest(
    const int8_t* levels, Py_ssize_t m, uint32_t* numbers
) noexcept nogil:
    cdef uint32_t smallest = 255
    cdef Py_ssize_t i
    for i in range(m):
        numbers[i] = <uint32_t>(-levels[i] if levels[i] < 0 else levels[i])
        smallest = min(smallest, numbers[i])
    for i in range(m):
        numbers[i] -= smallest
    return smallest


cdef int _best_rice(const uint32_t* numbers, Py_ssize_t m) noexcept nogil:
    """The smallest parameter with the shortest code.

    r + 1 saves sum(ceil((x >> r) / 2)) bits of unary and costs m. The saving never grows with r,
    so the first r for which it does not pay is the best; the search begins where the mean says.
    """
    cdef uint64_t total = 0
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


cdef bint _pays(const uint32_t* numbers, Py_ssize_t m, int rice) noexcept nogil:
    """Is the code with parameter rice + 1 shorter than with rice?"""
    cdef uint64_t saved = 0
    cdef Py_ssize_t i
    for i in range(m):
        saved += ((numbers[i] >> rice) + 1) >> 1
    return saved > <uint64_t>m


cdef uint8_t* _write_rice(
    const uint32_t* numbers, Py_ssize_t m, int rice, uint8_t* out
) noexcept nogil:
    """The low bits of all numbers, then their unary rests; each stream ends on a whole byte."""
    cdef uint64_t mask = (<uint64_t>1 << rice) - 1, pending = 0
    cdef int n_pending = 0
    cdef Py_ssize_t i, position = -1
    for i in range(m):
        pending |= (numbers[i] & mask) << n_pending
        n_pending += rice
        while n_pending >= 8:
            out[0] = <uint8_t>pending
            out += 1
            pending >>= 8
            n_pending -= 8
    if n_pending > 0:
        out[0] = <uint8_t>pending
        out += 1
    memset(out, 0, (3 * m + 7) // 8)
    for i in range(m):
        position += (numbers[i] >> rice) + 1
        out[position >> 3] |= <uint8_t>(1 << (position & 7))
    return out + (position >> 3) + 1


cdef uint8_t* _write_signs(const int8_t* levels, Py_ssize_t m, uint8_t* out) noexcept nogil:
    cdef Py_ssize_t i
    memset(out, 0, (m + 7) // 8)
    for i in range(m):
        out[i >> 3] |= <uint8_t>((levels[i] < 0) << (i & 7))
    return out + (m + 7) // 8


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
