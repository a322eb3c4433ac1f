/* The hash behind the counter-based rng, for C and Cython alike. */

#ifndef FEDGE_RNG_H
#define FEDGE_RNG_H

#include <stdint.h>

/* lowbias32 of C. Wellons, "Prospecting for hash functions", 2018. */
static inline uint32_t fedge_mix(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

#endif
