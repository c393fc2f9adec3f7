/* Distances. */
#include "kernels/distance.h"

#include "kernels/gemm.h"
#include "kernels/simd.h"

LCM_CLONES static double dot(const real *a, const real *b, int64_t D) {
    double s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t i = 0; i < D; i++) s += (double)a[i] * (double)b[i];
    return s;
}

LCM_CLONES static double squared_distance(const real *a, const real *b, int64_t D) {
    double s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t i = 0; i < D; i++) s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return s;
}

double lcm_dot(const real *a, const real *b, int64_t D) { return dot(a, b, D); }

double lcm_squared_distance(const real *a, const real *b, int64_t D) { return squared_distance(a, b, D); }

double lcm_l2(const real *a, const real *b, int64_t D) { return sqrt(squared_distance(a, b, D)); }

double lcm_cosine(const real *a, const real *b, int64_t D) {
    return dot(a, b, D) / fmax(sqrt(dot(a, a, D)) * sqrt(dot(b, b, D)), 1e-8);
}

void lcm_unit_rows(real *x, int64_t n, int64_t D) {
    LCM_PARALLEL_FOR_IF(n > 256)
    for (int64_t i = 0; i < n; i++) {
        double norm = fmax(sqrt(dot(x + i * D, x + i * D, D)), 1e-8);
        for (int64_t k = 0; k < D; k++) x[i * D + k] = (real)((double)x[i * D + k] / norm);
    }
}

void lcm_squared_norms(double *out, const real *x, int64_t n, int64_t D) {
    LCM_PARALLEL_FOR_IF(n > 256)
    for (int64_t i = 0; i < n; i++) out[i] = dot(x + i * D, x + i * D, D);
}

void lcm_squared_distances(real *y, const real *a, const double *a2, int64_t m, const real *b, const double *b2, int64_t n,
                           int64_t D) {
    lcm_k_gemm(false, true, m, n, D, -2, a, D, b, D, 0, y, n);
    LCM_PARALLEL_FOR_IF(m > 16)
    for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < n; k++) y[i * n + k] = (real)(a2[i] + b2[k] + (double)y[i * n + k]);
}
