/* Walsh-Hadamard transform, signs and nearest centroids in vectors of four and eight floats, which
 * machines have or the compiler splits. Sums of the transform are always of the same pairs and of
 * eight products in always the same order, so the bits are those of plain loops. */
#ifndef FEDGE_ROTATION_H
#define FEDGE_ROTATION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "clones.h"
#include "rng.h"

typedef float fedge_v4f __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t fedge_v4u __attribute__((vector_size(16), aligned(4), may_alias));
typedef float fedge_v8f __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t fedge_v8u __attribute__((vector_size(32), aligned(4), may_alias));

#ifdef __clang__
#define FEDGE_SHUFFLE(a, i, j, k, l) __builtin_shufflevector(a, a, i, j, k, l)
#else
#define FEDGE_SHUFFLE(a, i, j, k, l) __builtin_shuffle(a, (fedge_v4u){i, j, k, l})
#endif
#define FEDGE_MINUS 0x80000000u

enum { FEDGE_IN_CACHE = 4096 };

static inline fedge_v4f fedge_load(const float *x) { return *(const fedge_v4f *)x; }
static inline void fedge_store(float *x, fedge_v4f value) { *(fedge_v4f *)x = value; }

/* The start of a cache line within the first 16 floats of room: wide vectors across two lines would
 * take twice as long. */
static inline float *fedge_aligned(float *room) {
    return room + (0 - (uintptr_t)room) % 64 / sizeof(float);
}

/* Distances 1 and 2 within four neighbours: each plus its partner, the second of a pair negated. */
static inline fedge_v4f fedge_fwht_four(fedge_v4f a) {
    const fedge_v4u odd = {0, FEDGE_MINUS, 0, FEDGE_MINUS}, high = {0, 0, FEDGE_MINUS, FEDGE_MINUS};
    a = FEDGE_SHUFFLE(a, 1, 0, 3, 2) + (fedge_v4f)((fedge_v4u)a ^ odd);
    return FEDGE_SHUFFLE(a, 2, 3, 0, 1) + (fedge_v4f)((fedge_v4u)a ^ high);
}

/* Distances 1, 2, 4 and 8 within sixteen neighbours. */
static inline void fedge_fwht_sixteen(float *x) {
    fedge_v4f a = fedge_fwht_four(fedge_load(x)), b = fedge_fwht_four(fedge_load(x + 4));
    fedge_v4f c = fedge_fwht_four(fedge_load(x + 8)), d = fedge_fwht_four(fedge_load(x + 12));
    fedge_v4f ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
    fedge_store(x, ab + cd), fedge_store(x + 4, a_b + c_d);
    fedge_store(x + 8, ab - cd), fedge_store(x + 12, a_b - c_d);
}

/* Distances h and 2 * h within 4 * h values, in one pass over them; h is at least 8. */
static inline void fedge_fwht_quads(float *x, size_t h) {
    for (float *end = x + h; x < end; x += 8) {
        fedge_v8f *p = (fedge_v8f *)x, *q = (fedge_v8f *)(x + h);
        fedge_v8f *r = (fedge_v8f *)(x + 2 * h), *w = (fedge_v8f *)(x + 3 * h);
        fedge_v8f s = *p + *q, t = *p - *q, u = *r + *w, v = *r - *w;
        *p = s + u, *q = t + v, *r = s - u, *w = t - v;
    }
}

/* Distance h within 2 * h values. */
static inline void fedge_fwht_pairs(float *x, size_t h) {
    for (size_t i = 0; i < h; i++) {
        float a = x[i], b = x[i + h];
        x[i] = a + b, x[i + h] = a - b;
    }
}

/* Distances from h up. */
FEDGE_CLONES static void fedge_fwht_from(float *x, size_t n, size_t h) {
    if (h == 1 && n >= 16) {
        for (size_t i = 0; i < n; i += 16) fedge_fwht_sixteen(x + i);
        h = 16;
    }
    for (; h >= 8 && 4 * h <= n; h *= 4)
        for (size_t i = 0; i < n; i += 4 * h) fedge_fwht_quads(x + i, h);
    for (; h < n; h *= 2)
        for (size_t i = 0; i < n; i += 2 * h) fedge_fwht_pairs(x + i, h);
}

