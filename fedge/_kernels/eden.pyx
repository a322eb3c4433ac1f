# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Rotated payload bodies: each block rotated at random, then 1 to 4 bits a value.

Body: for each block of 4096 values a float32 scale, then the levels, `bits` each, the lowest first,
up to a whole byte. The last block has up to 6143 values. A level is the number of the magnitude's
centroid, with the sign in its highest bit; the value is the block of centroids, rotated back, times
the scale.

Source: Vargaftik et al., 2022, arXiv:2108.08842 (EDEN): a rotated value is nearly normal, so the
centroids are those of Lloyd and Max for the standard normal; the scale |x|**2 / <rotated x, its
centroids> makes the result unbiased.
"""

from libc.math cimport isfinite, sqrt
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from fedge._kernels.bits cimport load_float
from fedge._kernels.rotation cimport (
    MOST_ROTATED, ROTATED, fedge_fwht, n_rotations, rotate, rotate_back, rotation_length,
)

cdef extern from "rotation.h":
    float* fedge_aligned(float* room) noexcept nogil
    double fedge_dot(const float* a, const float* b, size_t n) noexcept nogil
    void fedge_nearest(
        const float* x,
        size_t n,
        int sign_bit,
        const float* thresholds,
        const float* centroids,
        uint32_t* levels,
        float* chosen,
    ) noexcept nogil

# Centroids of |x| for a standard normal x, 1 to 4 bits; a test derives them. Then the scales that
# a body may have: from 2**-126, so that nothing is subnormal, to 2**90, so that no value overflows,
# not even times 2**29.
cdef extern from *:
    """
    static const float FEDGE_CENTROIDS[15] = {
        0.797884561f,
        0.452780035f, 1.51041761f,
        0.245094179f, 0.756005281f, 1.34390928f, 2.1519457f,
        0.12839503f, 0.388048299f, 0.656759119f, 0.942340456f,
        1.2562312f, 1.61804639f, 2.06901723f, 2.73258957f,
    };
    """
    const float* CENTROIDS "FEDGE_CENTROIDS"
    const float SMALLEST "0x1p-126f"
    const float LARGEST "0x1p90f"


def fwht(float[::1] values):
    """Walsh-Hadamard transform in place, without a factor: twice gives len(values) times values.

    Args:
        values: their number is a power of two.
    """
    cdef Py_ssize_t n = values.shape[0]
    if n < 1 or n & (n - 1):
        raise ValueError("the number of values must be a power of two")
    with nogil:
        fedge_fwht(&values[0], n)


def quantise_rotated(const float[::1] values, uint32_t seed, int bits, uint8_t[::1] out):
    """Rotated values to the nearest of 2**bits centroids.

    Args:
        values: any number.
        seed: of the rotations.
        bits: 1 to 4.
        out: result: 4 bytes a block, and ceil(len(values) * bits / 8).

    Returns:
        False, with out unfinished, if a value is not finite or a scale is above 2**90.
    """
    cdef Py_ssize_t n = values.shape[0], b, m
    _check_bits(bits)
    if out.shape[0] != _size(n, bits):
        raise ValueError("out must have 4 bytes a block and bits / 8 a value")
    cdef float room[MOST_ROTATED + 16]
    cdef float* block = fedge_aligned(room)
    cdef uint8_t* end = &out[0] if n else NULL
    cdef bint is_finite = True
    with nogil:
        for b in range(n_rotations(n)):
            m = rotation_length(n, b)
            memcpy(block, &values[b * ROTATED], m * sizeof(float))
            rotate(block, m, seed, b)
            end = _write_block(block, m, bits, end)
            if end == NULL:
                is_finite = False
                break
    return is_finite


def accumulate_rotated(
    const uint8_t[::1] body, uint32_t seed, int bits, float weight, float[::1] out
):
    """out += weight * value for every value of a rotated body.

    Args:
        body: untrusted.
        seed: of the rotations.
        bits: 1 to 4.
        weight: a factor.
        out: one for each value.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    cdef Py_ssize_t n = out.shape[0], b, m, i
    _check_bits(bits)
    if body.shape[0] != _size(n, bits):
        return False
    if not _are_scales(body, n, bits):
        return False
    cdef float room[MOST_ROTATED + 16]
    cdef float* block = fedge_aligned(room)
    cdef const uint8_t* source = &body[0] if n else NULL
    cdef float* sums = &out[0] if n else NULL
    cdef float scale
    with nogil:
        for b in range(n_rotations(n)):
            m = rotation_length(n, b)
            scale = load_float(source)
            _read_levels(source + 4, m, bits, block)
            rotate_back(block, m, seed, b)
            for i in range(m):
                sums[i] = sums[i] + weight * (block[i] * scale)
            source += 4 + (m * bits + 7) // 8
            sums += m
    return True


