# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Error feedback and exact selection of the largest magnitudes.

A tile's maximum prunes: the k-th largest maximum is a lower bound of the k-th largest magnitude,
because k tiles hold one at least as large each. So only tiles that reach it are read again.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fedge._kernels._bits cimport INFINITE, load64, lowest_set_bit, magnitude

cdef enum:
    TILE = 32  # gcc unrolls loops of 16 before it would vectorise them


def accumulate_blockmax(float[::1] residual, const float[::1] delta, uint32_t[::1] maxima):
    """residual += delta; maxima[t] = bits of the largest |sum| in the t-th tile of 32.

    Returns:
        How many values were added: all, or those before the first tile with a sum that is not
        finite.
    """
    cdef Py_ssize_t n = residual.shape[0], n_tiles = (n + TILE - 1) // TILE
    if delta.shape[0] != n or maxima.shape[0] != n_tiles:
        raise ValueError("delta must have the length of residual, maxima one entry for each 32")
    cdef Py_ssize_t t, start, done = n
    cdef int32_t top
    with nogil:
        for t in range(n_tiles):
            start = t * TILE
            if n - start >= TILE:
                top = _add_tile(&residual[start], &delta[start], TILE)
            else:
                top = _add_tile(&residual[start], &delta[start], n - start)
            if top >= INFINITE:
                done = start
                break
            maxima[t] = top
    return done


cdef inline int32_t _add_tile(float* residual, const float* delta, Py_ssize_t n) noexcept nogil:
    """Adds a tile unless a sum is not finite; gives the bits of its largest magnitude."""
    cdef float sums[TILE]
    cdef int32_t top = 0, bits
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] = residual[i] + delta[i]
        bits = <int32_t>magnitude(sums[i])
        top = bits if bits > top else top
    if top < INFINITE:
        memcpy(residual, sums, n * sizeof(float))
    return top


def select_topk(
    const float[::1] values,
    const uint32_t[::1] maxima,
    Py_ssize_t k,
    uint32_t[::1] work,
    uint32_t[::1] indices,
):
    """Increasing indices of the k largest magnitudes; ties to the lowest index, zeros left out.

    Args:
        values: finite.
        maxima: of values, from accumulate_blockmax.
        k: how many at most.
        work: overwritten; twice as long as values, of which only the start is touched.
        indices: result; at least k long.

    Returns:
        How many indices were written: k, or fewer if fewer values are not zero.
    """
    cdef Py_ssize_t n = values.shape[0], n_tiles = (n + TILE - 1) // TILE
    if maxima.shape[0] != n_tiles or work.shape[0] < 2 * n:
        raise ValueError("maxima must have one entry for each 32 values, work two for each")
    if k < 0 or indices.shape[0] < k:
        raise ValueError("indices must have room for k")
    if n == 0 or k == 0:
        return 0
    cdef uint32_t* candidates = &work[0]
    cdef uint32_t* keys = &work[n]
    cdef uint32_t threshold
    cdef Py_ssize_t n_candidates, n_selected
    with nogil:
        threshold = _lower_bound(&maxima[0], n_tiles, k, keys)
        n_candidates = _candidates(&values[0], n, &maxima[0], threshold, keys, candidates)
        n_selected = _largest(&values[0], candidates, n_candidates, k, keys, &indices[0])
    return n_selected


cdef uint32_t _lower_bound(
    const uint32_t* maxima, Py_ssize_t n, Py_ssize_t k, uint32_t* keys
) noexcept nogil:
    """A threshold that at least k magnitudes reach; 1 if only zero is surely not wanted."""
    if k > n:
        return 1
    memcpy(keys, maxima, n * sizeof(uint32_t))
    return max(_kth_largest(keys, n, k), <uint32_t>1)


cdef Py_ssize_t _candidates(
    const float* values,
    Py_ssize_t n,
    const uint32_t* maxima,
    uint32_t threshold,
    uint32_t* tiles,
    uint32_t* candidates,
) noexcept nogil:
    """Indices of all magnitudes that reach the threshold; tiles is overwritten."""
    cdef Py_ssize_t t, start, n_tiles = 0, n_found = 0
    for t in range((n + TILE - 1) // TILE):
        tiles[n_tiles] = <uint32_t>t
        n_tiles += maxima[t] >= threshold
    for t in range(n_tiles):
        start = tiles[t] * <Py_ssize_t>TILE
        if n - start >= TILE:
            n_found += _reaching(values, start, TILE, threshold, candidates + n_found)
        else:
            n_found += _reaching(values, start, n - start, threshold, candidates + n_found)
    return n_found


cdef inline Py_ssize_t _reaching(
    const float* values, Py_ssize_t start, Py_ssize_t n, uint32_t threshold, uint32_t* indices
) noexcept nogil:
    """Indices of a tile's magnitudes that reach the threshold."""
    cdef uint8_t flags[TILE]
    cdef uint64_t found = 0
    cdef Py_ssize_t i, n_found = 0
    memset(flags, 0, TILE)
    for i in range(n):
        flags[i] = <int32_t>magnitude(values[start + i]) >= <int32_t>threshold
    for i in range(0, TILE, 8):  # the product gathers the low bits of 8 bytes in the top byte
        found |= (load64(flags + i) * <uint64_t>0x0102040810204080 >> 56) << i
    while found:
        indices[n_found] = <uint32_t>(start + lowest_set_bit(found))
        n_found += 1
        found &= found - 1
    return n_found


cdef Py_ssize_t _largest(
    const float* values,
    const uint32_t* candidates,
    Py_ssize_t n,
    Py_ssize_t k,
    uint32_t* keys,
    uint32_t* indices,
) noexcept nogil:
    """The k largest of n candidates; of those equal to the smallest, the first."""
    if n <= k:
        memcpy(indices, candidates, n * sizeof(uint32_t))
        return n
    cdef Py_ssize_t i, n_selected = 0, n_ties = k
    cdef uint32_t key, smallest
    for i in range(n):
        keys[i] = magnitude(values[candidates[i]])
    smallest = _kth_largest(keys, n, k)
    for i in range(n):
        n_ties -= magnitude(values[candidates[i]]) > smallest
    for i in range(n):
        key = magnitude(values[candidates[i]])
        if key > smallest or (key == smallest and n_ties > 0):
            n_ties -= key == smallest
            indices[n_selected] = candidates[i]
            n_selected += 1
    return n_selected


cdef uint32_t _kth_largest(uint32_t* keys, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """The k-th largest of n keys below 2**31, 1 <= k <= n: digit by digit, keeping the keys that
    share the digits found so far. Overwrites keys."""
    cdef uint32_t[3] shifts = [20, 9, 0]
    cdef uint32_t[3] masks = [0x7FF, 0x7FF, 0x1FF]
    cdef uint32_t counts[2048]
    cdef uint32_t key, digit, shift, mask, found = 0
    cdef Py_ssize_t i, n_kept
    cdef int position
    for position in range(3):
        shift, mask = shifts[position], masks[position]
        memset(counts, 0, sizeof(counts))
        for i in range(n):
            counts[(keys[i] >> shift) & mask] += 1
        digit = mask
        while counts[digit] < k:
            k -= counts[digit]
            digit -= 1
        found |= digit << shift
        n_kept = 0
        for i in range(n):
            key = keys[i]
            keys[n_kept] = key
            n_kept += ((key >> shift) & mask) == digit
        n = n_kept
    return found