/* In place, without a factor; n is a power of two. Parts that fit the cache are finished first. */
static void fedge_fwht(float *x, size_t n) {
    size_t h = 1;
    if (n > FEDGE_IN_CACHE) {
        h = n >= 4 * FEDGE_IN_CACHE ? n / 4 : n / 2;
        for (size_t i = 0; i < n; i += h) fedge_fwht(x + i, h);
    }
    fedge_fwht_from(x, n, h);
}

/* Multiplies 32 values by factor, and value i by -1 if bit 31 - i of bits is set. */
static inline void fedge_flip_signs(float *x, uint32_t bits, float factor) {
    fedge_v4u signs = {bits, bits << 1, bits << 2, bits << 3};
    for (int i = 0; i < 32; i += 4, signs <<= 4) {
        fedge_v4f product = fedge_load(x + i) * factor;
        *(fedge_v4u *)(x + i) = (fedge_v4u)product ^ (signs & FEDGE_MINUS);
    }
}

/* The same for n values, at most FEDGE_IN_CACHE; the random bits of counter + i are for the i-th 32
 * of them. salt is the hash of seed and purpose. */
FEDGE_CLONES static void fedge_flip_all(float *x, size_t n, uint32_t seed, uint32_t salt,
                                        uint32_t counter, float factor) {
    uint32_t bits[FEDGE_IN_CACHE / 32];
    float rest[32] = {0};
    const size_t n_whole = n / 32, n_rest = n % 32;
    for (size_t i = 0; i < (n + 31) / 32; i++)
        bits[i] = fedge_mix(fedge_mix((counter + (uint32_t)i) ^ seed) ^ salt);
    for (size_t i = 0; i < n_whole; i++)
        fedge_flip_signs(x + 32 * i, bits[i], factor);
    if (n_rest == 0)
        return;
    memcpy(rest, x + 32 * n_whole, n_rest * sizeof(float));
    fedge_flip_signs(rest, bits[n_whole], factor);
    memcpy(x + 32 * n_whole, rest, n_rest * sizeof(float));
}

/* sum a * b in eight sums, each of every eighth product. */
FEDGE_CLONES static double fedge_dot(const float *a, const float *b, size_t n) {
    double sums[8] = {0};
    for (size_t i = 0; i < n / 8 * 8; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += (double)a[i + (size_t)j] * (double)b[i + (size_t)j];
    for (size_t i = n / 8 * 8; i < n; i++)
        sums[i % 8] += (double)a[i] * (double)b[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* The number of the magnitude's centroid, with the sign in bit sign_bit, and the signed centroid.
 * thresholds[j] separates centroids j and j + 1. Reads and writes up to a multiple of eight
 * values. */
FEDGE_CLONES static void fedge_nearest(const float *x, size_t n, int sign_bit,
                                       const float *thresholds, const float *centroids,
                                       uint32_t *levels, float *chosen) {
    const fedge_v8u none = {0, 0, 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < n; i += 8) {
        const fedge_v8u bits = *(const fedge_v8u *)(x + i), sign = bits & FEDGE_MINUS;
        const fedge_v8f magnitude = (fedge_v8f)(bits ^ sign);
        fedge_v8u level = none, centroid = (fedge_v8u)((fedge_v8f)none + centroids[0]);
        for (int j = 0; j < (1 << sign_bit) - 1; j++) {
            const fedge_v8u above = (fedge_v8u)(magnitude > thresholds[j]);
            const fedge_v8u next = (fedge_v8u)((fedge_v8f)none + centroids[j + 1]);
            level -= above;
            centroid = (next & above) | (centroid & ~above);
        }
        *(fedge_v8u *)(levels + i) = level | (sign >> (31 - sign_bit));
        *(fedge_v8u *)(chosen + i) = centroid | sign;
    }
}

#endif
