# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Kept values to the body of a sparse payload whose numbers go through a context range coder.

Body: the bf16 scales of all blocks of 256 (not float32); the values (float32 only); one range-coded
stream (range_coder.pxd) with, for each kept value, its gap, then its level (int4, int8), then its
sign (not float32, not of level 0). context.pxd says how each is coded.
"""

from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fedge._kernels.bits cimport (
    BLOCK, INFINITE, MAX_PARAMS, is_scale, largest_level, load16, load_float, magnitude,
    scale_value,
)
from fedge._kernels.context cimport Model, code_gap, code_length, code_sign, start_model
from fedge._kernels.range_coder cimport (
    Coder, finish_writing, is_all_read, start_reading, start_writing,
)


cdef struct Target:  # where values that are read go; NULL where they do not
    uint32_t* indices
    float* values
    float weight
    float* sums  # of all parameters; values are added, times the weight
    float* range  # of parameters start to before stop; what is there is overwritten
    uint64_t start
    uint64_t stop


def pack_context(
    const uint32_t[::1] indices,
    const uint8_t[::1] codes,
    const uint16_t[::1] scales,
    int bits,
    uint32_t n_params,
    uint8_t[::1] out,
):
    """Kept values to the body of a sparse payload with the context coder.

    Args:
        indices: strictly increasing, below n_params.
        codes: the values. Up to 8 bits the levels of quantise_kept, a signed byte each; for 32
            bits little-endian float32.
        scales: bf16 bits, one for each 256 indices; ignored for 32 bits.
        bits: 1, 4, 8 or 32.
        n_params: at most 2**29.
        out: overwritten.

    Returns:
        The length of the body at the start of out, or -1 if out is too short for it.
    """
    cdef Py_ssize_t k = indices.shape[0], n_blocks = (k + BLOCK - 1) // BLOCK
    _check_bits(bits)
    if codes.shape[0] != (4 * k if bits == 32 else k):
        raise ValueError("codes must have one value for each index")
    if bits != 32 and scales.shape[0] != n_blocks:
        raise ValueError("scales must have one entry for each 256 indices")
    if n_params > MAX_PARAMS or not _are_increasing(indices, n_params):
        raise ValueError("indices must increase strictly and be below n_params, at most 2**29")
    if k == 0:
        return 0
    cdef Py_ssize_t head = 4 * k if bits == 32 else 2 * n_blocks, length
    if out.shape[0] <= head:
        return -1
    cdef Coder coder
    memcpy(&out[0], &codes[0] if bits == 32 else <const uint8_t*>&scales[0], head)
    with nogil:
        start_writing(&coder, &out[head], out.shape[0] - head)
        _write(&coder, &indices[0], <const int8_t*>&codes[0], k, bits, n_params)
        length = finish_writing(&coder)
    return head + length if length >= 0 else -1


def unpack_context(
    const uint8_t[::1] body, int bits, uint32_t n_params, uint32_t[::1] indices, float[::1] values
):
    """The body of a sparse payload with the context coder to indices and values.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_params: indices are below it.
        indices: result, increasing; as many as were packed.
        values: result, finite.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    cdef Py_ssize_t k = indices.shape[0]
    _check_bits(bits)
    if values.shape[0] != k:
        raise ValueError("indices and values must have the same length")
    if k == 0 or body.shape[0] == 0:
        return k == 0 and body.shape[0] == 0
    cdef Target target = Target(&indices[0], &values[0], 0, NULL, NULL, 0, 0)
    cdef bint is_valid
    with nogil:
        is_valid = _read(&body[0], body.shape[0], bits, n_params, k, &target)
    return is_valid


def scatter_add_context(
    const uint8_t[::1] body, int bits, Py_ssize_t n_kept, float weight, float[::1] out
):
    """out[index] += weight * value for every kept value of a body with the context coder.

    The body is read twice, first only to check it, so that memory does not grow with it.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_kept: how many values body holds.
        weight: a factor.
        out: one for each parameter.

    Returns:
        False, with out untouched, if body is not such a body of this length.
    """
    _check_bits(bits)
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    if n_kept == 0 or body.shape[0] == 0 or out.shape[0] == 0:
        return n_kept == 0 and body.shape[0] == 0
    cdef uint32_t n_params = <uint32_t>min(<uint64_t>out.shape[0], <uint64_t>MAX_PARAMS)
    cdef Py_ssize_t size = body.shape[0]
    cdef Target nothing = Target(NULL, NULL, 0, NULL, NULL, 0, 0)
    cdef Target target = Target(NULL, NULL, weight, &out[0], NULL, 0, 0)
    cdef bint is_valid
    with nogil:
        is_valid = _read(&body[0], size, bits, n_params, n_kept, &nothing)
        if is_valid:
            _read(&body[0], size, bits, n_params, n_kept, &target)
    return is_valid


