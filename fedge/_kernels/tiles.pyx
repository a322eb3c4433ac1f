# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Products of the rows of a matrix, for rules that need distances and for mixtures of rows.

No library of linear algebra computes the same bits on every machine; these do. They are as fast:
what they work on is copied into rows that fit the second cache, and the sums stay in registers.
"""

from libc.math cimport NAN
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from "tiles.h" nogil:
    enum:
        LANES
        LINE
        PART
        STRIDE
        STRIP
    void fetch_share(
        const float* rows, long d, long n, long share, long n_shares
    ) noexcept
    void multiply_rows(const float* a, const float* b, long width, double* sums) noexcept
    void mix_strips(
        const float* weights, const float* const* strips, long n, long start, float* out
    ) noexcept
    void centre_part(float* rows, long stride, long n, long width) noexcept


def gram_tile(const float[:, ::1] rows, double[:, ::1] out):
    """out += rows @ rows.T, so that the tiles of a wide matrix can be added one after another.

    Columns are taken 1024 at a time. Of these, the products of column k go into float32 sum k % 8,
    in turn; then ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) in float64, which is added to out. So
    a matrix gives the same bits in tiles of any multiple of 1024 columns.

    A product of rows that are long and nearly the same loses what tells them apart: subtract the
    mean first, see `centre_tile`.

    Args:
        rows: shape (n, width).
        out: shape (n, n); symmetric if it was before.
    """
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1], part, start, width, i, j
    if out.shape[0] != n or out.shape[1] != n:
        raise ValueError("out must have a row and a column for each row")
    if n == 0 or d == 0:
        return
    cdef Py_ssize_t n_padded = (n + 2) // 3 * 3
    cdef void* memory = malloc(n_padded * STRIDE * sizeof(float) + LINE)
    if memory == NULL:
        raise MemoryError
    cdef float* packed = _aligned(memory)
    cdef const float* ahead
    with nogil:
        memset(packed, 0, n_padded * STRIDE * sizeof(float))
        for part in range((d + PART - 1) // PART):
            start = part * PART
            width = min(d - start, PART)
            _pack(&rows[0, start], d, n, width, packed)
            ahead = &rows[0, start + PART] if start + 2 * PART <= d else NULL
            _add_products(packed, n, (width + LANES - 1) // LANES * LANES, ahead, d, out)
        for i in range(n):
            for j in range(n):
                out[i, j] = NAN if out[i, j] != out[i, j] else out[i, j]  # machines have several
        free(memory)


cdef void _add_products(
    const float* packed,
    Py_ssize_t n,
    Py_ssize_t width,
    const float* ahead,
    Py_ssize_t d,
    double[:, ::1] out,
) noexcept nogil:
    cdef double[9] sums
    cdef Py_ssize_t first, second, i, j, n_threes = (n + 2) // 3, call = 0
    for first in range(0, n, 3):
        for second in range(first, n, 3):
            fetch_share(ahead, d, n, call, n_threes * (n_threes + 1) // 2)
            call += 1
            multiply_rows(packed + first * STRIDE, packed + second * STRIDE, width, sums)
            for i in range(first, min(first + 3, n)):
                for j in range(second, min(second + 3, n)):
                    out[i, j] += sums[3 * (i - first) + j - second]
                    if first != second:
                        out[j, i] += sums[3 * (i - first) + j - second]


def centre_tile(float[:, ::1] rows):
    """Subtracts from each column its mean over the rows, in place.

    The mean is the float32 sum from the first row to the last, divided by their number.

    Args:
        rows: shape (n, width).
    """
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1], part, start
    if n == 0:
        return
    with nogil:
        for part in range((d + PART - 1) // PART):
            start = part * PART
            centre_part(&rows[0, start], d, n, min(d - start, PART))


def mix_tile(const float[:, ::1] mixture, const float[:, ::1] rows, float[:, ::1] out):
    """out = mixture @ rows: each output is a weighted sum of rows, added in their order.

    A row with weight 0 is left out, so it adds nothing, not even a NaN.

    Args:
        mixture: weights, shape (m, n).
        rows: shape (n, width).
        out: result, shape (m, width); shares no memory with rows.
    """
    cdef Py_ssize_t n = rows.shape[0], d = rows.shape[1], m = mixture.shape[0]
    cdef Py_ssize_t part, start, width
    if mixture.shape[1] != n or out.shape[0] != m or out.shape[1] != d:
        raise ValueError("mixture must have a column for each row, and out a row for each of its")
    if m == 0 or d == 0:
        return
    cdef void* memory = malloc(max(n, 1) * STRIDE * sizeof(float) + LINE)
    cdef float* weights = <float*>malloc((m * n + 1) * sizeof(float))
    cdef const float** strips = <const float**>malloc((m * n + 1) * sizeof(float*))
    cdef Py_ssize_t* ends = <Py_ssize_t*>malloc((m + 1) * sizeof(Py_ssize_t))
    if memory == NULL or weights == NULL or strips == NULL or ends == NULL:
        free(memory)
        free(weights)
        free(strips)
        free(ends)
        raise MemoryError
    cdef float* packed = _aligned(memory)
    cdef const float* ahead
    with nogil:
        memset(packed, 0, n * STRIDE * sizeof(float))
        _list_weights(mixture, packed, weights, strips, ends)
        for part in range((d + PART - 1) // PART):
            start = part * PART
            width = min(d - start, PART)
            if n:
                _pack(&rows[0, start], d, n, width, packed)
            ahead = &rows[0, start + PART] if n and start + 2 * PART <= d else NULL
            _mix_part(weights, strips, ends, m, width, ahead, n, &out[0, start], d)
        free(memory)
        free(weights)
        free(strips)
        free(ends)


cdef void _mix_part(
    const float* weights,
    const float** strips,
    const Py_ssize_t* ends,
    Py_ssize_t m,
    Py_ssize_t width,
    const float* ahead,
    Py_ssize_t n,
    float* out,
    Py_ssize_t d,
) noexcept nogil:
    """A strip of columns at a time: of all rows it fits the first cache."""
    cdef float mixed[STRIP]
    cdef Py_ssize_t strip, start, i, first
    for strip in range((width + STRIP - 1) // STRIP):
        start = strip * STRIP
        for i in range(m):
            fetch_share(ahead, d, n, strip * m + i, PART // STRIP * m)
            first = ends[i]
            mix_strips(weights + first, strips + first, ends[i + 1] - first, start, mixed)
            memcpy(out + i * d + start, mixed, min(width - start, STRIP) * sizeof(float))


cdef void _list_weights(
    const float[:, ::1] mixture,
    const float* packed,
    float* weights,
    const float** strips,
    Py_ssize_t* ends,
) noexcept nogil:
    """The weights other than 0 of one output after another, and what they belong to."""
    cdef Py_ssize_t i, j, place = 0
    ends[0] = 0
    for i in range(mixture.shape[0]):
        for j in range(mixture.shape[1]):
            if mixture[i, j] != 0:
                weights[place] = mixture[i, j]
                strips[place] = packed + j * STRIDE
                place += 1
        ends[i + 1] = place


cdef float* _aligned(void* memory) noexcept nogil:
    return <float*>((<uintptr_t>memory + LINE - 1) // LINE * LINE)


cdef void _pack(
    const float* rows, Py_ssize_t d, Py_ssize_t n, Py_ssize_t width, float* packed
) noexcept nogil:
    """Copies width columns of n rows; zeros fill up the last ones."""
    cdef Py_ssize_t r
    cdef Py_ssize_t n_more = (width + LANES - 1) // LANES * LANES - width
    for r in range(n):
        memcpy(packed + r * STRIDE, rows + r * d, width * sizeof(float))
        memset(packed + r * STRIDE + width, 0, n_more * sizeof(float))
