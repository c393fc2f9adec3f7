/* LayerNorm and RMSNorm. */
#include "kernels/norm.h"

#include <stddef.h>

#include "kernels/simd.h"

LCM_CLONES static void norm_fwd_rows(real *y, real *sv, const real *x, const real *w, const real *b, int64_t r0,
                                     int64_t r1, int64_t C, bool rms, real eps) {
    for (int64_t r = r0; r < r1; r++) {
        const real *xr = x + r * C;
        real *yr = y + r * C;
        real mean = 0, ss = 0, inv;
        if (!rms) {
            LCM_SIMD_SUM(mean)
            for (int64_t c = 0; c < C; c++) mean += xr[c];
            mean /= (real)C;
        }
        /* two passes: the variance of centred values does not cancel */
        LCM_SIMD_SUM(ss)
        for (int64_t c = 0; c < C; c++) ss += (xr[c] - mean) * (xr[c] - mean);
        inv = 1 / r_sqrt(ss / (real)C + eps);
        if (w && b) {
            LCM_SIMD
            for (int64_t c = 0; c < C; c++) yr[c] = (xr[c] - mean) * inv * w[c] + b[c];
        } else if (w) {
            LCM_SIMD
            for (int64_t c = 0; c < C; c++) yr[c] = (xr[c] - mean) * inv * w[c];
        } else if (b) {
            LCM_SIMD
            for (int64_t c = 0; c < C; c++) yr[c] = (xr[c] - mean) * inv + b[c];
        } else {
            LCM_SIMD
            for (int64_t c = 0; c < C; c++) yr[c] = (xr[c] - mean) * inv;
        }
        if (sv) {
            sv[2 * r] = mean;
            sv[2 * r + 1] = inv;
        }
    }
}

void lcm_k_norm_eps_fwd(real *y, real *sv, const real *x, const real *w, const real *b, int64_t R, int64_t C, bool rms,
                        double eps) {
    LCM_PARALLEL_FOR_IF(R * C > 32768)
    for (int64_t r = 0; r < R; r += 16) norm_fwd_rows(y, sv, x, w, b, r, lcm_min_i(r + 16, R), C, rms, (real)eps);
}

void lcm_k_norm_fwd(real *y, real *sv, const real *x, const real *w, const real *b, int64_t R, int64_t C, bool rms) {
    lcm_k_norm_eps_fwd(y, sv, x, w, b, R, C, rms, LCM_NORM_EPS);
}

/* With u = w dy and n = (x - mean) r:
 *   layer  dx += r (u - mean(u) - n mean(u n))
 *   rms    dx += r (u - n mean(u n))                         (the mean does not move) */
LCM_CLONES static void norm_bwd_rows(real *dx, const real *dy, const real *x, const real *w, const real *sv,
                                     int64_t r0, int64_t r1, int64_t C, bool rms) {
    for (int64_t r = r0; r < r1; r++) {
        const real *xr = x + r * C, *dyr = dy + r * C;
        real *dxr = dx + r * C;
        real mean = sv[2 * r], inv = sv[2 * r + 1], su = 0, sun = 0;
        LCM_SIMD_SUM(su, sun)
        for (int64_t c = 0; c < C; c++) {
            real u = w ? w[c] * dyr[c] : dyr[c];
            su += u;
            sun += u * (xr[c] - mean) * inv;
        }
        su = rms ? 0 : su / (real)C;
        sun /= (real)C;
        LCM_SIMD
        for (int64_t c = 0; c < C; c++) {
            real u = w ? w[c] * dyr[c] : dyr[c];
            dxr[c] += inv * (u - su - (xr[c] - mean) * inv * sun);
        }
    }
}

LCM_CLONES static void norm_bwd_cols(real *dw, real *db, const real *dy, const real *x, const real *sv, int64_t R,
                                     int64_t C, int64_t c0, int64_t c1) {
    for (int64_t r = 0; r < R; r++) {
        const real *xr = x + r * C, *dyr = dy + r * C;
        real mean = sv[2 * r], inv = sv[2 * r + 1];
        if (dw) {
            LCM_SIMD
            for (int64_t c = c0; c < c1; c++) dw[c] += dyr[c] * (xr[c] - mean) * inv;
        }
        if (db) {
            LCM_SIMD
            for (int64_t c = c0; c < c1; c++) db[c] += dyr[c];
        }
    }
}

void lcm_k_norm_bwd(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w, const real *sv,
                    int64_t R, int64_t C, bool rms) {
    if (dx) {
        LCM_PARALLEL_FOR_IF(R * C > 32768)
        for (int64_t r = 0; r < R; r += 16) norm_bwd_rows(dx, dy, x, w, sv, r, lcm_min_i(r + 16, R), C, rms);
    }
    if (dw || db) {
        LCM_PARALLEL_FOR_IF(R * C > 32768)
        for (int64_t c = 0; c < C; c += 64) norm_bwd_cols(dw, db, dy, x, sv, R, C, c, lcm_min_i(c + 64, C));
    }
}
