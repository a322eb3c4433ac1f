# cython: language_level=3str, cdivision=True
"""The selection, for the kernel that encodes what is selected."""

from libc.stdint cimport uint32_t

cdef enum:
    CHUNK = 2048  # values read at once: what is read twice is still in the nearest cache


cdef Py_ssize_t accumulate_largest(
    float* residual, const float* delta, Py_ssize_t n, Py_ssize_t k, uint32_t* work, Py_ssize_t room
) noexcept nogil
