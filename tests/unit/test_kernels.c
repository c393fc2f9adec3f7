/* Kernels in single precision: against plain double-precision loops, properties that need no
 * reference, and the same bits for any number of threads. */
#include "harness/golden.h"

#include <float.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/act.h"
#include "kernels/attention.h"
#include "kernels/distance.h"
#include "kernels/gemm.h"
#include "kernels/gemv.h"
#include "kernels/norm.h"
#include "kernels/rows.h"
#include "kernels/xent.h"

static real *randoms(int64_t n, uint64_t stream) {
    lcm_rng r = lcm_rng_make(17, LCM_RNG_TEST + (stream << 8));
    real *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&r);
    return x;
}

static real *zeros(int64_t n) {
    real *x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* ---- matrix product ---- */

typedef void (*gemm_fn)(bool, bool, int64_t, int64_t, int64_t, real, const real *, int64_t, const real *, int64_t, real,
                        real *, int64_t);

/* Any order of summation of k products in precision u is off by at most k u sum|a||b|; alpha, beta
 * and the last addition cost three more roundings. Columns n … ldc-1 of C must not be touched. */
static void check_gemm(gemm_fn f, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, real beta) {
    int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    real *a = randoms((ta ? k : m) * lda + 1, 1), *b = randoms((tb ? n : k) * ldb + 1, 2), *c = randoms(m * ldc, 3);
    real *before = randoms(m * ldc, 3);
    if (beta == 0)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = NAN;
    f(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double s = 0, mass = 0, want, bound;
            for (int64_t p = 0; p < k; p++) {
                double v = (double)(ta ? a[p * lda + i] : a[i * lda + p]) * (double)(tb ? b[j * ldb + p] : b[p * ldb + j]);
                s += v;
                mass += fabs(v);
            }
            want = (double)alpha * s + (beta == 0 ? 0 : (double)beta * (double)before[i * ldc + j]);
            bound = (double)(k + 3) * FLT_EPSILON / 2 *
                    (fabs((double)alpha) * mass + fabs((double)beta * (double)before[i * ldc + j]));
            if (!(fabs((double)c[i * ldc + j] - want) <= bound))
                fail_msg("%lldx%lldx%lld ta %d tb %d beta %g: [%lld,%lld] is %.9g, expected %.9g +- %.2g", (long long)m,
                         (long long)n, (long long)k, ta, tb, (double)beta, (long long)i, (long long)j,
                         (double)c[i * ldc + j], want, bound);
        }
        assert_memory_equal(c + i * ldc + n, before + i * ldc + n, 2 * sizeof *c);
    }
    free(a);
    free(b);
    free(c);
    free(before);
}

static void gemm_all_shapes(void **state) {
    static const int64_t sizes[][3] = {{1, 1, 1}, {1, 7, 5}, {7, 1, 5}, {5, 7, 1}, {3, 5, 7}, {17, 33, 9}, {31, 16, 65},
                                       {64, 64, 64}, {2, 3, 0}, {1, 9, 50}, {1, 3, 16}, {1, 66, 37}, {2, 66, 37}, {2, 7, 16}};
    static const gemm_fn both[] = {lcm_k_gemm, lcm_k_gemm_ref};
    (void)state;
    for (int f = 0; f < 2; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int flags = 0; flags < 4; flags++) {
                const int64_t *z = sizes[s];
                check_gemm(both[f], flags & 1, flags & 2, z[0], z[1], z[2], 1, 0);
                check_gemm(both[f], flags & 1, flags & 2, z[0], z[1], z[2], 1, 1);
                check_gemm(both[f], flags & 1, flags & 2, z[0], z[1], z[2], (real)-0.5, (real)0.25);
            }
    for (int flags = 0; flags < 4; flags++) /* above the size where oneDNN gets all threads */
        check_gemm(lcm_k_gemm, flags & 1, flags & 2, 150, 151, 153, 1, 1);
}

