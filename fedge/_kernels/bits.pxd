# cython: language_level=3str, cdivision=True
"""Bits of floats and streams, shared by the codec kernels. All machines we run on are
little-endian; the build stops on another."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the payload codecs load words in the machine's order, which must be little-endian"
    #endif
    """
    int lowest_set_bit "__builtin_ctzll"(uint64_t word) noexcept nogil

cdef enum:
    MAX_PARAMS = 1 << 29
    BLOCK = 256  # kept values that share a scale and Rice parameters
    INFINITE = 0x7F800000  # magnitude() of infinity; NaN is above it
    SMALLEST_SCALE = 0x0080  # 2**-126: its inverse is finite, nothing is subnormal
    LARGEST_SCALE = 0x7BFF  # the largest bf16 whose 128-fold is a finite float32


cdef inline uint32_t magnitude(float value) noexcept nogil:
    """The bits of |value|: they order as the magnitudes do, with NaN above all."""
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    return bits & 0x7FFFFFFF


cdef inline float from_bits(uint32_t bits) noexcept nogil:
    cdef float value
    memcpy(&value, &bits, 4)
    return value


cdef inline uint16_t scale_above(float value) noexcept nogil:
    """The smallest bf16 not below value, as bits, within the range that a payload may carry."""
    cdef uint32_t bits = (magnitude(value) + 0xFFFF) >> 16
    return <uint16_t>min(max(bits, <uint32_t>SMALLEST_SCALE), <uint32_t>LARGEST_SCALE)


cdef inline float scale_value(uint16_t scale) noexcept nogil:
    return from_bits(<uint32_t>scale << 16)


cdef inline int32_t largest_level(int bits) noexcept nogil:
    """Of values in 8, 4 or 1 bits before entropy coding."""
    return 127 if bits == 8 else 7 if bits == 4 else 1


cdef inline bint is_scale(uint16_t scale) noexcept nogil:
    return SMALLEST_SCALE <= scale <= LARGEST_SCALE


cdef inline uint16_t load16(const uint8_t* source) noexcept nogil:
    cdef uint16_t word
    memcpy(&word, source, 2)
    return word


cdef inline uint64_t load64(const uint8_t* source) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, source, 8)
    return word


cdef inline float load_float(const uint8_t* source) noexcept nogil:
    cdef float value
    memcpy(&value, source, 4)
    return value
