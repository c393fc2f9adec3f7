/* Activations and elementwise kernels. */
#include "kernels/act.h"

#include <stddef.h>

#include "kernels/simd.h"

const char *const lcm_act_names[] = {"none", "relu", "silu", "gelu", "tanh", "sigmoid", NULL};

enum { CHUNK = 8192 };

#define POINTWISE(expr)                          \
    LCM_SIMD                                     \
    for (int64_t i = i0; i < i1; i++) {          \
        real v = x[i];                           \
        (void)v;                                 \
        expr;                                    \
    }                                            \
    break

LCM_CLONES static void act_fwd_range(real *y, const real *x, int64_t i0, int64_t i1, lcm_act act) {
    switch (act) {
    case LCM_ACT_NONE: POINTWISE(y[i] = v);
    case LCM_ACT_RELU: POINTWISE(y[i] = v > 0 ? v : 0);
    case LCM_ACT_SILU: POINTWISE(y[i] = v / (1 + r_exp(-v)));
    case LCM_ACT_GELU: POINTWISE(y[i] = v * (real)0.5 * (1 + r_erf(v * (real)0.70710678118654752)));
    case LCM_ACT_TANH: POINTWISE(y[i] = r_tanh(v));
    case LCM_ACT_SIGMOID: POINTWISE(y[i] = 1 / (1 + r_exp(-v)));
    }
}

LCM_CLONES static void act_bwd_range(real *dx, const real *dy, const real *x, int64_t i0, int64_t i1, lcm_act act) {
    switch (act) {
    case LCM_ACT_NONE: POINTWISE(dx[i] += dy[i]);
    case LCM_ACT_RELU: POINTWISE(dx[i] += v > 0 ? dy[i] : 0);
    case LCM_ACT_SILU: POINTWISE(real s = 1 / (1 + r_exp(-v)); dx[i] += dy[i] * s * (1 + v * (1 - s)));
    case LCM_ACT_GELU:
        POINTWISE(real cdf = (real)0.5 * (1 + r_erf(v * (real)0.70710678118654752));
                  real pdf = (real)0.39894228040143268 * r_exp(-v * v / 2); dx[i] += dy[i] * (cdf + v * pdf));
    case LCM_ACT_TANH: POINTWISE(real t = r_tanh(v); dx[i] += dy[i] * (1 - t * t));
    case LCM_ACT_SIGMOID: POINTWISE(real s = 1 / (1 + r_exp(-v)); dx[i] += dy[i] * s * (1 - s));
    }
}

void lcm_k_act_fwd(real *y, const real *x, int64_t n, lcm_act act) {
    LCM_PARALLEL_FOR_IF(n > 4 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) act_fwd_range(y, x, i, lcm_min_i(i + CHUNK, n), act);
}

void lcm_k_act_bwd(real *dx, const real *dy, const real *x, int64_t n, lcm_act act) {
    LCM_PARALLEL_FOR_IF(n > 4 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) act_bwd_range(dx, dy, x, i, lcm_min_i(i + CHUNK, n), act);
}

LCM_CLONES static void add_range(real *y, const real *a, const real *b, int64_t i0, int64_t i1) {
    LCM_SIMD
    for (int64_t i = i0; i < i1; i++) y[i] = a[i] + b[i];
}

LCM_CLONES static void acc_range(real *y, const real *x, real s, int64_t i0, int64_t i1) {
    LCM_SIMD
    for (int64_t i = i0; i < i1; i++) y[i] += s * x[i];
}

LCM_CLONES static void mul_range(real *y, const real *a, const real *b, int64_t i0, int64_t i1) {
    LCM_SIMD
    for (int64_t i = i0; i < i1; i++) y[i] = a[i] * b[i];
}

LCM_CLONES static void mul_acc_range(real *y, const real *a, const real *b, int64_t i0, int64_t i1) {
    LCM_SIMD
    for (int64_t i = i0; i < i1; i++) y[i] += a[i] * b[i];
}

void lcm_k_add(real *y, const real *a, const real *b, int64_t n) {
    LCM_PARALLEL_FOR_IF(n > 8 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) add_range(y, a, b, i, lcm_min_i(i + CHUNK, n));
}

void lcm_k_acc(real *y, const real *x, real s, int64_t n) {
    LCM_PARALLEL_FOR_IF(n > 8 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) acc_range(y, x, s, i, lcm_min_i(i + CHUNK, n));
}

void lcm_k_mul(real *y, const real *a, const real *b, int64_t n) {
    LCM_PARALLEL_FOR_IF(n > 8 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) mul_range(y, a, b, i, lcm_min_i(i + CHUNK, n));
}

void lcm_k_mul_acc(real *y, const real *a, const real *b, int64_t n) {
    LCM_PARALLEL_FOR_IF(n > 8 * CHUNK)
    for (int64_t i = 0; i < n; i += CHUNK) mul_acc_range(y, a, b, i, lcm_min_i(i + CHUNK, n));
}

LCM_CLONES static void modulate_fwd_row(real *y, const real *x, const real *shift, const real *scale, int64_t C) {
    LCM_SIMD
    for (int64_t c = 0; c < C; c++) y[c] = x[c] * (1 + scale[c]) + shift[c];
}

void lcm_k_modulate_fwd(real *y, const real *x, const real *m, int64_t R, int64_t C, int64_t M, int64_t shift, int64_t scale) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++) modulate_fwd_row(y + r * C, x + r * C, m + r * M + shift, m + r * M + scale, C);
}

LCM_CLONES static void modulate_bwd_row(real *dx, real *dshift, real *dscale, const real *dy, const real *x,
                                        const real *scale, int64_t C) {
    if (dx) {
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) dx[c] += dy[c] * (1 + scale[c]);
    }
    if (dshift) {
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) {
            dshift[c] += dy[c];
            dscale[c] += dy[c] * x[c];
        }
    }
}

void lcm_k_modulate_bwd(real *dx, real *dm, const real *dy, const real *x, const real *m, int64_t R, int64_t C,
                        int64_t M, int64_t shift, int64_t scale) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++)
        modulate_bwd_row(dx ? dx + r * C : NULL, dm ? dm + r * M + shift : NULL, dm ? dm + r * M + scale : NULL,
                         dy + r * C, x + r * C, m + r * M + scale, C);
}

LCM_CLONES static void gate_fwd_row(real *y, const real *x, const real *f, const real *g, int64_t C) {
    LCM_SIMD
    for (int64_t c = 0; c < C; c++) y[c] = x[c] + g[c] * f[c];
}

void lcm_k_gate_fwd(real *y, const real *x, const real *f, const real *m, int64_t R, int64_t C, int64_t M, int64_t gate) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++) gate_fwd_row(y + r * C, x + r * C, f + r * C, m + r * M + gate, C);
}

void lcm_k_gate_bwd(real *dx, real *df, real *dm, const real *dy, const real *f, const real *m, int64_t R, int64_t C,
                    int64_t M, int64_t gate) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++) {
        if (dx) acc_range(dx + r * C, dy + r * C, 1, 0, C);
        if (df) mul_acc_range(df + r * C, dy + r * C, m + r * M + gate, 0, C);
        if (dm) mul_acc_range(dm + r * M + gate, dy + r * C, f + r * C, 0, C);
    }
}
