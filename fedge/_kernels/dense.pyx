# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Dense payload bodies, every value as an int8 level or as it is; and sums of squares of values.

int8 body: for each 256 values a bf16 scale, then one signed byte a value; value = level * scale.
"""

from libc.stdint cimport int32_t, int8_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from fedge._kernels.bits cimport (
    BLOCK, INFINITE, is_scale, load16, load_float, magnitude, scale_value,
)
from fedge._kernels.quantising cimport Rounding, set_levels

cdef enum:
    HALF = BLOCK // 2
    LANES = 8


def quantise_dense(const float[::1] values, uint32_t seed, uint8_t[::1] out):
    """Stochastic rounding to levels -127..127 of a scale for each 256 values.

    Values j and j + 128 of block b share the 32 bits of a hash of (128 * b + j) ^ seed, 16 each,
    so the rounding depends neither on the machine nor on the order of work. The mean over all
    seeds is the value, to 2**-16 of its scale.

    Args:
        values: any number.
        seed: of the rounding.
        out: result, the int8 body: len(values) + 2 for each 256 begun.

    Returns:
        False, with out unfinished, if a value is not finite.

    Source:
        The hash is lowbias32 of C. Wellons, "Prospecting for hash functions", 2018.
    """
    cdef Py_ssize_t n = values.shape[0], n_blocks = (n + BLOCK - 1) // BLOCK
    if out.shape[0] != n + 2 * n_blocks:
        raise ValueError("out must have a byte for each value and two for each 256")
    cdef Py_ssize_t b
    cdef Rounding rounding = Rounding(8, True, seed)
    cdef bint is_finite = True
    with nogil:
        for b in range(n_blocks):
            is_finite = _quantise_block(
                &rounding,
                &values[b * BLOCK],
                min(n - b * BLOCK, BLOCK),
                <uint32_t>(b * HALF),
                &out[b * (BLOCK + 2)],
            )
            if not is_finite:
                break
    return is_finite


cdef bint _quantise_block(
    const Rounding* rounding, const float* values, Py_ssize_t m, uint32_t counter, uint8_t* out
) noexcept nogil:
    cdef float[BLOCK] padded
    cdef int8_t[BLOCK] levels
    cdef uint16_t scale
    if m < BLOCK:
        memset(padded, 0, sizeof(padded))
        memcpy(padded, values, m * sizeof(float))
        scale = set_levels(rounding, padded, counter, levels)
        memcpy(out + 2, levels, m)
    else:
        scale = set_levels(rounding, values, counter, <int8_t*>out + 2)
    memcpy(out, &scale, 2)
    return scale != 0


def accumulate_dense(const uint8_t[::1] body, int bits, float weight, float[::1] out):
    """out += weight * value for every value of a dense body.

    Args:
        body: untrusted.
        bits: 8 for the int8 body, 32 for little-endian float32.
        weight: a factor.
        out: one for each value.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    cdef Py_ssize_t n = out.shape[0]
    _check_bits(bits)
    if body.shape[0] != _size(n, bits):
        return False
    if n == 0:
        return True
    cdef bint is_valid
    with nogil:
        if bits == 32:
            is_valid = _are_finite(&body[0], n)
            if is_valid:
                _add_floats(&body[0], weight, &out[0], n)
        else:
            is_valid = _are_scales(&body[0], n)
            if is_valid:
                _add_levels(&body[0], weight, &out[0], n)
    return is_valid


