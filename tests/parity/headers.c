/* Prints a hash of what the kernels' headers compute from fixed input. */

#include <stdio.h>

#include "lanes.h"
#include "quantising.h"
#include "rotation.h"
#include "tiles.h"

static uint64_t hash = 0xCBF29CE484222325; /* FNV-1a */

static void add(const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001B3;
}

static uint32_t state = 1;

static uint32_t draw(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8; /* 24 bits */
}

/* Cubes of numbers between -1 and 1, times a power of two: exact before the last rounding. */
static float draw_float(float factor) {
    const float x = ((int32_t)draw() - (1 << 23)) * 0x1p-23f;
    return x * x * x * factor;
}

static void hash_tiles(float factor) {
    float values[33], added[33], kept[32];
    for (int i = 0; i < 33; i++)
        values[i] = draw_float(factor), added[i] = draw_float(factor);
    const float limit = factor / 8;
    int32_t below;
    memcpy(&below, &limit, 4);
    const uint32_t before = fedge_tile(values + 1, below); /* not aligned */
    const uint32_t after = fedge_add_tile(values + 1, added, kept, below);
    add(&before, 4), add(&after, 4), add(values, sizeof values);
}

static void hash_levels(float factor, float inverse, int32_t bound) {
    float values[256];
    int8_t levels[256];
    for (int i = 0; i < 256; i++)
        values[i] = draw_float(factor);
    const int32_t top = fedge_top(values);
    const uint32_t seed = draw(); /* not as arguments: their order is open */
    const uint32_t counter = draw();
    fedge_stochastic_levels(values, inverse, bound, seed, counter, levels);
    add(&top, 4), add(levels, sizeof levels);
    fedge_nearest_levels(values, inverse, bound, levels);
    add(levels, sizeof levels);
}

/* Writes m numbers and signs, and reads them again. */
static void hash_streams(long m, int rice) {
    uint32_t numbers[256], low[256], ends[1 + 256 + 64] = {0xFFFFFFFF};
    uint8_t bytes[2048] = {0}, signs[40] = {0};
    int8_t levels[264];
    float values[256];
    for (long i = 0; i < m; i++) {
        numbers[i] = (uint32_t)((uint64_t)draw() << rice >> 23); /* below 2 << rice */
        levels[i] = (int8_t)draw();
    }
    uint8_t *unary = fedge_write_low(numbers, m, rice, bytes);
    uint8_t *end = fedge_write_unary(numbers, m, rice, unary);
    add(bytes, (size_t)(end - bytes));
    uint8_t *last = fedge_write_signs(levels, m, signs);
    add(signs, (size_t)(last - signs));
    const int found = fedge_read_ends(unary, m, ends + 1);
    fedge_read_low(bytes, m, rice, low);
    for (long i = m; i % 4 != 0; i++)
        ends[1 + i] = ends[i] + 1, low[i] = 0;
    const int valid = fedge_set_levels(ends + 1, low, signs, m, rice, 1, 127, 0.3f, values);
    add(&found, sizeof found), add(&valid, sizeof valid);
    add(ends, 4 * (size_t)(m + 1)), add(low, 4 * (size_t)m), add(values, 4 * (size_t)m);
    fedge_set_signs(signs, m, 0.7f, values);
    add(values, 4 * (size_t)m);
}

/* Signs, transform, sums and nearest centroids of n values, a power of two. */
static void hash_rotation(size_t n, float factor) {
    static float values[1 << 14], chosen[1 << 14];
    static uint32_t levels[1 << 14];
    const float centroids[8] = {0.1f, 0.4f, 0.7f, 0.9f, 1.3f, 1.6f, 2.1f, 2.7f};
    float thresholds[7];
    for (size_t i = 0; i < n; i++)
        values[i] = draw_float(factor);
    for (size_t i = 0; i + 32 <= n; i += 32)
        fedge_flip_signs(values + i, draw() << 8, 0.70710678f);
    fedge_flip_all(values, n < 4096 ? n : 4096, 0x5EED5EED, 0x5349474E, (uint32_t)n, 0.5f);
    fedge_fwht(values, n);
    for (int j = 0; j < 7; j++)
        thresholds[j] = factor * centroids[j];
    fedge_nearest(values, n, (int)(n / 32 % 4), thresholds, centroids, levels, chosen);
    const double squares = fedge_dot(values, values, n - n / 3);
    add(values, 4 * n), add(levels, 4 * n), add(chosen, 4 * n), add(&squares, 8);
}

/* Products, mixtures and centred values of three or five rows of 200 values, the last ones zero. */
static void hash_rows(float factor) {
    static float rows[6 * STRIDE] __attribute__((aligned(LINE)));
    float mixed[STRIP], weights[5];
    const float *strips[5];
    double sums[9];
    for (int r = 0; r < 6; r++)
        for (int k = 0; k < 200; k++)
            rows[r * STRIDE + k] = draw_float(factor);
    multiply_rows(rows, rows + 3 * STRIDE, 200, sums);
    for (int i = 0; i < 9; i++)
        sums[i] = sums[i] == sums[i] ? sums[i] : 0; /* machines have several NaN */
    for (int r = 0; r < 5; r++)
        weights[r] = draw_float(1.0f), strips[r] = rows + r * STRIDE;
    mix_strips(weights, strips, 5, 64, mixed);
    centre_part(rows, STRIDE, 5, 200);
    add(sums, sizeof sums), add(mixed, sizeof mixed), add(rows, sizeof rows);
}

int main(void) {
    for (int i = 0; i < 200; i++) {
        hash_tiles(1.0f), hash_tiles(0x1p-120f), hash_tiles(0x1p127f);
        hash_levels(1.0f, 126.7f, 127), hash_levels(0x1p-126f, 0x1p126f, 127);
        hash_levels(0x1p127f, 0x1p-121f, 127), hash_levels(1.0f, 7.1f, 7);
        hash_streams(1 + i, i % 29), hash_streams(256, i % 7);
    }
    for (size_t n = 1; n <= 1 << 14; n *= 2)
        hash_rotation(n, 1.0f), hash_rotation(n, 0x1p-125f), hash_rotation(n, 0x1p100f);
    for (int i = 0; i < 50; i++)
        hash_rows(1.0f), hash_rows(0x1p-70f), hash_rows(0x1p63f), hash_rows(0x1p127f);
    printf("%016llx\n", (unsigned long long)hash);
    return 0;
}
