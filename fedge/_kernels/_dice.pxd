# cython: language_level=3str
"""Dice by counter: 32 bits that depend on a seed, a purpose and a number, and on nothing else."""

from libc.stdint cimport uint32_t

cdef enum:
    SIGNS = 0x5349474E  # purposes, so that one seed serves several
    MASK = 0x4D41534B


cdef inline uint32_t mix(uint32_t x) noexcept nogil:
    """lowbias32 of C. Wellons, "Prospecting for hash functions", 2018."""
    x = (x ^ (x >> 16)) * <uint32_t>0x7FEB352D
    x = (x ^ (x >> 15)) * <uint32_t>0x846CA68B
    return x ^ (x >> 16)


cdef inline uint32_t die(uint32_t seed, uint32_t purpose, uint32_t counter) noexcept nogil:
    """Mixed twice: after one mixing, two seeds would show the same dice in another order."""
    return mix(mix(counter ^ seed) ^ mix(seed ^ purpose))