def fill_range_rotated(
    const uint8_t[::1] body, uint32_t seed, int bits, Py_ssize_t n, Py_ssize_t start, float[::1] out
):
    """out[i] = value start + i of a rotated body, as accumulate_rotated adds it to zero.

    A block of up to 6143 values is rotated back as a whole, on the stack, even if only one of them
    is wanted. Other blocks are not looked at.

    Args:
        body: untrusted.
        seed: of the rotations.
        bits: 1 to 4.
        n: how many values body holds.
        start: the first value wanted.
        out: overwritten.

    Returns:
        False, with out unfinished, if body has another length or what was read is of no encoder.
    """
    cdef Py_ssize_t width = out.shape[0], n_blocks = n_rotations(n)
    _check_bits(bits)
    if start < 0 or width > n - start:
        raise ValueError("the range must be within the parameters")
    if body.shape[0] != _size(n, bits):
        return False
    if width == 0:
        return True
    cdef float room[MOST_ROTATED + 16]
    cdef float* block = fedge_aligned(room)
    cdef float* values = &out[0]
    cdef Py_ssize_t b = min(start // ROTATED, n_blocks - 1), first = start - b * ROTATED, m, i
    cdef const uint8_t* source = &body[b * (4 + ROTATED * bits // 8)]
    cdef float scale
    cdef bint is_valid = True
    with nogil:
        while width > 0:
            m = rotation_length(n, b)
            scale = load_float(source)
            if not (scale == 0 or SMALLEST <= scale <= LARGEST):
                is_valid = False
                break
            _read_levels(source + 4, m, bits, block)
            rotate_back(block, m, seed, b)
            for i in range(min(m - first, width)):
                values[i] = <float>0 + block[first + i] * scale
            values += min(m - first, width)
            width -= min(m - first, width)
            source += 4 + (m * bits + 7) // 8
            first = 0
            b += 1
    return is_valid


cdef int _check_bits(int bits) except -1:
    if not 1 <= bits <= 4:
        raise ValueError("bits must be 1 to 4")
    return 0


cdef Py_ssize_t _size(Py_ssize_t n, int bits) noexcept nogil:
    return 4 * n_rotations(n) + (n * bits + 7) // 8


cdef bint _are_scales(const uint8_t[::1] body, Py_ssize_t n, int bits) noexcept nogil:
    cdef Py_ssize_t b, position = 0
    cdef float scale
    for b in range(n_rotations(n)):
        scale = load_float(&body[position])
        if not (scale == 0 or SMALLEST <= scale <= LARGEST):
            return False
        position += 4 + (rotation_length(n, b) * bits + 7) // 8
    return True


cdef uint8_t* _write_block(
    const float* block, Py_ssize_t m, int bits, uint8_t* out
) noexcept nogil:
    """Scale and levels of a rotated block; NULL if there is no scale for it."""
    cdef uint32_t levels[MOST_ROTATED + 8]
    cdef double squares = fedge_dot(block, block, m), along
    if not isfinite(squares):
        return NULL
    cdef float room[MOST_ROTATED + 16]
    cdef float* chosen = fedge_aligned(room)
    _nearest(block, m, bits, sqrt(squares / m), levels, chosen)
    along = fedge_dot(block, chosen, m)
    cdef float scale = <float>(squares / along) if along > 0 else 0
    if scale > LARGEST:
        return NULL
    if scale < SMALLEST:
        scale = 0
    memcpy(out, &scale, 4)
    return _pack_levels(levels, m, bits, out + 4)


cdef void _nearest(
    const float* block, Py_ssize_t m, int bits, double rms, uint32_t* levels, float* chosen
) noexcept nogil:
    """Levels and signed centroids; thresholds lie half-way, in units of the block's rms."""
    cdef int n_magnitudes = 1 << (bits - 1), j
    cdef const float* centroids = &CENTROIDS[n_magnitudes - 1]
    cdef float[8] thresholds
    for j in range(n_magnitudes - 1):
        thresholds[j] = <float>((<double>centroids[j] + <double>centroids[j + 1]) * 0.5 * rms)
    fedge_nearest(block, m, bits - 1, thresholds, centroids, levels, chosen)


cdef uint8_t* _pack_levels(
    uint32_t* levels, Py_ssize_t m, int bits, uint8_t* out
) noexcept nogil:
    """Eight levels make `bits` bytes; levels has room for eight more than m."""
    cdef uint32_t word
    cdef Py_ssize_t i, n_bytes = (m * bits + 7) // 8
    cdef int j
    memset(levels + m, 0, 8 * sizeof(uint32_t))
    for i in range(0, m, 8):
        word = 0
        for j in range(8):
            word |= levels[i + j] << (j * bits)
        memcpy(out, &word, min(n_bytes, <Py_ssize_t>bits))
        out += min(n_bytes, <Py_ssize_t>bits)
        n_bytes -= bits
    return out


cdef void _read_levels(
    const uint8_t* source, Py_ssize_t m, int bits, float* block
) noexcept nogil:
    cdef int n_magnitudes = 1 << (bits - 1), j
    cdef float[16] values
    cdef uint32_t word, mask = (1 << bits) - 1
    cdef Py_ssize_t i, n_bytes = (m * bits + 7) // 8
    for j in range(n_magnitudes):
        values[j] = CENTROIDS[n_magnitudes - 1 + j]
        values[n_magnitudes + j] = -values[j]
    for i in range(0, m, 8):
        word = 0
        memcpy(&word, source, min(n_bytes, <Py_ssize_t>bits))
        for j in range(min(m - i, 8)):
            block[i + j] = values[word >> (j * bits) & mask]
        source += bits
        n_bytes -= bits
