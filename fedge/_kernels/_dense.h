/* A block of 256 floats to int8 levels. The same bits whatever the clone. */

#ifndef FEDGE_DENSE_H
#define FEDGE_DENSE_H

#include <stdint.h>
#include <string.h>

/* The x86-64 baseline has neither products nor minima of 32-bit integers: there this takes four
   times as long. The loader picks the clone, which needs the IFUNC of glibc. */
#ifndef FEDGE_CLONES
#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__)
#define FEDGE_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FEDGE_CLONES
#endif
#endif

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

/* floor(level + die / 65536) in fixed point, within -127..127. */
static inline int8_t fedge_round(float level, uint32_t die) {
    const int32_t rounded = ((int32_t)(level * 65536.0f) + (int32_t)die) >> 16;
    return (int8_t)(rounded < -127 ? -127 : rounded > 127 ? 127 : rounded);
}

/* lowbias32 of C. Wellons, "Prospecting for hash functions", 2018. */
static inline uint32_t fedge_hash(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

/* Value j and j + 128 share the hash of counter + j, 16 bits each. */
FEDGE_CLONES static void fedge_quantise(const float *restrict values, float inverse, uint32_t seed,
                                        uint32_t counter, int8_t *restrict levels) {
    uint32_t dice[FEDGE_HALF];
    for (int i = 0; i < FEDGE_HALF; i++)
        dice[i] = fedge_hash((counter + (uint32_t)i) ^ seed);
    for (int i = 0; i < FEDGE_HALF; i++)
        levels[i] = fedge_round(values[i] * inverse, dice[i] & 0xFFFF);
    for (int i = 0; i < FEDGE_HALF; i++)
        levels[FEDGE_HALF + i] = fedge_round(values[FEDGE_HALF + i] * inverse, dice[i] >> 16);
}

#endif
