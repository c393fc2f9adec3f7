/* Row movers, poolings, squared error. */
#include "kernels/rows.h"

#include <stddef.h>
#include <string.h>

#include "kernels/simd.h"

void lcm_k_gather_fwd(real *y, const real *x, const int32_t *idx, int64_t R, int64_t C) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++) {
        if (idx[r] < 0) memset(y + r * C, 0, (size_t)C * sizeof *y);
        else memcpy(y + r * C, x + idx[r] * C, (size_t)C * sizeof *y);
    }
}

LCM_CLONES static void scatter_cols(real *dx, const real *dy, const int32_t *idx, real s, int64_t R, int64_t C,
                                    int64_t c0, int64_t c1) {
    for (int64_t r = 0; r < R; r++) {
        real *d;
        if (idx[r] < 0) continue;
        d = dx + idx[r] * C;
        LCM_SIMD
        for (int64_t c = c0; c < c1; c++) d[c] += s * dy[r * C + c];
    }
}

void lcm_k_gather_bwd(real *dx, const real *dy, const int32_t *idx, real s, int64_t R, int64_t C) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t c = 0; c < C; c += 64) scatter_cols(dx, dy, idx, s, R, C, c, lcm_min_i(c + 64, C));
}

LCM_CLONES static void embed_row(real *y, const real *e, real s, const real *p, int64_t C) {
    if (p) {
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) y[c] = s * e[c] + p[c];
    } else {
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) y[c] = s * e[c];
    }
}

void lcm_k_embed_fwd(real *y, const real *E, const int32_t *id, real s, const real *P, const int32_t *pos, int64_t T, int64_t C) {
    LCM_PARALLEL_FOR_IF(T * C > 65536)
    for (int64_t t = 0; t < T; t++) embed_row(y + t * C, E + id[t] * C, s, P ? P + pos[t] * C : NULL, C);
}

LCM_CLONES static void add_row(real *y, const real *a, const real *b, int64_t C) {
    LCM_SIMD
    for (int64_t c = 0; c < C; c++) y[c] = a[c] + b[c];
}

void lcm_k_add_rows_fwd(real *y, const real *x, const real *c, const int32_t *idx, int64_t R, int64_t C) {
    LCM_PARALLEL_FOR_IF(R * C > 65536)
    for (int64_t r = 0; r < R; r++) add_row(y + r * C, x + r * C, c + idx[r] * C, C);
}

LCM_CLONES static void pool_one(real *y, int32_t *arg, const real *x, int64_t a, int64_t b, int64_t C, lcm_pool kind) {
    memset(y, 0, (size_t)C * sizeof *y);
    if (a == b) return;
    if (kind == LCM_POOL_LAST) {
        memcpy(y, x + (b - 1) * C, (size_t)C * sizeof *y);
        return;
    }
    if (kind == LCM_POOL_MAX) {
        for (int64_t c = 0; c < C; c++) {
            int64_t best = a;
            for (int64_t r = a + 1; r < b; r++)
                if (x[r * C + c] > x[best * C + c]) best = r;
            y[c] = x[best * C + c];
            if (arg) arg[c] = (int32_t)best;
        }
        return;
    }
    for (int64_t r = a; r < b; r++) {
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) y[c] += x[r * C + c];
    }
    /* The reference divides by n + 1e-7, which is below one ulp for n >= 2. */
    for (int64_t c = 0; c < C; c++) y[c] /= (real)(b - a);
}

void lcm_k_pool_fwd(real *y, int32_t *arg, const real *x, const int32_t *off, int64_t n, int64_t C, lcm_pool kind) {
    LCM_PARALLEL_FOR_IF(off[n] * C > 65536)
    for (int64_t s = 0; s < n; s++) pool_one(y + s * C, arg ? arg + s * C : NULL, x, off[s], off[s + 1], C, kind);
}

void lcm_k_pool_bwd(real *dx, const int32_t *arg, const real *dy, const int32_t *off, int64_t n, int64_t C, lcm_pool kind) {
    LCM_PARALLEL_FOR_IF(off[n] * C > 65536)
    for (int64_t s = 0; s < n; s++) {
        int64_t a = off[s], b = off[s + 1];
        const real *d = dy + s * C;
        if (a == b) continue;
        if (kind == LCM_POOL_LAST) {
            for (int64_t c = 0; c < C; c++) dx[(b - 1) * C + c] += d[c];
        } else if (kind == LCM_POOL_MAX) {
            for (int64_t c = 0; c < C; c++) dx[arg[s * C + c] * C + c] += d[c];
        } else {
            real inv = 1 / (real)(b - a);
            for (int64_t r = a; r < b; r++)
                for (int64_t c = 0; c < C; c++) dx[r * C + c] += inv * d[c];
        }
    }
}

LCM_CLONES static double sq_row(const real *p, const real *t, int64_t C) {
    double d = 0;
    LCM_SIMD_SUM(d)
    for (int64_t c = 0; c < C; c++) d += (double)(p[c] - t[c]) * (double)(p[c] - t[c]);
    return d;
}

double lcm_k_sq_err(real *dp, real *loss, const real *p, const real *t, const real *w, int64_t R, int64_t C, int rmse) {
    double total = 0;
    for (int64_t r = 0; r < R; r++) {
        double d = sq_row(p + r * C, t + r * C, C), wr = w ? (double)w[r] : 1;
        double l = rmse ? sqrt(d + 1e-5) : d, g = rmse ? wr / l : 2 * wr;
        total += wr * l;
        if (loss) loss[r] = (real)l;
        if (dp)
            for (int64_t c = 0; c < C; c++) dp[r * C + c] = (real)(g * (double)(p[r * C + c] - t[r * C + c]));
    }
    return total;
}