/* A row's sum is the same alone, among others and with any number of threads. */
static void gemv_rows_stand_alone(void **state) {
    enum { N = 23, K = 53, LD = 60, ROWS = LCM_GEMV_ROWS };
    real *w = randoms(N * LD, 1), *x = randoms(ROWS * LD, 2), y[3][ROWS][N], one;
    (void)state;
    for (int rows = 1; rows <= ROWS; rows++) {
        for (int t = 0; t < 3; t++) lcm_k_gemv(y[t][0], N, w, LD, x, LD, rows, N, K, 3 * t + 1);
        assert_memory_equal(y[0], y[1], (size_t)rows * sizeof y[0][0]);
        assert_memory_equal(y[0], y[2], (size_t)rows * sizeof y[0][0]);
        for (int i = 0; i < rows * N; i++) {
            lcm_k_gemv(&one, 1, w + i % N * LD, LD, x + i / N * LD, K, 1, 1, K, 1);
            assert_memory_equal(&one, &y[0][i / N][i % N], sizeof one);
        }
    }
    free(w);
    free(x);
}

static void gemm_of_nothing(void **state) {
    real c[2] = {1, 2}, x[2] = {3, 4};
    (void)state;
    lcm_k_gemm(false, false, 0, 2, 1, 1, x, 1, x, 2, 0, c, 2);
    lcm_k_gemm(false, false, 2, 0, 1, 1, x, 1, x, 1, 0, c, 1);
    assert_true(c[0] == 1 && c[1] == 2);
}

/* ---- formulas in double ---- */

static double act_formula(double v, lcm_act act) {
    switch (act) {
    case LCM_ACT_NONE: break;
    case LCM_ACT_RELU: return v > 0 ? v : 0;
    case LCM_ACT_SILU: return v / (1 + exp(-v));
    case LCM_ACT_GELU: return v / 2 * erfc(-v / sqrt(2));
    case LCM_ACT_TANH: return tanh(v);
    case LCM_ACT_SIGMOID: return 1 / (1 + exp(-v));
    }
    return v;
}

/* A few roundings at the scale of the argument; no NaN at the ends of the range, where exp(-v) is
 * infinite. */
static void activations(void **state) {
    (void)state;
    for (int act = LCM_ACT_NONE; act <= LCM_ACT_SIGMOID; act++)
        for (int i = -400; i <= 400; i++) {
            real x = (real)i / 3, y, dy = 1, dx = 2;
            double scale = fmax(1, fabs((double)x)), h = 1e-4, slope;
            lcm_k_act_fwd(&y, &x, 1, (lcm_act)act);
            if (!(fabs((double)y - act_formula((double)x, (lcm_act)act)) <= 3 * FLT_EPSILON * scale))
                fail_msg("%s(%g) = %.9g", lcm_act_names[act], (double)x, (double)y);
            if (i == 0) continue; /* kink of relu */
            lcm_k_act_bwd(&dx, &dy, &x, 1, (lcm_act)act);
            slope = (act_formula((double)x + h, (lcm_act)act) - act_formula((double)x - h, (lcm_act)act)) / (2 * h);
            if (!(fabs((double)dx - 2 - slope) <= 1e-6 * scale))
                fail_msg("slope of %s at %g is %.9g, expected %.9g", lcm_act_names[act], (double)x, (double)dx - 2, slope);
        }
}

/* One row. Sums of C values are off by up to C u, in whatever order; an error of the mean moves every
 * output by that times r = 1/std, which is large where the values of a row are nearly equal. */
static void check_norm_row(const real *y, const real *x, const real *w, const real *b, int64_t C, bool rms) {
    double mean = 0, ss = 0, inv;
    for (int64_t c = 0; c < C && !rms; c++) mean += (double)x[c] / (double)C;
    for (int64_t c = 0; c < C; c++) ss += pow((double)x[c] - mean, 2) / (double)C;
    inv = 1 / sqrt(ss + 1e-5);
    for (int64_t c = 0; c < C; c++) {
        double n = ((double)x[c] - mean) * inv, wc = w ? (double)w[c] : 1, bc = b ? (double)b[c] : 0;
        double bound = (double)(C + 8) * FLT_EPSILON / 2 * (fabs(wc) * (fabs(mean) * inv + fabs(n)) + fabs(bc));
        if (!(fabs((double)y[c] - (n * wc + bc)) <= bound))
            fail_msg("width %lld, rms %d: [%lld] is %.9g, expected %.9g +- %.2g", (long long)C, rms, (long long)c,
                     (double)y[c], n * wc + bc, bound);
    }
}

