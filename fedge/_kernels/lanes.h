/* What Cython cannot express: vector types, and streams of bits by the word.

GCC vector extensions without intrinsics: the same source is SSE2, NEON, or plain C. Whatever the
machine, the bits are the same: single operations of IEEE 754, and never a fused one. */

#ifndef FEDGE_LANES_H
#define FEDGE_LANES_H

#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the payload codecs load words in the machine's order, which must be little-endian"
#endif

typedef float f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i32x4 __attribute__((vector_size(16), aligned(4), may_alias));

static const i32x4 fedge_place[4] = {
    {1, 2, 4, 8}, {16, 32, 64, 128}, {256, 512, 1024, 2048}, {4096, 8192, 16384, 32768}};

/* ---- tiles of 32 floats: bit i of the result is set if the bits of |value i| exceed below ---- */

static inline i32x4 fedge_exceeding(f32x4 values, int32_t below, i32x4 place) {
    return (((i32x4)values & 0x7FFFFFFF) > below) & place;
}

static inline uint32_t fedge_gather(i32x4 low, i32x4 high) {
    low |= high << 16;
    return (uint32_t)(low[0] | low[1] | low[2] | low[3]);
}

static inline uint32_t fedge_tile(const float *values, int32_t below) {
    i32x4 low = {0, 0, 0, 0}, high = {0, 0, 0, 0};
    for (int j = 0; j < 4; j++) {
        low |= fedge_exceeding(*(const f32x4 *)(values + 4 * j), below, fedge_place[j]);
        high |= fedge_exceeding(*(const f32x4 *)(values + 16 + 4 * j), below, fedge_place[j]);
    }
    return fedge_gather(low, high);
}

/* The same after values += added; before keeps what they were. */
static inline uint32_t fedge_add_tile(float *values, const float *added, float *before,
                                      int32_t below) {
    i32x4 low = {0, 0, 0, 0}, high = {0, 0, 0, 0};
    for (int j = 0; j < 4; j++) {
        f32x4 *a = (f32x4 *)(values + 4 * j), *b = (f32x4 *)(values + 16 + 4 * j);
        const f32x4 c = *a + *(const f32x4 *)(added + 4 * j);
        const f32x4 d = *b + *(const f32x4 *)(added + 16 + 4 * j);
        *(f32x4 *)(before + 4 * j) = *a, *(f32x4 *)(before + 16 + 4 * j) = *b;
        *a = c, *b = d;
        low |= fedge_exceeding(c, below, fedge_place[j]);
        high |= fedge_exceeding(d, below, fedge_place[j]);
    }
    return fedge_gather(low, high);
}

/* ---- streams of bits, the lowest first; writers and readers touch whole words ---- */

static inline uint64_t fedge_load64(const void *source) {
    uint64_t word;
    memcpy(&word, source, 8);
    return word;
}

/* The low bits of m numbers, rice <= 28 of each. Gives the end. */
static inline uint8_t *fedge_write_low(const uint32_t *numbers, long m, int rice, uint8_t *out) {
    const uint64_t mask = ((uint64_t)1 << rice) - 1;
    uint64_t pending = 0;
    int n_pending = 0;
    for (long i = 0; i < m; i += 2) { /* with the 7 bits left over two have room */
        pending |= (numbers[i] & mask) << n_pending;
        n_pending += rice;
        if (i + 1 < m) {
            pending |= (numbers[i + 1] & mask) << n_pending;
            n_pending += rice;
        }
        memcpy(out, &pending, 8);
        out += n_pending >> 3;
        pending >>= n_pending & ~7;
        n_pending &= 7;
    }
    return out + (n_pending > 0);
}

