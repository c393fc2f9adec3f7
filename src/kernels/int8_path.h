/* Code paths of the int8 product. A path lays out activations as its instructions like them and multiplies them by
 * weights, whose layout is the same for all (kernels/int8.h). All paths give the same bits. */
#ifndef LCM_INT8_PATH_H
#define LCM_INT8_PATH_H

#include <float.h>

#include "kernels/int8.h"

struct lcm_i8_kernels {
    const char *name;
    int64_t block;      /* most rows of activations that meet a weight while it is in a register */
    bool (*runs)(void); /* does this build have it, and this CPU its instructions? Else nothing below may be called */
    /* Rows r0 <= r < r1 of x, one block, into a->q, a->scale and a->sum. */
    void (*quantise)(lcm_i8_acts *a, const real *x, int64_t r0, int64_t r1);
    /* y (a->rows, n) of one panel of weights, whose first n rows count. scale (32), b (n) or NULL. */
    void (*panel)(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale, const real *b, int64_t n,
                  int flags);
};

extern const lcm_i8_kernels lcm_i8_vnni, lcm_i8_avx2, lcm_i8_portable;

enum { LCM_I8_GROUP_BYTES = LCM_I8_PANEL * LCM_I8_GROUP };

/* Rows of activations are dealt to blocks evenly: 16 rows are 8 + 8, not 14 + 2. */
static inline int64_t lcm_i8_blocks(const lcm_i8_kernels *p, int64_t rows) { return (rows + p->block - 1) / p->block; }

static inline int64_t lcm_i8_block_begin(const lcm_i8_kernels *p, int64_t rows, int64_t b) {
    return rows * b / lcm_i8_blocks(p, rows);
}

/* To nearest, ties to even, for |x| < 2^22: what the CPU's conversion does, without its rounding mode. */
static inline int32_t lcm_i8_nearest(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (int32_t)(x + shift - shift);
}

/* Scale and its inverse for numbers up to `top`. Where the inverse would overflow all are 0; one that is not
 * finite makes the scale, and with it every product, NaN. */
static inline float lcm_i8_scale_of(float top, float *inverse) {
    *inverse = 0;
    if (!(top <= FLT_MAX)) return NAN;
    if (top < 1e-30f) return 0;
    *inverse = 127.0f / top;
    return top / 127.0f;
}

/* Largest magnitude; NaN is above infinity. */
float lcm_i8_largest(const real *x, int64_t n);

/* Sums become numbers: y = sum * scales + b, and what `flags` ask for. */
void lcm_i8_store(real *y, const int32_t *sum, float a_scale, const float *scale, const real *b, int64_t n, int flags);

#endif
