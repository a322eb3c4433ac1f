# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Rules that look at each column by itself and count only the values that were sent.

NaN stands for a value that was not. What m of n rows sent makes the result of these m, times m / n:
as in a mean, who did not send adds nothing to the sum but is one of those that it is divided by.
Without that factor, at a hundredth of the values sent, a column that a single device sent would
move as far as if all had agreed on it; and if who did not send were taken to vote for zero, the
median of nearly every column would be zero.
"""

from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from fedge._kernels.network cimport (
    LANES, MAX_ROWS, Columns, Network, mean_of_rows, next_columns, open_columns, open_network,
    sort_tile, tile_size,
)

cdef extern from "present.h" nogil:
    int32_t count_present(const int32_t* tile, Py_ssize_t n, int32_t* counts) noexcept
    float value_of(int32_t key) noexcept
    void mean_between(
        const int32_t* tile,
        Py_ssize_t n,
        const int32_t* first,
        const int32_t* last,
        const int32_t* counts,
        float* out,
    ) noexcept
    void nearest_window(
        const int32_t* tile, Py_ssize_t n, Py_ssize_t k, const float* middle, int32_t* first
    ) noexcept


def present_tile(const float[:, :] rows, Py_ssize_t f, float[::1] out):
    """out[j] = m / n times the mean of column j's m values without the f smallest and f largest.

    NaN is no value. Of few values fewer are trimmed: (m - 1) // 2 of each side at most, so that
    one or two remain, the median. With f from (n - 1) // 2 on, it is m / n times the median
    everywhere. A column without any value gives 0. The sum runs in float32 from the smallest value
    to the largest; m / n is rounded to float32, and so is each product and quotient.

    Args:
        rows: shape (n, d), n from 1 to 65536, the values of a row next to each other.
        f: how many are trimmed of each side, at least 0.
        out: result, shape (d,); that of robust_tile where no value is NaN.
    """
    if f < 0:
        raise ValueError("f must not be negative")
    cdef Py_ssize_t n = rows.shape[0]
    f = max(min(f, (n - 1) // 2), 0)
    _over_columns(rows, f, 0, out)


def nearest_tile(const float[:, :] rows, Py_ssize_t k, float[::1] out):
    """out[j] = m / n times the mean of those of column j's m values that are nearest the median.

    NaN is no value. Of n values, k are nearest; of m as many are left out as of n, but so many
    remain that it is no fewer than the median is the mean of: max(m - (n - k), min(k, 2 - m % 2)).
    They are next to each other in rank. Where two choices are equally near, the lower ranks are
    taken. A column without any value gives 0. The sum runs in float32 from the smallest value to
    the largest; the median of an even number is the float32 mean of the middle two.

    Args:
        rows: shape (n, d), n from 1 to 65536, the values of a row next to each other.
        k: from 1 to n.
        out: result, shape (d,).

    Source:
        Xie et al., 2018, arXiv:1802.10116 (mean around the median); the second phase of El Mhamdi
        et al., 2018, arXiv:1802.07927 (Bulyan), is the same of fewer rows.
    """
    if not 1 <= k <= rows.shape[0]:
        raise ValueError("k must be from 1 to the number of rows")
    _over_columns(rows, -1, k, out)


cdef struct Rule:
    Py_ssize_t n
    Py_ssize_t f  # -1 for the mean around the median
    Py_ssize_t k


cdef int _over_columns(
    const float[:, :] rows, Py_ssize_t f, Py_ssize_t k, float[::1] out
) except -1:
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1]
    if out.shape[0] != d or (d > 1 and rows.strides[1] != sizeof(float)):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 1 <= n <= MAX_ROWS:
        raise ValueError("there must be 1 to 65536 rows")
    if d == 0:
        return 0
    cdef Rule rule = Rule(n, f, k)
    cdef Columns columns
    cdef Network whole, part  # for tiles in which every row has every value, and for the others
    cdef Py_ssize_t low = max(f, 0)
    cdef bint has_room = open_columns(&columns, &rows[0, 0], rows.strides[0], n, d)
    has_room = open_network(&whole, n, low, n - low) and has_room
    has_room = open_network(&part, n, 0, n - low) and has_room
    if has_room:
        with nogil:
            while next_columns(&columns):
                _reduce(&rule, &whole, &part, &columns, &out[columns.start])
    free(whole.pairs)
    free(part.pairs)
    free(columns.memory)
    if not has_room:
        raise MemoryError
    return 0


cdef void _reduce(
    const Rule* rule, const Network* whole, const Network* part, const Columns* columns, float* out
) noexcept nogil:
    cdef Py_ssize_t t, n = rule.n
    cdef float results[LANES]
    cdef int32_t counts[LANES]
    cdef int32_t* tile = columns.tiles
    cdef bint is_whole
    for t in range((columns.n_loaded + LANES - 1) // LANES):
        is_whole = count_present(tile, (n + 3) // 4 * 4, counts) == n
        sort_tile(whole if is_whole else part, columns, t, tile)
        if rule.f < 0:
            _mean_nearest(tile, n, rule.k, counts, is_whole, results)
        elif is_whole:
            mean_of_rows(tile + rule.f * LANES, n - 2 * rule.f, results)
        else:
            _mean_trimmed(tile, n, rule.f, counts, results)
        memcpy(out + t * LANES, results, min(columns.n_loaded - t * LANES, LANES) * sizeof(float))
        tile += tile_size(n)


cdef void _mean_trimmed(
    const int32_t* tile, Py_ssize_t n, Py_ssize_t f, const int32_t* counts, float* out
) noexcept nogil:
    cdef int32_t first[LANES]
    cdef int32_t last[LANES]
    cdef Py_ssize_t i
    for i in range(LANES):
        first[i] = max(min(<int32_t>f, (counts[i] - 1) // 2), 0)
        last[i] = counts[i] - first[i]
    mean_between(tile, n, first, last, counts, out)


cdef void _mean_nearest(
    const int32_t* tile,
    Py_ssize_t n,
    Py_ssize_t k,
    const int32_t* counts,
    bint is_whole,
    float* out,
) noexcept nogil:
    cdef int32_t first[LANES]
    cdef int32_t last[LANES]
    cdef float middle[LANES]
    cdef Py_ssize_t i
    if is_whole:
        mean_of_rows(tile + (n - 1) // 2 * LANES, 2 - n % 2, middle)
        nearest_window(tile, n, k, middle, first)
        for i in range(LANES):
            last[i] = first[i] + <int32_t>k
    else:
        for i in range(LANES):
            _set_window(tile + i, counts[i], n - k, k, first + i, last + i)
    mean_between(tile, n, first, last, counts, out)


cdef void _set_window(
    const int32_t* column,
    Py_ssize_t m,
    Py_ssize_t n_left_out,
    Py_ssize_t k,
    int32_t* first,
    int32_t* last,
) noexcept nogil:
    """The ranks that count of a sorted column's first m values."""
    cdef Py_ssize_t r
    cdef float middle
    first[0] = last[0] = 0
    if m == 0:
        return
    k = max(m - n_left_out, min(k, 2 - m % 2))
    middle = value_of(column[(m - 1) // 2 * LANES])
    if m % 2 == 0:
        middle = (middle + value_of(column[m // 2 * LANES])) / 2
    for r in range(m - k):
        first[0] += middle - value_of(column[r * LANES]) > value_of(
            column[(r + k) * LANES]
        ) - middle
    last[0] = first[0] + <int32_t>k
