# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Order statistics down the columns of a matrix, by a network of comparators on whole tiles.

Batcher's odd-even merge sort, without the comparators that no wanted rank depends on. The work
is the same whatever the values are.
"""

from libc.math cimport NAN
from libc.stdint cimport int32_t, uint8_t, uint16_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

cdef extern from "robust.h" nogil:
    enum:
        LANES
        LINE
        MAX_TILES
    void load_sorted(
        const float* const* rows, Py_ssize_t n_tiles, Py_ssize_t tile_size, int32_t* tile
    ) noexcept
    void exchange_rows(
        const uint16_t* pairs,
        Py_ssize_t n_pairs,
        int32_t* tile,
        const char* ahead,
        Py_ssize_t stride,
        Py_ssize_t n_lines,
    ) noexcept
    void mean_of_rows(const int32_t* tile, Py_ssize_t n, float* out) noexcept

cdef enum:
    MAX_ROWS = 1 << 16
    MAX_KEYS = 1 << 17  # of all tiles but the first: they should stay cached


cdef struct Network:
    Py_ssize_t n  # rows of a tile; up to three of NaN follow, to a multiple of four
    Py_ssize_t low
    Py_ssize_t high
    uint16_t* pairs  # of rows, the first of which gets the smaller key
    Py_ssize_t n_pairs


def robust_tile(const float[:, :] rows, Py_ssize_t low, Py_ssize_t high, float[::1] out):
    """out[j] = mean of the values of column j with ranks low to high - 1, the smallest first.

    NaN ranks above infinity, -0 below +0. The sum runs in float32 from the lowest rank to the
    highest, one rounding an addition, so every machine gets the same bits.

    Args:
        rows: shape (n, d), n at most 65536, the values of a row next to each other.
        low: the first rank kept, from 0.
        high: above the last rank kept, at most n.
        out: result, shape (d,).

    Source:
        Batcher, 1968, "Sorting networks and their applications".
    """
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1]
    if out.shape[0] != d or (d > 1 and rows.strides[1] != sizeof(float)):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 0 <= low < high <= n <= MAX_ROWS:
        raise ValueError("ranks must be 0 <= low < high <= n, with at most 65536 rows")
    if d == 0:
        return
    cdef Py_ssize_t most_tiles = max(1, min(MAX_TILES, MAX_KEYS // _tile_size(n)))
    cdef void* memory = malloc(most_tiles * _tile_size(n) * sizeof(int32_t) + LINE)
    cdef uint16_t* pairs = <uint16_t*>malloc(_most_pairs(n) * 2 * sizeof(uint16_t))
    if memory == NULL or pairs == NULL:
        free(memory)
        free(pairs)
        raise MemoryError
    cdef int32_t* tiles = <int32_t*>((<uintptr_t>memory + LINE - 1) // LINE * LINE)
    cdef Network network = Network(n, low, high, pairs, 0)
    cdef const char* values = <const char*>&rows[0, 0]
    cdef Py_ssize_t stride = rows.strides[0], start = 0, n_columns
    cdef const char* ahead
    with nogil:
        _sort(&network)
        _prune(&network, <uint8_t*>tiles)
        while start < d:
            n_columns = min(max(1, min(most_tiles, (d - start) // LANES)) * LANES, d - start)
            _load(values + start * sizeof(float), stride, n, n_columns, tiles)
            ahead = values + (start + n_columns) * sizeof(float)
            if start + n_columns == d:
                ahead = NULL
            _reduce(&network, tiles, n_columns, ahead, stride, &out[start])
            start += n_columns
        free(memory)
        free(pairs)


cdef Py_ssize_t _tile_size(Py_ssize_t n) noexcept nogil:
    return (n + 3) // 4 * 4 * LANES


cdef Py_ssize_t _most_pairs(Py_ssize_t n) noexcept nogil:
    """A bound on the comparators of the network, from its number of layers; at least 1."""
    cdef Py_ssize_t n_merges = 0
    while <Py_ssize_t>1 << n_merges < n:
        n_merges += 1
    return n // 2 * (n_merges * (n_merges + 1) // 2) + 1


cdef void _sort(Network* network) noexcept nogil:
    """Comparators that sort rows whose fours are sorted already."""
    cdef Py_ssize_t n = network.n, run = 4, distance, block, i, p = 0
    while run < n:
        distance = run
        while distance > 0:
            block = distance % run
            while block + distance < n:
                for i in range(block, min(block + distance, n - distance)):
                    if i // (2 * run) == (i + distance) // (2 * run):
                        network.pairs[2 * p] = <uint16_t>i
                        network.pairs[2 * p + 1] = <uint16_t>(i + distance)
                        p += 1
                block += 2 * distance
            distance //= 2
        run *= 2
    network.n_pairs = p


cdef void _prune(Network* network, uint8_t* wanted) noexcept nogil:
    """Drops the comparators that no rank from low to high - 1 depends on; overwrites n bytes."""
    cdef uint16_t* pairs = network.pairs
    cdef Py_ssize_t p, first = network.n_pairs
    cdef uint16_t a, b
    memset(wanted, 0, network.n)
    memset(wanted + network.low, 1, network.high - network.low)
    for p in range(network.n_pairs - 1, -1, -1):
        a = pairs[2 * p]
        b = pairs[2 * p + 1]
        if wanted[a] or wanted[b]:
            wanted[a] = wanted[b] = True
            first -= 1
            pairs[2 * first] = a
            pairs[2 * first + 1] = b
    network.n_pairs -= first
    memmove(pairs, pairs + 2 * first, network.n_pairs * 2 * sizeof(uint16_t))


cdef void _load(
    const char* values, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t n_columns, int32_t* tiles
) noexcept nogil:
    """Keys of n_columns of each row, its fours sorted: whole tiles, or a part of one.

    Rows of NaN, which rank last, fill up to a multiple of four.
    """
    cdef Py_ssize_t n_tiles = (n_columns + LANES - 1) // LANES
    cdef float padding[MAX_TILES * LANES]
    cdef float part[4][LANES]
    cdef const float* four[4]
    cdef Py_ssize_t r, k
    for k in range(n_tiles * LANES):
        padding[k] = NAN
    memset(part, 0, sizeof(part))
    for r in range(0, n, 4):
        for k in range(4):
            four[k] = <const float*>(values + (r + k) * stride) if r + k < n else padding
            if n_columns < LANES:
                memcpy(part[k], four[k], n_columns * sizeof(float))
                four[k] = part[k]
        load_sorted(four, n_tiles, _tile_size(n), tiles + r * LANES)


cdef void _reduce(
    const Network* network,
    int32_t* tiles,
    Py_ssize_t n_columns,
    const char* ahead,
    Py_ssize_t stride,
    float* out,
) noexcept nogil:
    """Sorts tile after tile as far as the ranks need it, and writes their means.

    Each tile fetches its share of the rows ahead, unless that is NULL.
    """
    cdef Py_ssize_t t, n_kept = network.high - network.low, n_lines = 0
    cdef float means[LANES]
    cdef const char* first
    if ahead != NULL:
        n_lines = network.n * LANES * <Py_ssize_t>sizeof(float) // LINE
    for t in range((n_columns + LANES - 1) // LANES):
        first = ahead + t * network.n // MAX_TILES * stride if ahead != NULL else NULL
        exchange_rows(network.pairs, network.n_pairs, tiles, first, stride, n_lines)
        mean_of_rows(tiles + network.low * LANES, n_kept, means)
        memcpy(out + t * LANES, means, min(n_columns - t * LANES, LANES) * sizeof(float))
        tiles += _tile_size(network.n)
