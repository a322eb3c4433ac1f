/* Walsh-Hadamard transform, signs and nearest centroids in vectors of four floats, which every
 * machine of ours has or the compiler splits. Sums of the transform are always of the same pairs
 * and of eight products in always the same order, so the bits are those of plain loops. */
#ifndef FEDGE_ROTATION_H
#define FEDGE_ROTATION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float fedge_v4f __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t fedge_v4u __attribute__((vector_size(16), aligned(4), may_alias));
typedef double fedge_v4d __attribute__((vector_size(32)));

#ifdef __clang__
#define FEDGE_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define FEDGE_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (fedge_v4u){i, j, k, l})
#endif

enum { FEDGE_IN_CACHE = 4096 };

static inline fedge_v4f fedge_load(const float *x) { return *(const fedge_v4f *)x; }
static inline void fedge_store(float *x, fedge_v4f value) { *(fedge_v4f *)x = value; }

/* Distances 1, 2, 4 and 8 within sixteen neighbours. */
static inline void fedge_fwht_sixteen(float *x) {
    fedge_v4f a = fedge_load(x), b = fedge_load(x + 4), c = fedge_load(x + 8);
    fedge_v4f d = fedge_load(x + 12);
    /* Columns: p, q, r, s hold the values 0, 1, 2 and 3 of every four. */
    fedge_v4f ab02 = FEDGE_SHUFFLE(a, b, 0, 2, 4, 6), ab13 = FEDGE_SHUFFLE(a, b, 1, 3, 5, 7);
    fedge_v4f cd02 = FEDGE_SHUFFLE(c, d, 0, 2, 4, 6), cd13 = FEDGE_SHUFFLE(c, d, 1, 3, 5, 7);
    fedge_v4f ab_sum = ab02 + ab13, ab_rest = ab02 - ab13;
    fedge_v4f cd_sum = cd02 + cd13, cd_rest = cd02 - cd13;
    fedge_v4f p = FEDGE_SHUFFLE(ab_sum, cd_sum, 0, 2, 4, 6);
    fedge_v4f r = FEDGE_SHUFFLE(ab_sum, cd_sum, 1, 3, 5, 7);
    fedge_v4f q = FEDGE_SHUFFLE(ab_rest, cd_rest, 0, 2, 4, 6);
    fedge_v4f s = FEDGE_SHUFFLE(ab_rest, cd_rest, 1, 3, 5, 7);
    fedge_v4f p2 = p + r, r2 = p - r, q2 = q + s, s2 = q - s;
    /* Back to rows. */
    fedge_v4f pq_low = FEDGE_SHUFFLE(p2, q2, 0, 4, 1, 5), pq_high = FEDGE_SHUFFLE(p2, q2, 2, 6, 3, 7);
    fedge_v4f rs_low = FEDGE_SHUFFLE(r2, s2, 0, 4, 1, 5), rs_high = FEDGE_SHUFFLE(r2, s2, 2, 6, 3, 7);
    a = FEDGE_SHUFFLE(pq_low, rs_low, 0, 1, 4, 5), b = FEDGE_SHUFFLE(pq_low, rs_low, 2, 3, 6, 7);
    c = FEDGE_SHUFFLE(pq_high, rs_high, 0, 1, 4, 5), d = FEDGE_SHUFFLE(pq_high, rs_high, 2, 3, 6, 7);
    fedge_v4f ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
    fedge_store(x, ab + cd), fedge_store(x + 4, a_b + c_d);
    fedge_store(x + 8, ab - cd), fedge_store(x + 12, a_b - c_d);
}

/* Distances h and 2 * h within 4 * h values, in one pass over them. */
static inline void fedge_fwht_quads(float *x, size_t h) {
    for (float *end = x + h; x < end; x += 4) {
        fedge_v4f a = fedge_load(x), b = fedge_load(x + h);
        fedge_v4f c = fedge_load(x + 2 * h), d = fedge_load(x + 3 * h);
        fedge_v4f s = a + b, t = a - b, u = c + d, v = c - d;
        fedge_store(x, s + u), fedge_store(x + h, t + v);
        fedge_store(x + 2 * h, s - u), fedge_store(x + 3 * h, t - v);
    }
}

