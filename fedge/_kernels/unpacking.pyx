# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The body of a sparse payload, to kept values or added up as it is read."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fedge._kernels.bits cimport BLOCK, MAX_PARAMS
from fedge._kernels.unpacking cimport Reader, read_block

cdef enum:
    MOST_HELD = 1 << 16  # kept values: half a megabyte


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

    Nothing is added before the whole body has been checked. Up to 2**16 kept values are held until
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


def fill_range_stream(
    const uint8_t[::1] body,
    int bits,
    Py_ssize_t n_kept,
    uint32_t n_params,
    Py_ssize_t start,
    float[::1] out,
):
    """out[index - start] = value for every kept value of a sparse body with a place in out.

    Reads from the front, block by block, and stops after the block that reaches the end of the
    range, unless that is the end of the parameters: what follows is then not looked at.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_kept: how many values body holds.
        n_params: indices are below it, and below 2**29.
        start: the parameter that belongs into out[0].
        out: overwritten where a value was kept, left as it is elsewhere.

    Returns:
        False, with out unfinished, if what was read is not of such a body.
    """
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    if start < 0 or out.shape[0] > <Py_ssize_t>n_params - start:
        raise ValueError("the range must be within the parameters")
    cdef Reader reader
    cdef bint is_valid
    _open(&reader, body, bits, n_params)
    with nogil:
        is_valid = _fill_range(
            &reader, n_kept, start, out.shape[0], &out[0] if out.shape[0] else NULL
        )
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
    """For a body that was found valid."""
    cdef Py_ssize_t m
    while n_kept > 0:
        m = min(n_kept, BLOCK)
        read_block(reader, m)
        _add(reader.indices, reader.values, m, weight, out)
        n_kept -= m


cdef bint _read_all(
    Reader* reader, Py_ssize_t n_kept, uint32_t* indices, float* values, const float* wanted
) noexcept nogil:
    """Reads the whole body, into indices and values unless they are NULL. While a block is read,
    the places in `wanted` of the block before are prefetched, unless that is NULL."""
    cdef Py_ssize_t m
    reader.wanted, reader.n_wanted = wanted, 0
    while n_kept > 0:
        m = min(n_kept, BLOCK)
        if not read_block(reader, m):
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


cdef bint _fill_range(
    Reader* reader, Py_ssize_t n_kept, uint64_t start, Py_ssize_t width, float* out
) noexcept nogil:
    cdef uint64_t stop = start + width, place
    cdef Py_ssize_t m, i
    reader.wanted, reader.n_wanted = NULL, 0
    while n_kept > 0:
        if reader.next_index >= stop and stop < reader.n_params:
            return True
        m = min(n_kept, BLOCK)
        if not read_block(reader, m):
            return False
        n_kept -= m
        if reader.next_index <= start:
            continue
        for i in range(m):
            place = reader.indices[i] - start  # huge before the range
            if place < <uint64_t>width:
                out[place] = reader.values[i]
    return reader.position == reader.end