static void norms(void **state) {
    static const int64_t widths[] = {1, 2, 3, 8, 17, 64, 65, 1024};
    (void)state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int v = 0; v < 8; v++) {
            int64_t R = 19, W = widths[i];
            real *x = randoms(R * W, 1), *w = randoms(W, 2), *b = randoms(W, 3), *y = zeros(R * W);
            const real *pw = v & 1 ? w : NULL, *pb = v & 2 ? b : NULL;
            for (int64_t k = 0; k < R * W; k++) x[k] += 100; /* off centre: a one-pass variance would cancel */
            lcm_k_norm_fwd(y, NULL, x, pw, pb, R, W, v & 4);
            for (int64_t r = 0; r < R; r++) check_norm_row(y + r * W, x + r * W, pw, pb, W, v & 4);
            free(x);
            free(w);
            free(b);
            free(y);
        }
}

static void log_softmax(void **state) {
    enum { R = 4, V = 77 };
    real *x = randoms(R * V, 1), *y = randoms(R * V, 1);
    (void)state;
    for (int v = 0; v < V; v++) {
        y[V + v] = x[V + v] += 1e4f;  /* exp would overflow */
        y[2 * V + v] = x[2 * V + v] *= 50;
    }
    y[3 * V + 5] = x[3 * V + 5] = -INFINITY; /* a forbidden token */
    lcm_k_log_softmax(y, R, V);
    assert_true(y[3 * V + 5] == -INFINITY);
    for (int r = 0; r < R; r++) {
        double sum = 0, top = -INFINITY;
        for (int v = 0; v < V; v++) top = fmax(top, (double)x[r * V + v]);
        for (int v = 0; v < V; v++) sum += exp((double)x[r * V + v] - top);
        for (int v = 0; v < V; v++) {
            double want = (double)x[r * V + v] - top - log(sum);
            if (isinf(want)) continue;
            /* two roundings at the size of the logits */
            assert_true(fabs((double)y[r * V + v] - want) <= FLT_EPSILON * (fabs(top) + fabs((double)x[r * V + v]) + 4));
        }
    }
    free(x);
    free(y);
}

static void cross_entropy(void **state) {
    enum { T = 300, C = 20, V = 50 }; /* two blocks of rows */
    real *h = randoms(T * C, 1), *E = randoms(V * C, 2), *w = randoms(T, 3), *loss = zeros(T), *scratch = zeros(LCM_XENT_ROWS * V);
    int32_t target[T];
    uint8_t hit[T];
    double total, want_total = 0, mass = 0, s = 0.1;
    (void)state;
    for (int t = 0; t < T; t++) target[t] = t * 7 % V;
    for (int i = 0; i < C; i++) h[i] *= 60; /* logits in the hundreds */
    total = lcm_k_xent(NULL, NULL, NULL, loss, hit, h, E, target, w, T, C, V, s, scratch);
    for (int t = 0; t < T; t++) {
        double z[V], top = -INFINITY, sum = 0, mean = 0, l;
        for (int v = 0; v < V; v++) {
            z[v] = 0;
            for (int c = 0; c < C; c++) z[v] += (double)h[t * C + c] * (double)E[v * C + c];
            top = fmax(top, z[v]);
            mean += z[v] / V;
        }
        for (int v = 0; v < V; v++) sum += exp(z[v] - top);
        l = top + log(sum) - (1 - s) * z[target[t]] - s * mean;
        assert_true(fabs((double)loss[t] - l) <= 2e-6 * fmax(10, fabs(top)));
        assert_int_equal(hit[t], z[target[t]] == top);
        want_total += (double)w[t] * l;
        mass += fabs((double)w[t] * l);
    }
    assert_true(fabs(total - want_total) <= 2e-6 * mass);
    free(h);
    free(E);
    free(w);
    free(loss);
    free(scratch);
}

static void squared_error(void **state) {
    const real p[] = {1, 2, 3, 4, 5, 6}, t[] = {1, 0, 0, 4, 5, 5}, w[] = {2, -1};
    real dp[6], loss[2];
    double root = sqrt(13 + 1e-5), one = sqrt(1 + 1e-5);
    (void)state;
    assert_true(lcm_k_sq_err(NULL, NULL, p, t, NULL, 2, 3, 0) == 14);
    assert_true(lcm_k_sq_err(dp, loss, p, t, w, 2, 3, 0) == 25);
    assert_true(loss[0] == 13 && loss[1] == 1 && dp[1] == 8 && dp[5] == -2 && dp[0] == 0);
    assert_true(fabs(lcm_k_sq_err(dp, loss, p, t, w, 2, 3, 1) - (2 * root - one)) <= 1e-12);
    assert_true(fabs((double)dp[2] - 6 / root) <= 1e-6);
}

