/* The int8 product in plain C: the oracle of the other paths. Activations are bytes, row by row. */
#include "kernels/int8_path.h"
#include "kernels/simd.h"

static bool runs(void) { return true; }

/* As integers, magnitudes compare like the numbers. */
LCM_CLONES static float largest(const real *x, int64_t n) {
    uint32_t top = 0;
    float f;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        f = (float)x[i];
        memcpy(&u, &f, sizeof u);
        u &= 0x7fffffffu;
        top = u > top ? u : top;
    }
    memcpy(&f, &top, sizeof f);
    return f;
}

float lcm_i8_largest(const real *x, int64_t n) { return largest(x, n); }

LCM_CLONES static int32_t quantise_row(int8_t *q, const real *x, int64_t in, int64_t padded, float inverse) {
    int32_t sum = 0;
    for (int64_t i = 0; i < in; i++) {
        int32_t v = inverse > 0 ? lcm_i8_nearest((float)x[i] * inverse) : 0;
        q[i] = (int8_t)v;
        sum += v;
    }
    for (int64_t i = in; i < padded; i++) q[i] = 0;
    return sum;
}

static void quantise(lcm_i8_acts *a, const real *x, int64_t r0, int64_t r1) {
    int64_t padded = lcm_i8_groups(a->in) * LCM_I8_GROUP;
    for (int64_t r = r0; r < r1; r++) {
        float inverse;
        a->scale[r] = lcm_i8_scale_of(largest(x + r * a->in, a->in), &inverse);
        a->sum[r] = quantise_row((int8_t *)a->q + r * padded, x + r * a->in, a->in, padded, inverse);
    }
}

/* Sums wrap as the instruction's do; the end result fits. */
LCM_CLONES static void sums(int32_t *sum, const int8_t *q, const uint8_t *w, int64_t G, int32_t less) {
    uint32_t s[LCM_I8_PANEL];
    for (int o = 0; o < LCM_I8_PANEL; o++) s[o] = 0u - (uint32_t)(LCM_I8_ZERO * less);
    for (int64_t g = 0; g < G; g++, q += LCM_I8_GROUP, w += LCM_I8_GROUP_BYTES)
        for (int o = 0; o < LCM_I8_PANEL; o++)
            s[o] += (uint32_t)(w[4 * o] * q[0] + w[4 * o + 1] * q[1] + w[4 * o + 2] * q[2] + w[4 * o + 3] * q[3]);
    for (int o = 0; o < LCM_I8_PANEL; o++) sum[o] = (int32_t)s[o];
}

void lcm_i8_store(real *y, const int32_t *sum, float a_scale, const float *scale, const real *b, int64_t n, int flags) {
    for (int64_t o = 0; o < n; o++) {
        real v = (real)((float)sum[o] * (a_scale * scale[o]));
        if (b) v += b[o];
        if (flags & LCM_PRODUCT_RELU) v = v > 0 ? v : 0;
        y[o] = flags & LCM_PRODUCT_ADD ? y[o] + v : v;
    }
}

static void panel(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale, const real *b, int64_t n,
                  int flags) {
    int64_t G = lcm_i8_groups(a->in);
    for (int64_t r = 0; r < a->rows; r++) {
        int32_t sum[LCM_I8_PANEL];
        sums(sum, (const int8_t *)a->q + r * G * LCM_I8_GROUP, w, G, a->sum[r]);
        lcm_i8_store(y + r * ldy, sum, a->scale[r], scale, b, n, flags);
    }
}

const lcm_i8_kernels lcm_i8_portable = {"portable", 16, runs, quantise, panel};
