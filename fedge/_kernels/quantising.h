/* A block of 256 floats to levels. The same bits whatever the clone. */

#ifndef FEDGE_QUANTISING_H
#define FEDGE_QUANTISING_H

#include <stdint.h>
#include <string.h>

#include "clones.h"
#include "rng.h"

enum { FEDGE_HALF = 128 };

/* The bits of the largest magnitude. */
FEDGE_CLONES static int32_t fedge_top(const float *values) {
    int32_t top = 0;
    for (int i = 0; i < 2 * FEDGE_HALF; i++) {
        int32_t bits;
        memcpy(&bits, values + i, 4);
        bits &= 0x7FFFFFFF;
        top = bits > top ? bits : top;
    }
    return top;
}

static inline int8_t fedge_within(int32_t level, int32_t bound) {
    return (int8_t)(level < -bound ? -bound : level > bound ? bound : level);
}

/* floor(level + bits / 65536) in fixed point; bits has 16 of them. */
static inline int32_t fedge_round(float level, uint32_t bits) {
    return ((int32_t)(level * 65536.0f) + (int32_t)bits) >> 16;
}

/* Stochastic rounding, within -bound..bound: values j and j + 128 share the hash of
   (counter + j) ^ seed, 16 bits each. */
FEDGE_CLONES static void fedge_stochastic_levels(const float *restrict values, float inverse,
                                                 int32_t bound, uint32_t seed, uint32_t counter,
                                                 int8_t *restrict levels) {
    uint32_t hashes[FEDGE_HALF];
    for (int i = 0; i < FEDGE_HALF; i++)
        hashes[i] = fedge_mix((counter + (uint32_t)i) ^ seed);
    for (int i = 0; i < FEDGE_HALF; i++)
        levels[i] = fedge_within(fedge_round(values[i] * inverse, hashes[i] & 0xFFFF), bound);
    for (int i = FEDGE_HALF; i < 2 * FEDGE_HALF; i++)
        levels[i] =
            fedge_within(fedge_round(values[i] * inverse, hashes[i - FEDGE_HALF] >> 16), bound);
}

/* To the nearest, ties to even: adding 1.5 * 2**23 leaves no bits below one. */
FEDGE_CLONES static void fedge_nearest_levels(const float *restrict values, float inverse,
                                              int32_t bound, int8_t *restrict levels) {
    for (int i = 0; i < 2 * FEDGE_HALF; i++) {
        const float level = (values[i] * inverse + 12582912.0f) - 12582912.0f;
        levels[i] = fedge_within((int32_t)level, bound);
    }
}

#endif
