# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""A random mask given by a seed: one place in each of k runs of nearly equal length."""

from libc.stdint cimport uint32_t, uint64_t

from fedge._kernels.rng cimport MASK, random_bits


def draw_mask(Py_ssize_t n_params, uint32_t seed, uint32_t[::1] indices, float[::1] values):
    """One place of each run, each with the same chance to length / 2**32.

    Run j of k has the places from j * n_params // k to before (j + 1) * n_params // k. So a value
    times the length of its run is, over all seeds, the mean of nothing and of all that is dropped:
    unbiased. Drawing costs O(k), and each run depends only on its own random bits.

    Args:
        n_params: at most 2**29, at least k.
        seed: of the draw.
        indices: result, increasing, one for each run.
        values: one for each run; multiplied by its length.
    """
    cdef Py_ssize_t k = indices.shape[0], j
    if values.shape[0] != k:
        raise ValueError("indices and values must have the same length")
    if not k <= n_params <= 1 << 29:
        raise ValueError("n_params must be at most 2**29 and at least the number of indices")
    if k == 0:
        return
    cdef uint64_t start = 0, end = 0, left = 0, width
    with nogil:
        for j in range(k):
            end += n_params // k
            left += n_params % k
            if left >= <uint64_t>k:
                left -= k
                end += 1
            width = end - start
            indices[j] = <uint32_t>(start + (random_bits(seed, MASK, <uint32_t>j) * width >> 32))
            values[j] = values[j] * <float>width
            start = end


def draw_mask_range(
    Py_ssize_t n_params,
    uint32_t seed,
    Py_ssize_t k,
    Py_ssize_t first,
    uint32_t[::1] indices,
    float[::1] values,
):
    """Some of the k places that draw_mask draws: those of the runs from `first` on.

    Args:
        n_params: at most 2**29, at least k.
        seed: of the draw.
        k: how many runs there are.
        first: the run of indices[0].
        indices: result, increasing, one for each of as many runs as it has room for.
        values: one for each of these runs; multiplied by its length.
    """
    cdef Py_ssize_t n = indices.shape[0]
    if values.shape[0] != n:
        raise ValueError("indices and values must have the same length")
    if not 0 <= k <= n_params <= 1 << 29:
        raise ValueError("n_params must be at most 2**29 and at least the number of runs")
    if first < 0 or n > k - first:
        raise ValueError("the runs must be within those of the mask")
    if n == 0:
        return
    cdef uint64_t start = <uint64_t>first * <uint64_t>n_params // <uint64_t>k, end = start, width
    cdef uint64_t left = <uint64_t>first * <uint64_t>n_params % <uint64_t>k
    cdef uint32_t bits
    cdef Py_ssize_t j
    with nogil:
        for j in range(n):  # as above, but not together: the plain loop is faster without `first`
            end += n_params // k
            left += n_params % k
            if left >= <uint64_t>k:
                left -= k
                end += 1
            width = end - start
            bits = random_bits(seed, MASK, <uint32_t>(first + j))
            indices[j] = <uint32_t>(start + (bits * width >> 32))
            values[j] = values[j] * <float>width
            start = end