/* Small integers, so that every sum is exact in any order; 37 leaves a tail behind whole registers. */
static void products_and_distances(void **state) {
    real a[37], b[37], zero[37] = {0}, tiny[37] = {(real)1e-5};
    double ab = 0, aa = 0, bb = 0, dd = 0;
    (void)state;
    for (int i = 0; i < 37; i++) {
        int p = i * 7 % 11 - 5, q = i * 5 % 13 - 6;
        a[i] = (real)p;
        b[i] = (real)q;
        ab += p * q;
        aa += p * p;
        bb += q * q;
        dd += (p - q) * (p - q);
    }
    assert_true(lcm_dot(a, b, 37) == ab && lcm_dot(a, a, 37) == aa && lcm_squared_distance(a, b, 37) == dd);
    assert_true(lcm_l2(a, b, 37) == sqrt(dd));
    assert_true(fabs(lcm_cosine(a, b, 37) - ab / sqrt(aa * bb)) <= 1e-15);
    assert_true(lcm_cosine(a, zero, 37) == 0 && lcm_cosine(zero, zero, 37) == 0);
    assert_true(fabs(lcm_cosine(tiny, tiny, 37) - 1e-2) <= 1e-8); /* 1e-10 over the least divisor */
}

/* ---- attention ---- */

enum { H = 2, K = 9, C = H * K, T = 12, N_SEG = 4 };
static const int32_t off[N_SEG + 1] = {0, 1, 6, 6, 12}, causal[T] = {1, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6};
static const int32_t some[T] = {1, 0, 5, 3, 1, 2, 6, 0, 1, 4, 2, 0};

/* Beside its prefix in `some`: nothing, the key behind it, a later one, the last of the segment. */
static const int32_t own[T] = {-1, 0, -1, 3, 4, 2, -1, 5, 1, -1, 3, 0};

static void attend_own(real *o, real *lse, const real *q, const real *k, const real *v, int64_t n_seg, const int32_t *offsets,
                       const int32_t *limit, const int32_t *own_key) {
    lcm_attn_shape s = {n_seg, H, K, C, C, offsets, offsets, limit, H, own_key};
    int64_t stride = lcm_k_attention_longest(&s);
    real *scratch = zeros(stride * omp_get_max_threads());
    lcm_k_attention_fwd(o, lse, q, k, v, &s, scratch, stride);
    free(scratch);
}

static void attend(real *o, real *lse, const real *q, const real *k, const real *v, int64_t n_seg, const int32_t *offsets,
                   const int32_t *limit) {
    attend_own(o, lse, q, k, v, n_seg, offsets, limit, NULL);
}

static void attention_formula(void **state) {
    static const int32_t *const limits[] = {NULL, causal, some, some};
    real *q = randoms(T * C, 1), *k = randoms(T * C, 2), *v = randoms(T * C, 3), o[T * C], want[T * C];
    (void)state;
    for (int l = 0; l < 4; l++) {
        attend_own(o, NULL, q, k, v, N_SEG, off, limits[l], l == 3 ? own : NULL);
        memset(want, 0, sizeof want);
        for (int s = 0; s < N_SEG; s++)
            for (int i = off[s]; i < off[s + 1]; i++)
                for (int h = 0; h < H; h++) {
                    int n = off[s + 1] - off[s];
                    double p[T], sum = 0;
                    for (int j = 0; j < n; j++) {
                        double dot = 0;
                        p[j] = 0;
                        if (limits[l] && j >= limits[l][i] && !(l == 3 && j == own[i])) continue;
                        for (int c = 0; c < K; c++) dot += (double)q[i * C + h * K + c] * (double)k[(off[s] + j) * C + h * K + c];
                        sum += p[j] = exp(dot / sqrt(K));
                    }
                    for (int c = 0; c < K; c++) {
                        double y = 0;
                        for (int j = 0; j < n && sum > 0; j++) y += p[j] / sum * (double)v[(off[s] + j) * C + h * K + c];
                        want[i * C + h * K + c] = (real)y;
                    }
                }
        assert_close(o, want, T * C, 2e-6);
    }
    free(q);
    free(k);
    free(v);
}

