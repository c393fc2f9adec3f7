/* The bfloat16 product: against f64 sums of factors rounded by hand, at all edges of its tiles;
 * the same bits for one and several threads. Skipped on CPUs without the instructions. */
#include "harness/golden.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/gemm.h"

static real *randoms(int64_t n, uint64_t stream) {
    lcm_rng r = lcm_rng_make(23, LCM_RNG_TEST + (stream << 8));
    real *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&r);
    return x;
}

/* Nearest bfloat16, ties to even. */
static double rounded(real x) {
    uint32_t u;
    float f;
    memcpy(&u, &x, sizeof u);
    u += 0x7fff + (u >> 16 & 1);
    u &= 0xffff0000u;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

/* The factors are exact in f64, so only the f32 sum of k products errs: k u sum|a||b|. */
static void check(lcm_bf16 *half, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, real beta) {
    int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    real *a = randoms((ta ? k : m) * lda + 1, 1), *b = randoms((tb ? n : k) * ldb + 1, 2), *c = randoms(m * ldc, 3);
    real *before = randoms(m * ldc, 3);
    if (beta == 0)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = NAN;
    lcm_k_gemm_bf16(half, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double s = 0, mass = 0, old = (double)before[i * ldc + j], want, bound;
            for (int64_t p = 0; p < k; p++) {
                double v = rounded(ta ? a[p * lda + i] : a[i * lda + p]) * rounded(tb ? b[j * ldb + p] : b[p * ldb + j]);
                s += v;
                mass += fabs(v);
            }
            want = (double)alpha * s + (beta == 0 ? 0 : (double)beta * old);
            bound = (double)(k + 3) * FLT_EPSILON / 2 * (fabs((double)alpha) * mass + fabs((double)beta * old));
            if (!(fabs((double)c[i * ldc + j] - want) <= bound))
                fail_msg("%lldx%lldx%lld ta %d tb %d: [%lld,%lld] is %.9g, expected %.9g +- %.2g", (long long)m,
                         (long long)n, (long long)k, ta, tb, (long long)i, (long long)j, (double)c[i * ldc + j], want,
                         bound);
        }
        for (int64_t j = n; j < ldc; j++) assert_true(c[i * ldc + j] == before[i * ldc + j]);
    }
    free(a);
    free(b);
    free(c);
    free(before);
}

static lcm_bf16 *open_or_skip(int threads) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_bf16 *half = NULL;
    lcm_status st = lcm_bf16_new(ctx, &half, threads);
    if (!lcm_bf16_supported()) {
        assert_int_equal(st, LCM_ERR_UNSUPPORTED);
        assert_non_null(strstr(lcm_ctx_message(ctx), "AVX512-BF16"));
        lcm_ctx_free(ctx);
        skip();
    }
    assert_int_equal(st, LCM_OK);
    lcm_ctx_free(ctx);
    return half;
}

static void agrees_with_rounded_factors(void **state) {
    static const int64_t m[] = {1, 13, 15, 43, 230}, n[] = {1, 16, 17, 31, 33, 130}, k[] = {1, 2, 31, 33, 515};
    lcm_bf16 *half = open_or_skip(2);
    (void)state;
    for (int t = 0; t < 4; t++)
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 6; j++)
                for (int p = 0; p < 5; p++)
                    check(half, t & 1, t & 2, m[i], n[j], k[p], p & 1 ? 1 : -2, j & 1 ? 0 : (real)0.5);
    check(half, false, true, 5, 1030, 40, 1, 1); /* a second block of columns */
    check(half, false, true, 3, 4, 0, 1, 0);     /* an empty sum is zero */
    lcm_bf16_free(half);
}

static void same_bits_for_any_number_of_threads(void **state) {
    enum { M = 300, N = 200, K = 600 };
    lcm_bf16 *one = open_or_skip(1), *three = open_or_skip(3);
    real *a = randoms(M * K, 1), *b = randoms(N * K, 2), *x = calloc(M * N, sizeof *x), *y = calloc(M * N, sizeof *y);
    (void)state;
    assert_true(x && y);
    lcm_k_gemm_bf16(one, false, true, M, N, K, 1, a, K, b, K, 0, x, N);
    lcm_k_gemm_bf16(three, false, true, M, N, K, 1, a, K, b, K, 0, y, N);
    assert_memory_equal(x, y, M * N * sizeof *x);
    lcm_bf16_free(one);
    lcm_bf16_free(three);
    free(a);
    free(b);
    free(x);
    free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_rounded_factors),
                                       cmocka_unit_test(same_bits_for_any_number_of_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
