/* Sums of products of rows: the loops of tiles.pyx that must become vectors.

Eight columns at once, in vectors that the compiler cuts into those of the machine: each lane's sum
has the same terms in the same order everywhere. */

#include <stdint.h>
#include <string.h>

#include "clones.h"

#define LANES 8
#define PART 1024 /* columns that are added up in float32 */
#define STRIDE (PART + 16) /* of packed rows, so that they do not all meet in the same cache sets */
#define STRIP 64 /* columns that are mixed together: their sums stay in registers */
#define LINE 64  /* bytes of a cache line */
#define NAN_BITS 0x7FC00000

typedef float f32x8 __attribute__((vector_size(32), aligned(4), may_alias));

#define LOAD(p) (*(const f32x8 *)(p))

/* Fetches a share of the PART columns from `rows` on, of n rows that lie d apart, into the second
cache; nothing if rows is NULL. Done between other work it hides the wait for memory. */
static inline void fetch_share(const float *rows, long d, long n, long share, long n_shares) {
    const long per_row = PART * (long)sizeof(float) / LINE, n_lines = n * per_row;
    if (rows == NULL)
        return;
    for (long line = n_lines * share / n_shares; line < n_lines * (share + 1) / n_shares; line++)
        __builtin_prefetch(rows + line / per_row * d + line % per_row * (LINE / 4), 0, 2);
}

/* NaN in one form, as machines have several. */
static inline float one_nan(float value) {
    const int32_t nan = NAN_BITS;
    if (value != value)
        memcpy(&value, &nan, 4);
    return value;
}

#define SUM_OF_LANES(s)                                                    \
    ((((double)(s)[0] + (s)[4]) + ((double)(s)[2] + (s)[6])) +             \
     (((double)(s)[1] + (s)[5]) + ((double)(s)[3] + (s)[7])))

/* sums[3 * i + j] = row i of a times row j of b, three rows each that lie STRIDE apart. With each
step it prefetches a cache line of what comes next. */
FEDGE_CLONES static void multiply_rows(const float *__restrict a, const float *__restrict b,
                                       long width, double *__restrict sums) {
    f32x8 s00 = {0}, s01 = {0}, s02 = {0}, s10 = {0}, s11 = {0}, s12 = {0}, s20 = {0}, s21 = {0},
          s22 = {0};
    for (long k = 0; k < width; k += LANES) {
        const f32x8 b0 = LOAD(b + k), b1 = LOAD(b + STRIDE + k), b2 = LOAD(b + 2 * STRIDE + k);
        const f32x8 a0 = LOAD(a + k), a1 = LOAD(a + STRIDE + k), a2 = LOAD(a + 2 * STRIDE + k);
        s00 += a0 * b0;
        s01 += a0 * b1;
        s02 += a0 * b2;
        s10 += a1 * b0;
        s11 += a1 * b1;
        s12 += a1 * b2;
        s20 += a2 * b0;
        s21 += a2 * b1;
        s22 += a2 * b2;
    }
    sums[0] = SUM_OF_LANES(s00);
    sums[1] = SUM_OF_LANES(s01);
    sums[2] = SUM_OF_LANES(s02);
    sums[3] = SUM_OF_LANES(s10);
    sums[4] = SUM_OF_LANES(s11);
    sums[5] = SUM_OF_LANES(s12);
    sums[6] = SUM_OF_LANES(s20);
    sums[7] = SUM_OF_LANES(s21);
    sums[8] = SUM_OF_LANES(s22);
}

/* out = the sum of STRIP columns from start on of n packed rows, each times its weight, in their
order. */
FEDGE_CLONES static void mix_strips(const float *weights, const float *const *strips, long n,
                                    long start, float *__restrict out) {
    f32x8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
    for (long r = 0; r < n; r++) {
        const float w = weights[r];
        const f32x8 weight = {w, w, w, w, w, w, w, w};
        const float *x = strips[r] + start;
        s0 += weight * LOAD(x);
        s1 += weight * LOAD(x + 8);
        s2 += weight * LOAD(x + 16);
        s3 += weight * LOAD(x + 24);
        s4 += weight * LOAD(x + 32);
        s5 += weight * LOAD(x + 40);
        s6 += weight * LOAD(x + 48);
        s7 += weight * LOAD(x + 56);
    }
    *(f32x8 *)out = s0;
    *(f32x8 *)(out + 8) = s1;
    *(f32x8 *)(out + 16) = s2;
    *(f32x8 *)(out + 24) = s3;
    *(f32x8 *)(out + 32) = s4;
    *(f32x8 *)(out + 40) = s5;
    *(f32x8 *)(out + 48) = s6;
    *(f32x8 *)(out + 56) = s7;
    for (long k = 0; k < STRIP; k++) out[k] = one_nan(out[k]);
}

/* Subtracts from each column of n rows of width values, at most PART, their mean. */
FEDGE_CLONES static void centre_part(float *rows, long stride, long n, long width) {
    float means[PART];
    memcpy(means, rows, width * sizeof(float));
    for (long r = 1; r < n; r++) {
        const float *__restrict row = rows + r * stride;
        for (long k = 0; k < width; k++) means[k] += row[k];
    }
    for (long k = 0; k < width; k++) means[k] /= (float)n;
    for (long r = 0; r < n; r++) {
        float *__restrict row = rows + r * stride;
        for (long k = 0; k < width; k++) row[k] = one_nan(row[k] - means[k]);
    }
}
