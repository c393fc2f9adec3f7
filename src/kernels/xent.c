/* Fused projection and cross-entropy. */
#include "kernels/xent.h"

#include <stddef.h>

#include "kernels/gemm.h"
#include "kernels/simd.h"

LCM_CLONES static real row_max(const real *x, int64_t V) {
    real m = -INFINITY;
    LCM_PRAGMA(omp simd reduction(max : m))
    for (int64_t v = 0; v < V; v++) m = x[v] > m ? x[v] : m;
    return m;
}

/* Turns logits into exp(x - max); returns the sum. */
LCM_CLONES static real row_exp(real *x, real top, int64_t V) {
    real sum = 0;
    LCM_SIMD_SUM(sum)
    for (int64_t v = 0; v < V; v++) {
        x[v] = r_exp(x[v] - top);
        sum += x[v];
    }
    return sum;
}

LCM_CLONES static double row_sum_exp(const real *x, real top, int64_t V) {
    double sum = 0;
    LCM_SIMD_SUM(sum)
    for (int64_t v = 0; v < V; v++) sum += (double)r_exp(x[v] - top);
    return sum;
}

LCM_CLONES static double row_mean(const real *x, int64_t V) {
    real s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t v = 0; v < V; v++) s += x[v];
    return (double)s / (double)V;
}

LCM_CLONES static void row_scale_shift(real *x, real a, real b, int64_t V) {
    LCM_SIMD
    for (int64_t v = 0; v < V; v++) x[v] = x[v] * a + b;
}

double lcm_k_xent(lcm_bf16 *half, real *dh, real *dE, real *loss, uint8_t *hit, const real *h, const real *E,
                  const int32_t *target, const real *w, int64_t T, int64_t C, int64_t V, double smoothing, real *scratch) {
    double total = 0;
    for (int64_t t0 = 0; t0 < T; t0 += LCM_XENT_ROWS) {
        int64_t n = lcm_min_i(LCM_XENT_ROWS, T - t0);
        double part[LCM_XENT_ROWS];
        lcm_k_gemm_in(half, false, true, n, V, C, 1, h + t0 * C, C, E, C, 0, scratch, V);
        LCM_PARALLEL_FOR_IF(n * V > 16384)
        for (int64_t i = 0; i < n; i++) {
            real *x = scratch + i * V, top = row_max(x, V), at = x[target[t0 + i]], sum;
            double mean = smoothing > 0 ? row_mean(x, V) : 0, wt = w ? (double)w[t0 + i] : 1, lse, l;
            if (hit) hit[t0 + i] = at >= top;
            sum = row_exp(x, top, V);
            lse = (double)top + log((double)sum);
            l = lse - (1 - smoothing) * (double)at - smoothing * mean;
            part[i] = wt * l;
            if (loss) loss[t0 + i] = (real)l;
            if (dh) {
                row_scale_shift(x, (real)(wt / (double)sum), (real)(-wt * smoothing / (double)V), V);
                x[target[t0 + i]] -= (real)(wt * (1 - smoothing));
            }
        }
        for (int64_t i = 0; i < n; i++) total += part[i];
        if (dh) {
            lcm_k_gemm_in(half, false, false, n, C, V, 1, scratch, V, E, C, 0, dh + t0 * C, C);
            if (dE) lcm_k_gemm_in(half, true, false, V, C, n, 1, scratch, V, h + t0 * C, C, 1, dE, C);
        }
    }
    return total;
}

void lcm_k_log_softmax(real *x, int64_t R, int64_t V) {
    LCM_PARALLEL_FOR_IF(R * V > 16384)
    for (int64_t r = 0; r < R; r++) {
        real *row = x + r * V, top = row_max(row, V);
        row_scale_shift(row, 1, -(top + (real)log(row_sum_exp(row, top, V))), V);
    }
}