/* The rests of m numbers in unary. Gives the end. */
static inline uint8_t *fedge_write_unary(const uint32_t *numbers, long m, int rice, uint8_t *out) {
    uint64_t word = 0;
    uint32_t position = 0xFFFFFFFF; /* in the word */
    for (long i = 0; i < m; i++) {
        position += (numbers[i] >> rice) + 1;
        while (position >= 64) {
            memcpy(out, &word, 8);
            out += 8;
            word = 0;
            position -= 64;
        }
        word |= (uint64_t)1 << position;
    }
    memcpy(out, &word, 8);
    return out + (position >> 3) + 1;
}

/* The signs of m levels, 1 for minus; reads up to 7 bytes beyond them. Gives the end. */
static inline uint8_t *fedge_write_signs(const int8_t *levels, long m, uint8_t *out) {
    for (long i = 0; i < m; i += 8) {
        uint64_t word = fedge_load64(levels + i) >> 7 & 0x0101010101010101;
        if (m - i < 8)
            word &= ((uint64_t)1 << 8 * (m - i)) - 1;
        *out++ = (uint8_t)(word * 0x0102040810204080 >> 56); /* gathers the low bits of 8 bytes */
    }
    return out;
}

/* Positions of the first m set bits, and up to 63 more. 0 if they reach beyond 3 * m bits. */
static inline int fedge_read_ends(const uint8_t *source, long m, uint32_t *ends) {
    long n = 0;
    for (uint32_t base = 0; n < m; base += 64, source += 8) {
        if (base >= (uint32_t)(3 * m))
            return 0;
        for (uint64_t word = fedge_load64(source); word; word &= word - 1)
            ends[n++] = base + (uint32_t)__builtin_ctzll(word);
    }
    return ends[m - 1] < (uint32_t)(3 * m);
}

/* The low bits of m numbers, and up to 7 more. */
static inline void fedge_read_low(const uint8_t *source, long m, int rice, uint32_t *numbers) {
    const uint32_t mask = ((uint32_t)1 << rice) - 1;
    if (rice > 8) {
        for (long i = 0; i < m; i++)
            numbers[i] = (uint32_t)(fedge_load64(source + (i * rice >> 3)) >> (i * rice & 7)) & mask;
        return;
    }
    for (long i = 0; i < m; i += 8, source += rice) { /* 8 numbers are rice bytes: one word */
        const uint64_t word = fedge_load64(source);
        for (int j = 0; j < 8; j++)
            numbers[i + j] = (uint32_t)(word >> j * rice) & mask;
    }
}

/* ---- four kept values at once; m is rounded up, so arrays have room for a multiple of 4 ---- */

static inline i32x4 fedge_signs(const uint8_t *signs, long i) {
    const int32_t four = signs[i >> 3] >> (i & 4);
    const i32x4 place = {1, 2, 4, 8};
    return ((four & place) != 0) & (int32_t)0x80000000;
}

static inline void fedge_set_signs(const uint8_t *signs, long m, float scale, float *values) {
    const f32x4 value = {scale, scale, scale, scale};
    for (long i = 0; i < m; i += 4)
        *(i32x4 *)(values + i) = (i32x4)value ^ fedge_signs(signs, i);
}

/* values = (smallest + number) * scale with its sign, where a number is its rest, the distance
   between ends, and its low bits. 0 if a level is above largest. ends[-1] is -1. */
static inline int fedge_set_levels(const uint32_t *ends, const uint32_t *low, const uint8_t *signs,
                                   long m, int rice, int32_t smallest, int32_t largest, float scale,
                                   float *values) {
    i32x4 over = {0, 0, 0, 0};
    for (long i = 0; i < m; i += 4) {
        const i32x4 rest = *(const i32x4 *)(ends + i) - *(const i32x4 *)(ends + i - 1) - 1;
        const i32x4 level = (rest << rice) + *(const i32x4 *)(low + i) + smallest;
        const f32x4 value = __builtin_convertvector(level, f32x4) * scale;
        over |= level > largest;
        *(i32x4 *)(values + i) = (i32x4)value ^ fedge_signs(signs, i);
    }
    return (over[0] | over[1] | over[2] | over[3]) == 0;
}

#endif