/* Weights sum to 1: constant values come out again. Scores in the hundreds must not overflow. */
static void attention_of_constant_values(void **state) {
    real *q = randoms(T * C, 1), *k = randoms(T * C, 2), v[T * C], o[T * C];
    (void)state;
    for (int i = 0; i < T * C; i++) {
        q[i] *= 30;
        k[i] *= 30;
        v[i] = (real)(i % C) - 7;
    }
    attend(o, NULL, q, k, v, N_SEG, off, causal);
    for (int i = 0; i < T * C; i++) assert_true(fabsf(o[i] - v[i]) <= 8 * FLT_EPSILON * fabsf(v[i]));
    free(q);
    free(k);
}

static void attention_causal_mask_hides_the_future(void **state) {
    real *q = randoms(T * C, 1), *k = randoms(T * C, 2), *v = randoms(T * C, 3), a[T * C], b[T * C];
    (void)state;
    attend(a, NULL, q, k, v, N_SEG, off, causal);
    for (int c = 0; c < C; c++) { /* row 9 is number 3 of the last segment */
        q[9 * C + c] = -1;
        k[9 * C + c] = NAN;
        v[9 * C + c] = NAN;
    }
    attend(b, NULL, q, k, v, N_SEG, off, causal);
    assert_memory_equal(a, b, 9 * C * sizeof *a);
    for (int i = 9 * C; i < T * C; i++) assert_true(isnan(b[i]));
    free(q);
    free(k);
    free(v);
}

/* A segment alone gives the bits it gives within a batch, forward and backward. */
static void attention_segments_are_independent(void **state) {
    real *q = randoms(T * C, 1), *k = randoms(T * C, 2), *v = randoms(T * C, 3), *d = randoms(T * C, 4);
    real o[T * C], lse[T * H], *g = zeros(3 * T * C), o1[T * C], lse1[T * H];
    lcm_attn_shape all = {N_SEG, H, K, C, C, off, off, causal, H, NULL};
    (void)state;
    attend(o, lse, q, k, v, N_SEG, off, causal);
    lcm_k_attention_bwd(g, g + T * C, g + 2 * T * C, d, o, lse, q, k, v, &all);
    for (int s = 0; s < N_SEG; s++) {
        int32_t n = off[s + 1] - off[s], one[2] = {0, n};
        int64_t at = off[s] * C;
        size_t bytes = (size_t)(n * C) * sizeof(real);
        lcm_attn_shape shape = {1, H, K, C, C, one, one, causal + off[s], H, NULL};
        real *g1 = zeros(3 * T * C);
        attend(o1, lse1, q + at, k + at, v + at, 1, one, causal + off[s]);
        lcm_k_attention_bwd(g1, g1 + T * C, g1 + 2 * T * C, d + at, o1, lse1, q + at, k + at, v + at, &shape);
        assert_memory_equal(o1, o + at, bytes);
        for (int i = 0; i < 3; i++) assert_memory_equal(g1 + i * T * C, g + i * T * C + at, bytes);
        free(g1);
    }
    free(q);
    free(k);
    free(v);
    free(d);
    free(g);
}

/* Scores of rotated queries and keys depend on the distance of positions only; rotating back
 * restores. Tolerance: cos and sin rounded to float, a few operations each. */
static void rope_is_relative(void **state) {
    enum { DIM = 16 };
    real *q = randoms(DIM, 1), *k = randoms(DIM, 2), score[3];
    const int32_t shift[3] = {0, 5, 4000};
    (void)state;
    for (int i = 0; i < 3; i++) {
        real a[DIM], b[DIM];
        const int32_t pq = 7 + shift[i], pk = 3 + shift[i];
        memcpy(a, q, sizeof a);
        memcpy(b, k, sizeof b);
        lcm_k_rope(a, &pq, 1, 1, DIM, DIM, 10000, +1);
        lcm_k_rope(b, &pk, 1, 1, DIM, DIM, 10000, +1);
        score[i] = 0;
        for (int c = 0; c < DIM; c++) score[i] += a[c] * b[c];
        lcm_k_rope(a, &pq, 1, 1, DIM, DIM, 10000, -1);
        assert_close(a, q, DIM, 1e-6);
    }
    assert_true(fabsf(score[1] - score[0]) <= 1e-5f && fabsf(score[2] - score[0]) <= 1e-5f);
    free(q);
    free(k);
}

