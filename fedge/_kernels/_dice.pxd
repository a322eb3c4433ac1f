# cython: language_level=3str, cdivision=True
"""Dice by counter: 32 bits that depend on a seed, a purpose and a number, and on nothing else."""

from libc.stdint cimport uint32_t

cdef extern from "_dice.h" nogil:
    uint32_t mix "fedge_mix"(uint32_t x) noexcept

cdef enum:
    SIGNS = 0x5349474E  # purposes, so that one seed serves several
    MASK = 0x4D41534B


cdef inline uint32_t die(uint32_t seed, uint32_t purpose, uint32_t counter) noexcept nogil:
    """Mixed twice: after one mixing, two seeds would show the same dice in another order."""
    return mix(mix(counter ^ seed) ^ mix(seed ^ purpose))