def fill_range_dense(
    const uint8_t[::1] body, int bits, Py_ssize_t n_params, Py_ssize_t start, float[::1] out
):
    """out[i] = value start + i of a dense body, as accumulate_dense adds it to zero.

    Only the values of the range are looked at, and for int8 the scales of their blocks.

    Args:
        body: untrusted.
        bits: 8 for the int8 body, 32 for little-endian float32.
        n_params: how many values body holds.
        start: the first value wanted.
        out: overwritten.

    Returns:
        False, with out unfinished, if body has another length or what was read is of no encoder.
    """
    cdef Py_ssize_t width = out.shape[0]
    _check_bits(bits)
    if start < 0 or width > n_params - start:
        raise ValueError("the range must be within the parameters")
    if body.shape[0] != _size(n_params, bits):
        return False
    if width == 0:
        return True
    cdef bint is_valid
    with nogil:
        memset(&out[0], 0, width * sizeof(float))
        if bits == 32:
            is_valid = _are_finite(&body[4 * start], width)
            if is_valid:
                _add_floats(&body[4 * start], 1, &out[0], width)
        else:
            is_valid = _fill_levels(&body[0], start, width, &out[0])
    return is_valid


cdef bint _fill_levels(
    const uint8_t* body, Py_ssize_t start, Py_ssize_t width, float* out
) noexcept nogil:
    cdef Py_ssize_t b = start // BLOCK, first = start - b * BLOCK, m, i
    cdef float scale
    cdef const int8_t* levels
    while width > 0:
        m = min(BLOCK - first, width)
        if not is_scale(load16(body + b * (BLOCK + 2))):
            return False
        scale = scale_value(load16(body + b * (BLOCK + 2)))
        levels = <const int8_t*>body + b * (BLOCK + 2) + 2 + first
        for i in range(m):
            out[i] = <float>levels[i] * scale
        out += m
        width -= m
        first = 0
        b += 1
    return True


cdef int _check_bits(int bits) except -1:
    if bits != 8 and bits != 32:
        raise ValueError("bits must be 8 or 32")
    return 0


cdef Py_ssize_t _size(Py_ssize_t n, int bits) noexcept nogil:
    return 4 * n if bits == 32 else n + 2 * ((n + BLOCK - 1) // BLOCK)


cdef bint _are_finite(const uint8_t* body, Py_ssize_t n) noexcept nogil:
    cdef int32_t top = 0, bits
    cdef Py_ssize_t i
    for i in range(n):
        bits = <int32_t>magnitude(load_float(body + 4 * i))
        top = bits if bits > top else top
    return top < INFINITE


cdef void _add_floats(const uint8_t* body, float weight, float* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = out[i] + weight * load_float(body + 4 * i)


cdef bint _are_scales(const uint8_t* body, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t b
    for b in range((n + BLOCK - 1) // BLOCK):
        if not is_scale(load16(body + b * (BLOCK + 2))):
            return False
    return True


cdef void _add_levels(const uint8_t* body, float weight, float* out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t b, i
    cdef float scale
    cdef const int8_t* levels
    for b in range((n + BLOCK - 1) // BLOCK):
        scale = scale_value(load16(body))
        levels = <const int8_t*>body + 2
        for i in range(min(n - b * BLOCK, BLOCK)):
            out[i] = out[i] + weight * (<float>levels[i] * scale)
        body += BLOCK + 2
        out += BLOCK


def sum_of_squares(const float[::1] values, double[::1] out):
    """out[0] = the sum of the squares, in float64, in an order that every machine keeps.

    Value i goes into sum i % 8, in turn; then ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). A square
    of a float32 is exact in float64, and no number of finite ones leaves its range: the result is
    finite if all values are.
    """
    cdef Py_ssize_t n = values.shape[0], n_rows = n // LANES, i, j
    cdef double[LANES] sums
    cdef double value
    if out.shape[0] != 1:
        raise ValueError("out must have one entry")
    memset(sums, 0, sizeof(sums))
    with nogil:
        for i in range(n_rows):
            for j in range(LANES):
                value = values[i * LANES + j]
                sums[j] = sums[j] + value * value
        for j in range(n - n_rows * LANES):
            value = values[n_rows * LANES + j]
            sums[j] = sums[j] + value * value
        out[0] = (
            ((sums[0] + sums[4]) + (sums[2] + sums[6]))
            + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
        )