/* ---- threads ---- */

/* Sizes above every threshold below which a kernel stays on one thread. */
enum { BIG_R = 700, BIG_H = 2, BIG_K = 66, BIG_C = BIG_H * BIG_K, BIG_N = BIG_R * BIG_C, BIG_V = 210, BIG_OUT = 4 * BIG_N };
static real *A, *B, *M; /* (BIG_R, BIG_C) twice, (BIG_R, 3 BIG_C) */
static int32_t many[BIG_R], fewer[BIG_R], big_off[6] = {0, 1, 100, 100, 350, BIG_R};

static void run_act_fwd(real *y, int act) { lcm_k_act_fwd(y, A, BIG_N, (lcm_act)act); }
static void run_act_bwd(real *y, int act) { lcm_k_act_bwd(y, B, A, BIG_N, (lcm_act)act); }
static void run_elementwise(real *y, int arg) {
    (void)arg;
    lcm_k_add(y, A, B, BIG_N);
    lcm_k_acc(y + BIG_N, A, 3, BIG_N);
    lcm_k_mul(y + 2 * BIG_N, A, B, BIG_N);
    lcm_k_mul_acc(y + 3 * BIG_N, A, B, BIG_N);
}
static void run_modulate(real *y, int arg) {
    (void)arg;
    lcm_k_modulate_fwd(y, A, M, BIG_R, BIG_C, 3 * BIG_C, 0, BIG_C);
    lcm_k_modulate_bwd(y, y + BIG_N, B, A, M, BIG_R, BIG_C, 3 * BIG_C, 0, BIG_C);
}
static void run_gate(real *y, int arg) {
    (void)arg;
    lcm_k_gate_fwd(y, A, B, M, BIG_R, BIG_C, BIG_C, 0);
    lcm_k_gate_bwd(y + BIG_N, y + 2 * BIG_N, y + 3 * BIG_N, B, A, M, BIG_R, BIG_C, BIG_C, 0);
}
static void run_attention(real *y, int use_limit) {
    lcm_attn_shape s = {5, BIG_H, BIG_K, BIG_C, BIG_C, big_off, big_off, use_limit ? fewer : NULL, BIG_H, NULL};
    int64_t stride = lcm_k_attention_longest(&s) + 1;
    real *scratch = zeros(stride * omp_get_max_threads()), *lse = zeros(BIG_R * BIG_H);
    lcm_k_attention_fwd(y, lse, A, B, M, &s, scratch, stride);
    lcm_k_attention_bwd(y + BIG_N, y + 2 * BIG_N, y + 3 * BIG_N, B, y, lse, A, B, M, &s);
    free(scratch);
    free(lse);
}
static void run_rope(real *y, int arg) {
    (void)arg;
    memcpy(y, A, BIG_N * sizeof *y);
    lcm_k_rope(y, many, BIG_R, BIG_H, BIG_K, BIG_C, 10000, +1);
}
static void run_rows(real *y, int arg) {
    (void)arg;
    lcm_k_gather_fwd(y, A, many, BIG_R, BIG_C);
    lcm_k_gather_bwd(y + BIG_N, B, many, 2, BIG_R, BIG_C);
    lcm_k_embed_fwd(y + 2 * BIG_N, A, many, 3, B, fewer, BIG_R, BIG_C);
    lcm_k_add_rows_fwd(y + 3 * BIG_N, A, B, many, BIG_R, BIG_C);
}
static void run_pool(real *y, int kind) {
    int32_t *arg = calloc(5 * BIG_C, sizeof *arg);
    assert_non_null(arg);
    lcm_k_pool_fwd(y, arg, A, big_off, 5, BIG_C, (lcm_pool)kind);
    lcm_k_pool_bwd(y + BIG_N, arg, B, big_off, 5, BIG_C, (lcm_pool)kind);
    free(arg);
}
static void run_norm(real *y, int rms) {
    real *sv = zeros(2 * BIG_R);
    lcm_k_norm_fwd(y, sv, A, M, M + BIG_C, BIG_R, BIG_C, rms);
    lcm_k_norm_bwd(y + BIG_N, y + 2 * BIG_N, y + 3 * BIG_N, B, A, M, sv, BIG_R, BIG_C, rms);
    free(sv);
}
static void run_gemm_ref(real *y, int flags) {
    lcm_k_gemm_ref(flags & 1, flags & 2, BIG_C, BIG_C, BIG_C, 1, A, BIG_C, B, BIG_C, 0, y, BIG_C);
}
static void run_linear(real *y, int arg) {
    (void)arg;
    lcm_k_linear_fwd(NULL, y, A, M, M + BIG_N, BIG_R, BIG_C, BIG_C);
    lcm_k_linear_bwd(NULL, y + BIG_N, y + 2 * BIG_N, y + 3 * BIG_N, B, A, M, BIG_R, BIG_C, BIG_C);
}
static void run_xent(real *y, int smooth) {
    real *scratch = zeros(LCM_XENT_ROWS * BIG_V), *loss = y + 2 * BIG_N;
    double sum = lcm_k_xent(NULL, y, y + BIG_N, loss, NULL, A, M, fewer, B, BIG_R, BIG_C, BIG_V, smooth * 0.1, scratch);
    memcpy(y + 3 * BIG_N, &sum, sizeof sum);
    free(scratch);
}
static void run_log_softmax(real *y, int arg) {
    (void)arg;
    memcpy(y, A, BIG_N * sizeof *y);
    lcm_k_log_softmax(y, BIG_R, BIG_C);
}

