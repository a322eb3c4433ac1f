# cython: language_level=3str, cdivision=True
"""Sorts down the columns of a matrix, by a network of comparators on whole tiles.

Batcher's odd-even merge sort, without the comparators that no wanted rank depends on. The work
is the same whatever the values are.

Source: Batcher, 1968, "Sorting networks and their applications".
"""

from libc.math cimport NAN
from libc.stdint cimport int32_t, uint8_t, uint16_t, uintptr_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memmove, memset

cdef extern from "network.h" nogil:
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


cdef struct Columns:
    const char* values
    Py_ssize_t stride  # of a row, in bytes
    Py_ssize_t n
    Py_ssize_t d
    Py_ssize_t start  # of those in the tiles
    Py_ssize_t n_loaded
    Py_ssize_t most_tiles
    void* memory
    int32_t* tiles


cdef inline bint open_columns(
    Columns* columns, const float* first, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t d
) noexcept nogil:
    """Room for the tiles of some columns; False if there is none. Free its memory."""
    cdef Py_ssize_t size = tile_size(n)
    columns.values, columns.stride, columns.n, columns.d = <const char*>first, stride, n, d
    columns.start, columns.n_loaded = 0, 0
    columns.most_tiles = max(1, min(<Py_ssize_t>MAX_TILES, MAX_KEYS // size))
    columns.memory = malloc(columns.most_tiles * size * sizeof(int32_t) + LINE)
    columns.tiles = <int32_t*>((<uintptr_t>columns.memory + LINE - 1) // LINE * LINE)
    return columns.memory != NULL


cdef inline bint next_columns(Columns* columns) noexcept nogil:
    """Loads the keys of the next columns: whole tiles, or a part of one. False if all are done."""
    cdef Py_ssize_t left
    columns.start += columns.n_loaded
    left = columns.d - columns.start
    if left == 0:
        return False
    columns.n_loaded = min(max(1, min(columns.most_tiles, left // LANES)) * LANES, left)
    load(
        columns.values + columns.start * <Py_ssize_t>sizeof(float),
        columns.stride,
        columns.n,
        columns.n_loaded,
        columns.tiles,
    )
    return True


cdef inline void sort_tile(
    const Network* network, const Columns* columns, Py_ssize_t t, int32_t* tile
) noexcept nogil:
    """Sorts tile t of those loaded as far as the network's ranks need it.

    Each tile fetches its share of the next columns.
    """
    cdef const char* ahead = NULL
    cdef Py_ssize_t n_lines = 0, next_start = columns.start + columns.n_loaded
    if next_start < columns.d:
        ahead = columns.values + next_start * <Py_ssize_t>sizeof(float)
        ahead += t * columns.n // MAX_TILES * columns.stride
        n_lines = columns.n * LANES * <Py_ssize_t>sizeof(float) // LINE
    exchange_rows(network.pairs, network.n_pairs, tile, ahead, columns.stride, n_lines)


cdef inline bint open_network(
    Network* network, Py_ssize_t n, Py_ssize_t low, Py_ssize_t high
) noexcept nogil:
    """The comparators for ranks low to high - 1 of n; False without room. Free its pairs."""
    cdef Py_ssize_t room = most_pairs(n) * 2
    network.n, network.low, network.high, network.n_pairs = n, low, high, 0
    network.pairs = <uint16_t*>malloc(room * sizeof(uint16_t) + n)
    if network.pairs == NULL:
        return False
    connect(network)
    prune(network, <uint8_t*>(network.pairs + room))
    return True


cdef inline Py_ssize_t tile_size(Py_ssize_t n) noexcept nogil:
    return (n + 3) // 4 * 4 * LANES


cdef inline Py_ssize_t most_pairs(Py_ssize_t n) noexcept nogil:
    """A bound on the comparators of the network, from its number of layers; at least 1."""
    cdef Py_ssize_t n_merges = 0
    while <Py_ssize_t>1 << n_merges < n:
        n_merges += 1
    return n // 2 * (n_merges * (n_merges + 1) // 2) + 1


cdef inline void connect(Network* network) noexcept nogil:
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


cdef inline void prune(Network* network, uint8_t* wanted) noexcept nogil:
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


cdef inline void load(
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
        load_sorted(four, n_tiles, tile_size(n), tiles + r * LANES)