/* Distance h within 2 * h values. */
static inline void fedge_fwht_pairs(float *x, size_t h) {
    for (size_t i = 0; i < h; i++) {
        float a = x[i], b = x[i + h];
        x[i] = a + b, x[i + h] = a - b;
    }
}

/* In place, without a factor; n is a power of two. Parts that fit the cache are finished first. */
static void fedge_fwht(float *x, size_t n) {
    size_t h = 1;
    if (n > FEDGE_IN_CACHE) {
        h = n >= 4 * FEDGE_IN_CACHE ? n / 4 : n / 2;
        for (size_t i = 0; i < n; i += h) fedge_fwht(x + i, h);
    } else if (n >= 16) {
        h = 16;
        for (size_t i = 0; i < n; i += 16) fedge_fwht_sixteen(x + i);
    }
    for (; h >= 4 && 4 * h <= n; h *= 4)
        for (size_t i = 0; i < n; i += 4 * h) fedge_fwht_quads(x + i, h);
    for (; h < n; h *= 2)
        for (size_t i = 0; i < n; i += 2 * h) fedge_fwht_pairs(x + i, h);
}

/* Multiplies 32 values by factor, and value i by -1 if bit 31 - i of dice is set. */
static inline void fedge_flip_signs(float *x, uint32_t dice, float factor) {
    fedge_v4u signs = {dice, dice << 1, dice << 2, dice << 3};
    for (int i = 0; i < 32; i += 4, signs <<= 4) {
        fedge_v4f product = fedge_load(x + i) * factor;
        *(fedge_v4u *)(x + i) = (fedge_v4u)product ^ (signs & 0x80000000u);
    }
}

/* sum a * b in eight sums, each of every eighth product. */
static double fedge_dot(const float *a, const float *b, size_t n) {
    fedge_v4d low = {0, 0, 0, 0}, high = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i += 8) {
        float rest[16] = {0};
        const float *p = a + i, *q = b + i;
        if (n - i < 8) {
            memcpy(rest, p, (n - i) * sizeof(float)), memcpy(rest + 8, q, (n - i) * sizeof(float));
            p = rest, q = rest + 8;
        }
        low += __builtin_convertvector(fedge_load(p), fedge_v4d) *
               __builtin_convertvector(fedge_load(q), fedge_v4d);
        high += __builtin_convertvector(fedge_load(p + 4), fedge_v4d) *
                __builtin_convertvector(fedge_load(q + 4), fedge_v4d);
    }
    return ((low[0] + low[1]) + (low[2] + low[3])) + ((high[0] + high[1]) + (high[2] + high[3]));
}

/* The number of the magnitude's centroid, with the sign in bit sign_bit, and the signed centroid.
 * thresholds[j] parts centroids j and j + 1. Reads and writes up to a multiple of four values. */
static inline void fedge_nearest(const float *x, size_t n, int sign_bit, const float *thresholds,
                                 const float *centroids, uint32_t *levels, float *chosen) {
    for (size_t i = 0; i < n; i += 4) {
        fedge_v4u bits = *(const fedge_v4u *)(x + i), level = {0, 0, 0, 0};
        fedge_v4u sign = bits & 0x80000000u;
        fedge_v4f magnitude = (fedge_v4f)(bits ^ sign);
        fedge_v4f centroid = {centroids[0], centroids[0], centroids[0], centroids[0]};
        for (int j = 0; j < (1 << sign_bit) - 1; j++) {
            fedge_v4u above = (fedge_v4u)(magnitude > thresholds[j]);
            fedge_v4f next = {centroids[j + 1], centroids[j + 1], centroids[j + 1], centroids[j + 1]};
            level -= above;
            centroid = (fedge_v4f)(((fedge_v4u)next & above) | ((fedge_v4u)centroid & ~above));
        }
        *(fedge_v4u *)(levels + i) = level | (sign >> (31 - sign_bit));
        *(fedge_v4u *)(chosen + i) = (fedge_v4u)centroid | sign;
    }
}

#endif
