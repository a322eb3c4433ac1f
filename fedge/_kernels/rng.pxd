# cython: language_level=3str, cdivision=True
"""A counter-based rng: 32 bits that depend on a seed, a purpose and a counter, on nothing else."""

from libc.stdint cimport uint32_t

cdef extern from "rng.h" nogil:
    uint32_t mix "fedge_mix"(uint32_t x) noexcept

cdef enum:
    SIGNS = 0x5349474E  # purposes, so that one seed serves several
    MASK = 0x4D41534B


cdef inline uint32_t random_bits(uint32_t seed, uint32_t purpose, uint32_t counter) noexcept nogil:
    """Mixed twice: after one mixing, two seeds would give the same bits in another order."""
    return mix(mix(counter ^ seed) ^ mix(seed ^ purpose))