def fill_range_context(
    const uint8_t[::1] body,
    int bits,
    Py_ssize_t n_kept,
    uint32_t n_params,
    Py_ssize_t start,
    float[::1] out,
):
    """out[index - start] = value for every value kept within the range, by the context coder.

    Reads from the front and stops at the first value beyond the range, unless all parameters end
    there: what follows in the stream is then not looked at.

    Args:
        body: untrusted.
        bits: 1, 4, 8 or 32, as it was packed.
        n_kept: how many values body holds.
        n_params: indices are below it.
        start: the parameter that belongs into out[0].
        out: overwritten where a value was kept, left as it is elsewhere.

    Returns:
        False, with out unfinished, if what was read is not of such a body.
    """
    _check_bits(bits)
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    if start < 0 or out.shape[0] > <Py_ssize_t>n_params - start:
        raise ValueError("the range must be within the parameters")
    if n_kept == 0 or body.shape[0] == 0:
        return n_kept == 0 and body.shape[0] == 0
    cdef float no_place  # for an empty range
    cdef float* first = &out[0] if out.shape[0] else &no_place
    cdef Target target = Target(NULL, NULL, 0, NULL, first, start, start + out.shape[0])
    cdef bint is_valid
    with nogil:
        is_valid = _read(&body[0], body.shape[0], bits, n_params, n_kept, &target)
    return is_valid


cdef int _check_bits(int bits) except -1:
    if bits != 1 and bits != 4 and bits != 8 and bits != 32:
        raise ValueError("bits must be 1, 4, 8 or 32")
    return 0


cdef bint _are_increasing(const uint32_t[::1] indices, uint32_t n_params) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, indices.shape[0]):
        if indices[i] <= indices[i - 1]:
            return False
    return indices.shape[0] == 0 or indices[indices.shape[0] - 1] < n_params


cdef bint _are_floats(const uint8_t* body, Py_ssize_t k) noexcept nogil:
    cdef uint32_t top = 0
    cdef Py_ssize_t i
    for i in range(k):
        top = max(top, magnitude(load_float(body + 4 * i)))
    return top < INFINITE


cdef bint _are_scales(const uint8_t* body, Py_ssize_t n_blocks) noexcept nogil:
    cdef Py_ssize_t b
    for b in range(n_blocks):
        if not is_scale(load16(body + 2 * b)):
            return False
    return True


cdef void _write(
    Coder* coder,
    const uint32_t* indices,
    const int8_t* levels,
    Py_ssize_t k,
    int bits,
    uint32_t n_params,
) noexcept nogil:
    cdef Model model
    cdef uint32_t level, previous = 0xFFFFFFFF  # so that the first gap is the first index
    cdef Py_ssize_t i
    start_model(&model, n_params, k)
    for i in range(k):
        if coder.is_full:
            return
        code_gap(coder, &model, indices[i] - previous - 1)
        previous = indices[i]
        if bits == 32:
            continue
        level = <uint32_t>(-levels[i] if levels[i] < 0 else levels[i])
        if bits > 1:
            code_length(coder, &model.levels, level)
        if level:
            code_sign(coder, &model, levels[i] < 0)


cdef bint _read(
    const uint8_t* body,
    Py_ssize_t size,
    int bits,
    uint32_t n_params,
    Py_ssize_t k,
    const Target* target,
) noexcept nogil:
    """Reads the body; the whole of it, unless only a range of parameters is wanted."""
    cdef Py_ssize_t n_blocks = (k + BLOCK - 1) // BLOCK, i
    if size // (4 if bits == 32 else 2) < (k if bits == 32 else n_blocks):
        return False
    cdef Py_ssize_t head = 4 * k if bits == 32 else 2 * n_blocks
    if not (_are_floats(body, k) if bits == 32 else _are_scales(body, n_blocks)):
        return False
    cdef Coder coder
    cdef Model model
    cdef uint64_t index = 0  # gaps are below 2**32 and checked one by one: it cannot wrap
    cdef uint64_t stop = target.stop if target.range != NULL else n_params
    cdef float value
    start_reading(&coder, body + head, size - head)
    start_model(&model, n_params, k)
    for i in range(k):
        if index >= stop and stop < n_params:
            return True
        index += code_gap(&coder, &model, 0)
        if index >= n_params or not _read_value(&coder, &model, body, bits, i, &value):
            return False
        if target.indices != NULL:
            target.indices[i], target.values[i] = <uint32_t>index, value
        if target.sums != NULL:
            target.sums[index] = target.sums[index] + target.weight * value
        if target.range != NULL and target.start <= index < stop:
            target.range[index - target.start] = value
        index += 1
    return is_all_read(&coder)


cdef inline bint _read_value(
    Coder* coder, Model* model, const uint8_t* head, int bits, Py_ssize_t i, float* value
) noexcept nogil:
    cdef uint32_t level = 1
    if bits == 32:
        value[0] = load_float(head + 4 * i)
        return True
    if bits > 1:
        level = code_length(coder, &model.levels, 0)
        if level > <uint32_t>largest_level(bits):
            return False
    value[0] = <float>level * scale_value(load16(head + 2 * (i // BLOCK)))
    if level and code_sign(coder, model, 0):
        value[0] = -value[0]
    return True