static const struct parallel_case {
    const char *name;
    void (*run)(real *y, int arg);
    int n_args;
} parallel_cases[] = {
    {"act_fwd", run_act_fwd, 6},   {"act_bwd", run_act_bwd, 6},   {"elementwise", run_elementwise, 1},
    {"modulate", run_modulate, 1}, {"gate", run_gate, 1},         {"attention", run_attention, 2},
    {"rope", run_rope, 1},         {"rows", run_rows, 1},         {"pool", run_pool, 3},
    {"norm", run_norm, 2},         {"gemm_ref", run_gemm_ref, 4}, {"linear", run_linear, 1},
    {"xent", run_xent, 2},         {"log_softmax", run_log_softmax, 1},
};

static void same_bits_for_any_thread_count(void **state) {
    int threads = omp_get_max_threads();
    real *y[3];
    (void)state;
    A = randoms(BIG_N, 1);
    B = randoms(BIG_N, 2);
    M = randoms(3 * BIG_N, 3);
    for (int i = 0; i < BIG_R; i++) {
        many[i] = i * 13 % 200;
        fewer[i] = i % 3;
    }
    fewer[0] = 1; /* the first segment has one key */
    for (int i = 0; i < 3; i++) y[i] = zeros(BIG_OUT);
    for (size_t c = 0; c < sizeof parallel_cases / sizeof *parallel_cases; c++)
        for (int arg = 0; arg < parallel_cases[c].n_args; arg++) {
            for (int i = 0; i < 3; i++) {
                memset(y[i], 0, BIG_OUT * sizeof(real));
                omp_set_num_threads(i + 1);
                parallel_cases[c].run(y[i], arg);
            }
            for (int i = 1; i < 3; i++)
                if (memcmp(y[0], y[i], BIG_OUT * sizeof(real)) != 0)
                    fail_msg("%s %d: %d threads give other bits than one", parallel_cases[c].name, arg, i + 1);
        }
    omp_set_num_threads(threads);
    for (int i = 0; i < 3; i++) free(y[i]);
    free(A);
    free(B);
    free(M);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_all_shapes),
        cmocka_unit_test(gemv_rows_stand_alone),
        cmocka_unit_test(gemm_of_nothing),
        cmocka_unit_test(activations),
        cmocka_unit_test(norms),
        cmocka_unit_test(log_softmax),
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(squared_error),
        cmocka_unit_test(products_and_distances),
        cmocka_unit_test(attention_formula),
        cmocka_unit_test(attention_of_constant_values),
        cmocka_unit_test(attention_causal_mask_hides_the_future),
        cmocka_unit_test(attention_segments_are_independent),
        cmocka_unit_test(rope_is_relative),
        cmocka_unit_test(same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
