/* Order statistics of the keys of sorted tiles that are no NaN: the loops of present.pyx that must
become vectors. */

#include "network.h"

/* Counts the keys of each column that are no NaN; gives the least count. */
FEDGE_CLONES static int32_t count_present(const int32_t *__restrict tile, Py_ssize_t n,
                                          int32_t *__restrict counts) {
    int32_t least = (int32_t)n;
    for (Py_ssize_t i = 0; i < LANES; i++) counts[i] = 0;
    for (Py_ssize_t r = 0; r < n; r++)
        for (Py_ssize_t i = 0; i < LANES; i++) counts[i] += tile[r * LANES + i] != NAN_KEY;
    for (Py_ssize_t i = 0; i < LANES; i++) least = counts[i] < least ? counts[i] : least;
    return least;
}

/* Means of the ranks from first to before last of each column, summed from the lowest, times
count / n; 0 for an empty range. */
FEDGE_CLONES static void mean_between(const int32_t *__restrict tile, Py_ssize_t n,
                                      const int32_t *__restrict first,
                                      const int32_t *__restrict last,
                                      const int32_t *__restrict counts, float *__restrict out) {
    float sums[LANES];
    for (Py_ssize_t i = 0; i < LANES; i++) sums[i] = -0.0f; /* plus x is x, for -0 too */
    for (Py_ssize_t r = 0; r < n; r++)
        for (Py_ssize_t i = 0; i < LANES; i++) {
            int32_t counted = -(((int32_t)r >= first[i]) & ((int32_t)r < last[i]));
            int32_t bits = (flip(tile[r * LANES + i]) & counted) | (~counted & INT32_MIN);
            float value;
            memcpy(&value, &bits, 4);
            sums[i] += value;
        }
    for (Py_ssize_t i = 0; i < LANES; i++) {
        float mean = sums[i] / (float)(last[i] - first[i]) * ((float)counts[i] / (float)n);
        int32_t bits;
        memcpy(&bits, &mean, 4);
        bits = (bits & 0x7FFFFFFF) > 0x7F800000 ? NAN_BITS : bits;
        bits = last[i] > first[i] ? bits : 0;
        memcpy(out + i, &bits, 4);
    }
}

/* The first of the k ranks nearest to the middle, for columns without NaN. The window starts one
rank higher for each start at which its lowest value is further away than the one above it. */
FEDGE_CLONES static void nearest_window(const int32_t *__restrict tile, Py_ssize_t n, Py_ssize_t k,
                                        const float *__restrict middle, int32_t *__restrict first) {
    for (Py_ssize_t i = 0; i < LANES; i++) first[i] = 0;
    for (Py_ssize_t r = 0; r + k < n; r++)
        for (Py_ssize_t i = 0; i < LANES; i++) {
            float below = middle[i] - value_of(tile[r * LANES + i]);
            float above = value_of(tile[(r + k) * LANES + i]) - middle[i];
            first[i] += below > above;
        }
}
