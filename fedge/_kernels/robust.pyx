# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Order statistics down the columns of a matrix; network.pxd sorts them."""

from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from fedge._kernels.network cimport (
    LANES, MAX_ROWS, Columns, Network, mean_of_rows, next_columns, open_columns, open_network,
    sort_tile, tile_size,
)


def robust_tile(const float[:, :] rows, Py_ssize_t low, Py_ssize_t high, float[::1] out):
    """out[j] = mean of the values of column j with ranks low to high - 1, the smallest first.

    NaN ranks above infinity, -0 below +0. The sum runs in float32 from the lowest rank to the
    highest, one rounding an addition, so every machine gets the same bits.

    Args:
        rows: shape (n, d), n at most 65536, the values of a row next to each other.
        low: the first rank kept, from 0.
        high: above the last rank kept, at most n.
        out: result, shape (d,).
    """
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1]
    if out.shape[0] != d or (d > 1 and rows.strides[1] != sizeof(float)):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 0 <= low < high <= n <= MAX_ROWS:
        raise ValueError("ranks must be 0 <= low < high <= n, with at most 65536 rows")
    if d == 0:
        return
    cdef Columns columns
    cdef Network network
    cdef bint has_room = open_columns(&columns, &rows[0, 0], rows.strides[0], n, d)
    has_room = open_network(&network, n, low, high) and has_room
    if has_room:
        with nogil:
            while next_columns(&columns):
                _reduce(&network, &columns, &out[columns.start])
    free(network.pairs)
    free(columns.memory)
    if not has_room:
        raise MemoryError


cdef void _reduce(const Network* network, const Columns* columns, float* out) noexcept nogil:
    """Sorts tile after tile as far as the ranks need it, and writes their means."""
    cdef Py_ssize_t t
    cdef float means[LANES]
    cdef int32_t* tile = columns.tiles
    for t in range((columns.n_loaded + LANES - 1) // LANES):
        sort_tile(network, columns, t, tile)
        mean_of_rows(tile + network.low * LANES, network.high - network.low, means)
        memcpy(out + t * LANES, means, min(columns.n_loaded - t * LANES, LANES) * sizeof(float))
        tile += tile_size(network.n)
