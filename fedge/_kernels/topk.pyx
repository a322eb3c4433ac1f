# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Error feedback and exact selection of the largest magnitudes, in one pass.

A threshold is guessed from a few samples, and the pass that adds collects what exceeds it. When the
room runs out, the threshold rises to the k-th largest so far; if fewer than k were collected in the
end, everything is read again. So the guess affects the time and nothing else.
"""

from libc.stdint cimport int32_t, uint32_t
from libc.math cimport sqrt
from libc.string cimport memcpy, memset

from fedge._kernels.bits cimport INFINITE, lowest_set_bit, magnitude

cdef extern from "lanes.h" nogil:
    uint32_t tile "fedge_tile"(const float* values, int32_t below) noexcept
    uint32_t add_tile "fedge_add_tile"(
        float* values, const float* added, float* before, int32_t below
    ) noexcept
    void prefetch "__builtin_prefetch"(const void* address, int is_write, int locality) noexcept

cdef enum:
    TILE = 32  # gcc unrolls loops of 16 before it would vectorise them
    CHUNK_TILES = CHUNK // 32
    FEW = 12  # keys: up to so many, comparing is faster than counting
    LAST = 511  # digits of 2**16, which are 128 to an octave: what is four octaves above


cdef struct Candidates:
    uint32_t* indices  # increasing
    uint32_t* keys  # their magnitudes, all above below
    uint32_t* spare
    Py_ssize_t n
    Py_ssize_t room
    Py_ssize_t k
    uint32_t below


def accumulate_topk(
    float[::1] residual,
    const float[::1] delta,
    Py_ssize_t k,
    uint32_t[::1] work,
    uint32_t[::1] indices,
):
    """residual += delta; indices[:n] = the increasing indices of its k largest magnitudes.

    Ties go to the lowest index, zeros are left out.

    Args:
        residual: changed in place.
        delta: as long as residual.
        k: how many at most.
        work: overwritten; at least 3 * (k + 2048), faster with twice that.
        indices: result; at least k long.

    Returns:
        How many indices were written: k, or fewer if fewer sums are not zero. -1 if a sum is not
        finite; residual is then as it was, up to rounding.
    """
    cdef Py_ssize_t n = residual.shape[0], room = work.shape[0] // 3
    if delta.shape[0] != n:
        raise ValueError("delta must have the length of residual")
    if k < 0 or indices.shape[0] < k or room < k + CHUNK:
        raise ValueError("indices must have room for k, work three times for k + 2048")
    if n == 0:
        return 0
    cdef Py_ssize_t n_found, i
    with nogil:
        n_found = accumulate_largest(&residual[0], &delta[0], n, k, &work[0], room)
        for i in range(n_found):
            indices[i] = work[i]
    return n_found


cdef Py_ssize_t accumulate_largest(
    float* residual, const float* delta, Py_ssize_t n, Py_ssize_t k, uint32_t* work, Py_ssize_t room
) noexcept nogil:
    """As accumulate_topk, with the indices at the start of work, which is 3 * room long."""
    cdef Candidates found
    found.indices, found.keys, found.spare = work, work + room, work + 2 * room
    found.room, found.k, found.n = room, k, 0
    found.below = _guess(residual, delta, n, k, work)
    cdef bint is_guess = found.below > 0
    cdef Py_ssize_t done = _scan(residual, delta, n, &found), i
    if done < n:
        for i in range(done):
            residual[i] = residual[i] - delta[i]
        return -1
    if found.n < k and is_guess:
        found.n, found.below = 0, 0
        _scan(residual, NULL, n, &found)
    if found.n > k:
        _keep_largest(&found)
    for i in range(found.n):
        prefetch(residual + found.indices[i], 1, 2)  # the quantiser wants them next
    return found.n


cdef uint32_t _guess(
    const float* residual, const float* delta, Py_ssize_t n, Py_ssize_t k, uint32_t* keys
) noexcept nogil:
    """A magnitude that more than k of the sums are likely to exceed, from at most 4096 of them.

    Only the time depends on it.
    """
    cdef Py_ssize_t n_runs = min(n // 256, <Py_ssize_t>512), run, i, start, n_keys = 0, rank
    if n_runs < 16:
        return 0
    cdef Py_ssize_t stride = n // n_runs
    cdef double expected = <double>k / n * (8 * n_runs)
    rank = <Py_ssize_t>(expected + 4 * sqrt(expected)) + 4
    if rank > 8 * n_runs:
        return 0
    for run in range(n_runs):  # not evenly spaced, lest they all meet the same column
        start = run * stride + <uint32_t>run * <uint32_t>0x9E3779B1 % <uint32_t>(stride - 7)
        for i in range(start, start + 8):
            keys[n_keys] = magnitude(residual[i] + delta[i])
            n_keys += 1
    cdef uint32_t key = _kth_largest(keys, n_keys, rank)
    return key - 1 if 0 < key < INFINITE else 0


cdef Py_ssize_t _scan(
    float* values, const float* added, Py_ssize_t n, Candidates* found
) noexcept nogil:
    """values += added, if it is not NULL; finds what exceeds found.below, which rises to the k-th
    largest when there is no more room. Stops before a chunk with a sum that is not finite."""
    cdef float before[CHUNK]
    cdef Py_ssize_t start = 0, m
    while start < n:
        m = min(n - start, CHUNK)
        if found.n + CHUNK > found.room:
            _keep_largest(found)
        if _scan_chunk(values, added, start, m, before, found) >= INFINITE:
            memcpy(values + start, before, m * sizeof(float))
            break
        start += m
    return start


cdef uint32_t _scan_chunk(
    float* values,
    const float* added,
    Py_ssize_t start,
    Py_ssize_t m,
    float* before,
    Candidates* found,
) noexcept nogil:
    """Returns the largest key found. If something is added, before gets what the values were."""
    cdef uint32_t hits[CHUNK_TILES]
    cdef uint32_t tiles[CHUNK_TILES]
    cdef Py_ssize_t n_tiles = m // TILE, n_hit = 0, n_found = found.n, t, i
    cdef uint32_t hit, key, top = 0, below = found.below
    for t in range(n_tiles):
        i = start + t * TILE
        if added != NULL:
            hits[t] = add_tile(values + i, added + i, before + t * TILE, below)
        else:
            hits[t] = tile(values + i, below)
    if n_tiles * TILE < m:
        i = n_tiles * TILE
        memcpy(before + i, values + start + i, (m - i) * sizeof(float))
        hits[n_tiles] = _scan_rest(
            values + start + i, added + start + i if added != NULL else NULL, m - i, below
        )
        n_tiles += 1
    for t in range(n_tiles):
        tiles[n_hit] = <uint32_t>t
        n_hit += hits[t] != 0
    for t in range(n_hit):
        hit = hits[tiles[t]]
        while True:
            i = start + tiles[t] * TILE + lowest_set_bit(hit)
            key = magnitude(values[i])
            found.indices[n_found] = <uint32_t>i
            found.keys[n_found] = key
            n_found += 1
            top = max(top, key)
            hit &= hit - 1
            if hit == 0:
                break
    found.n = n_found
    return top


cdef uint32_t _scan_rest(
    float* values, const float* added, Py_ssize_t m, uint32_t below
) noexcept nogil:
    """A tile that is not full."""
    cdef float[TILE] padded
    cdef Py_ssize_t i
    memset(padded, 0, sizeof(padded))
    for i in range(m):
        if added != NULL:
            values[i] = values[i] + added[i]
        padded[i] = values[i]
    return tile(padded, below)


cdef void _keep_largest(Candidates* found) noexcept nogil:
    """Keeps the k largest. Of those equal to the smallest the first ones stay, so a later one is
    wanted only if it is larger."""
    cdef Py_ssize_t i, n_kept = 0, n_ties = found.k
    cdef uint32_t key, smallest
    if found.n <= found.k:
        return
    smallest = _kth_above(found) if found.k > 0 else INFINITE - 1  # NaN must still be found
    for i in range(found.n):
        n_ties -= found.keys[i] > smallest
    for i in range(found.n):
        key = found.keys[i]
        found.indices[n_kept] = found.indices[i]
        found.keys[n_kept] = key
        n_kept += (key > smallest) | ((key == smallest) & (n_ties > 0))  # no branch to mispredict
        n_ties -= key == smallest
    found.n = n_kept
    found.below = smallest


cdef uint32_t _kth_above(Candidates* found) noexcept nogil:
    """The k-th largest key. Most are just above `below`, so the difference is counted first."""
    cdef uint32_t counts[LAST + 1]
    cdef uint32_t digit = 0, above
    cdef Py_ssize_t i, k = found.k, n_kept = 0
    memset(counts, 0, sizeof(counts))
    for i in range(found.n):
        above = min((found.keys[i] - found.below) >> 16, <uint32_t>LAST)
        counts[above] += 1
        digit = max(digit, above)
    while counts[digit] < k:
        k -= counts[digit]
        digit -= 1
    for i in range(found.n):
        above = (found.keys[i] - found.below) >> 16
        found.spare[n_kept] = found.keys[i]
        n_kept += min(above, <uint32_t>LAST) == digit
    return _kth_largest(found.spare, n_kept, k)


cdef uint32_t _kth_largest(uint32_t* keys, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """The k-th largest of n keys below 2**31, 1 <= k <= n: digit by digit, keeping the keys that
    share the digits found so far. Overwrites keys."""
    cdef uint32_t[4] shifts = [23, 15, 7, 0]
    cdef uint32_t[4] masks = [0xFF, 0xFF, 0xFF, 0x7F]
    cdef uint32_t counts[256]
    cdef uint32_t key, digit, shift, mask, found = 0
    cdef Py_ssize_t i, n_kept
    cdef int position
    for position in range(4):
        if n <= FEW:
            return _kth_of_few(keys, n, k)
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


cdef uint32_t _kth_of_few(const uint32_t* keys, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i, j, n_above, n_equal
    for i in range(n):
        n_above = n_equal = 0
        for j in range(n):
            n_above += keys[j] > keys[i]
            n_equal += keys[j] == keys[i]
        if n_above < k <= n_above + n_equal:
            return keys[i]
    return 0
