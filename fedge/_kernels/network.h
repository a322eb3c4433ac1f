/* Order statistics of many columns at once: the loops of network.pxd that must become vectors.

A tile holds rows of LANES keys, one column a lane. A key is a float's bits as an integer of the
same order, so that a comparator is an integer minimum and maximum: the same on every machine. */

#ifndef FEDGE_NETWORK_H
#define FEDGE_NETWORK_H

#include <stdint.h>
#include <string.h>

#include "clones.h"

#define LANES 64 /* gcc unrolls loops of 16 before it would vectorise them */
#define MAX_TILES 8 /* 2 KiB of a row at a time: with many rows a third faster than 256 bytes */
#define LINE 64     /* bytes of a cache line */
#define NAN_BITS 0x7FC00000
#define NAN_KEY 0x7FFFFFFF /* above infinity's, whatever the NaN's sign and payload */

static inline int32_t flip(int32_t bits) { return bits ^ (bits >> 31 & 0x7FFFFFFF); }

static inline int32_t key_of(const float *value) {
    int32_t bits;
    memcpy(&bits, value, 4);
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? NAN_KEY : flip(bits);
}

static inline float value_of(int32_t key) {
    int32_t bits = flip(key);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

#define EXCHANGE(a, b)                 \
    do {                               \
        int32_t smaller = a < b ? a : b; \
        b = a < b ? b : a;             \
        a = smaller;                   \
    } while (0)

/* Keys of four rows of n_tiles * LANES floats, sorted down each column; tiles lie tile_size apart.
The first six layers of comparators cost no trip to memory here. */
FEDGE_CLONES static void load_sorted(const float *const *rows, Py_ssize_t n_tiles,
                                   Py_ssize_t tile_size, int32_t *__restrict tile) {
    for (Py_ssize_t t = 0; t < n_tiles; t++, tile += tile_size)
        for (Py_ssize_t i = 0; i < LANES; i++) {
            int32_t a = key_of(rows[0] + t * LANES + i), b = key_of(rows[1] + t * LANES + i);
            int32_t c = key_of(rows[2] + t * LANES + i), d = key_of(rows[3] + t * LANES + i);
            EXCHANGE(a, b);
            EXCHANGE(c, d);
            EXCHANGE(a, c);
            EXCHANGE(b, d);
            EXCHANGE(b, c);
            tile[i] = a;
            tile[LANES + i] = b;
            tile[2 * LANES + i] = c;
            tile[3 * LANES + i] = d;
        }
}

/* Puts the smaller key of each pair of rows into the first of them. With each pair it prefetches a
cache line of the next tiles' floats, n_lines in all: otherwise a quarter of the time is spent
waiting for them. */
FEDGE_CLONES static void exchange_rows(const uint16_t *pairs, Py_ssize_t n_pairs, int32_t *tile,
                                     const char *ahead, Py_ssize_t stride, Py_ssize_t n_lines) {
    const Py_ssize_t lines_of_row = MAX_TILES * LANES * sizeof(float) / LINE;
    for (Py_ssize_t p = 0; p < n_pairs; p++) {
        if (p < n_lines)
            __builtin_prefetch(ahead + p / lines_of_row * stride + p % lines_of_row * LINE, 0, 2);
        int32_t *__restrict first = tile + pairs[2 * p] * LANES;
        int32_t *__restrict second = tile + pairs[2 * p + 1] * LANES;
        for (Py_ssize_t i = 0; i < LANES; i++) EXCHANGE(first[i], second[i]);
    }
}

/* Means of n rows of keys, summed from the first to the last. NaN gets one form, as machines have
several. */
FEDGE_CLONES static void mean_of_rows(const int32_t *tile, Py_ssize_t n, float *__restrict out) {
    float sums[LANES];
    for (Py_ssize_t i = 0; i < LANES; i++) sums[i] = value_of(tile[i]);
    for (Py_ssize_t r = 1; r < n; r++)
        for (Py_ssize_t i = 0; i < LANES; i++) sums[i] += value_of(tile[r * LANES + i]);
    for (Py_ssize_t i = 0; i < LANES; i++) {
        float mean = sums[i] / (float)n;
        int32_t bits;
        memcpy(&bits, &mean, 4);
        bits = (bits & 0x7FFFFFFF) > 0x7F800000 ? NAN_BITS : bits;
        memcpy(out + i, &bits, 4);
    }
}

#endif
