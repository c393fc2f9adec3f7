/* kernels/quantile, sonar/fft and sonar/normalizer: properties and refusals. */
#include "harness/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/quantile.h"
#include "sonar/normalizer.h"

#ifdef LCM_REAL_F64
#define EPS DBL_EPSILON
#else
#define EPS ((double)FLT_EPSILON)
#endif

static void assert_near(double a, double b, double tol) {
    if (!(fabs(a - b) <= tol)) fail_msg("%.9g, expected %.9g within %g", a, b, tol);
}

static int compare(const void *a, const void *b) {
    real x = *(const real *)a, y = *(const real *)b;
    return (x > y) - (x < y);
}

/* Against sorting, on contents that selection is known to stumble over. */
static void quantile_equals_sorting(void **state) {
    enum { MAX = 2000 };
    static const double q[] = {0, 0.0025, 0.25, 0.5, 0.75, 0.995, 1};
    static const int64_t sizes[] = {1, 2, 3, 10, 257, MAX};
    lcm_rng rng = lcm_rng_make(1, LCM_RNG_TEST);
    real v[MAX], sorted[MAX], shuffled[MAX];
    (void)state;
    for (int shape = 0; shape < 6; shape++)
        for (int k = 0; k < 6; k++) {
            int64_t n = sizes[k];
            for (int64_t i = 0; i < n; i++) {
                double x = lcm_rng_normal(&rng), up = (double)i, down = (double)(n - i);
                double shapes[] = {x, up, down, 1, fabs(up - down), (double)(i % 3)};
                v[i] = (real)shapes[shape];
            }
            memcpy(sorted, v, (size_t)n * sizeof *v);
            qsort(sorted, (size_t)n, sizeof *v, compare);
            for (int j = 0; j < 7; j++) {
                double rank = q[j] * (double)(n - 1), f = rank - floor(rank);
                double lo = (double)sorted[(int64_t)rank], hi = (double)sorted[(int64_t)ceil(rank)];
                memcpy(shuffled, v, (size_t)n * sizeof *v);
                assert_true(lcm_quantile(shuffled, n, q[j]) == lo + (hi - lo) * f);
                qsort(shuffled, (size_t)n, sizeof *v, compare);
                assert_memory_equal(shuffled, sorted, (size_t)n * sizeof *v); /* reordered, nothing lost */
            }
        }
}

static void fft_equals_definition(void **state) {
    static const int64_t widths[] = {2, 4, 6, 10, 12, 30, 34, 64, 250, 1024};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_rng rng = lcm_rng_make(2, LCM_RNG_TEST);
    (void)state;
    for (int k = 0; k < 10; k++) {
        int64_t d = widths[k], half = d / 2;
        lcm_fft *f;
        real x[1024], y[1024], back[1024];
        double *scratch, size = 0;
        assert_int_equal(lcm_fft_new(ctx, &f, d), LCM_OK);
        assert_int_equal(lcm_calloc(ctx, &scratch, (size_t)lcm_fft_scratch(f), sizeof *scratch), LCM_OK);
        for (int64_t i = 0; i < d; i++) {
            x[i] = (real)lcm_rng_normal(&rng);
            size += fabs((double)x[i]);
        }
        lcm_fft_forward(f, y, x, scratch);
        for (int64_t b = 0; b <= half; b++) {
            double re = 0, im = 0;
            for (int64_t j = 0; j < d; j++) {
                double angle = 2 * acos(-1.0) * (double)(b * j % d) / (double)d;
                re += (double)x[j] * cos(angle);
                im -= (double)x[j] * sin(angle);
            }
            assert_near((double)y[b], re, 8 * EPS * size); /* of the result in f32, of both sums in f64 */
            if (b > 0 && b < half) assert_near((double)y[half + b], im, 8 * EPS * size);
        }
        lcm_fft_inverse(f, back, y, scratch);
        for (int64_t i = 0; i < d; i++) assert_near((double)back[i], (double)x[i], 8 * EPS * size);
        free(scratch);
        lcm_fft_free(f);
    }
    lcm_ctx_free(ctx);
}

typedef struct sample {
    const real *x;
    int64_t dim;
} sample;

static lcm_status row_of(lcm_ctx *ctx, void *user, real *out, int64_t i) {
    const sample *s = user;
    (void)ctx;
    memcpy(out, s->x + i * s->dim, (size_t)s->dim * sizeof *out);
    return LCM_OK;
}

/* Fitted on log-normal rows with a mean: normalize undoes denormalize and the other way round. */
static void round_trip(void **state) {
    enum { N = 501, D = 18 };
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_rng rng = lcm_rng_make(3, LCM_RNG_TEST);
    real x[N * D], z[N * D], back[N * D];
    (void)state;
    for (int i = 0; i < N * D; i++) x[i] = (real)(exp(lcm_rng_normal(&rng)) * (1 + i % D) - 3);
    for (int method = LCM_NORMALIZE_STANDARD; method <= LCM_NORMALIZE_GAUSSIAN_ROBUST; method++)
        for (int fft = 0; fft < 2; fft++) {
            lcm_normalizer_config c = {
                .dim = D, .with_fft = fft, .method = method, .quantile_min = 0.25, .quantile_max = 0.75};
            lcm_normalizer *nz;
            double scratch[6 * D], largest = 0;
            assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
            assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &(sample){x, D}, N, 0), LCM_OK);
            assert_int_equal(lcm_normalizer_check(ctx, nz), LCM_OK);
            lcm_normalize(nz, z, x, N, scratch);
            lcm_denormalize(nz, back, z, N, scratch);
            for (int i = 0; i < N * D; i++) largest = fmax(largest, fabs((double)x[i]));
            /* three roundings per channel, D channels mixed by the inverse transform */
            for (int i = 0; i < N * D; i++)
                assert_near((double)back[i], (double)x[i], (fft ? 4 * D : 4) * EPS * largest);
            lcm_normalizer_free(nz);
        }
    lcm_ctx_free(ctx);
}

/* What a fit promises of the sample it was fitted on. */
static void fitted_sample_is_standard(void **state) {
    enum { N = 4001 };
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_rng rng = lcm_rng_make(4, LCM_RNG_TEST);
    real *x, *z;
    lcm_normalizer_config c = {.dim = 1, .clip_proba = 0.01, .quantile_min = 0.25, .quantile_max = 0.75};
    lcm_normalizer *nz;
    double mean = 0, ss = 0;
    int64_t at_low = 0, at_high = 0;
    (void)state;
    assert_int_equal(lcm_calloc(ctx, &x, N, sizeof *x), LCM_OK);
    assert_int_equal(lcm_calloc(ctx, &z, N, sizeof *z), LCM_OK);
    for (int i = 0; i < N; i++) x[i] = (real)(100 + 0.01 * lcm_rng_normal(&rng));
    c.method = LCM_NORMALIZE_STANDARD;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
    assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &(sample){x, 1}, N, 0), LCM_OK);
    for (int i = 0; i < N; i++) {
        double y = ((double)x[i] - (double)nz->center[0]) / (double)nz->scale[0];
        mean += y / N;
        ss += y * y / N;
    }
    assert_near(mean, 0, 1e4 * EPS); /* the centre 100 is rounded to real; a scale is .01 */
    assert_near(ss, 1, 1e4 * EPS);
    lcm_normalize(nz, z, x, N, NULL);
    for (int i = 0; i < N; i++) {
        at_low += z[i] == nz->clip_min[0];
        at_high += z[i] == nz->clip_max[0];
    }
    assert_in_range(at_low, 40, 60); /* one percent of 4001; ties at fp32 spacing near 100 add a few */
    assert_in_range(at_high, 40, 60);
    lcm_normalizer_free(nz);
    c.clip_proba = 0;
    for (int compat = 0; compat < 2;
         compat++) { /* both estimate the .01 of a Gaussian; the compat one is noisy */
        c.method = LCM_NORMALIZE_GAUSSIAN_ROBUST;
        c.compat_percent = compat;
        assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
        assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &(sample){x, 1}, N, 0), LCM_OK);
        assert_near((double)nz->scale[0], 0.01, compat ? 0.005 : 0.0006); /* five standard errors of each */
        lcm_normalizer_free(nz);
    }
    free(x);
    free(z);
    lcm_ctx_free(ctx);
}

static void degenerate_samples(void **state) {
    enum { N = 7, D = 4 };
    lcm_ctx *ctx = lcm_ctx_new();
    real x[N * D];
    sample s = {x, D};
    (void)state;
    for (int method = LCM_NORMALIZE_STANDARD; method <= LCM_NORMALIZE_GAUSSIAN_ROBUST; method++) {
        lcm_normalizer_config c = {
            .dim = D, .method = method, .clip_proba = 0.01, .quantile_min = 0.25, .quantile_max = 0.75};
        lcm_normalizer *nz;
        for (int i = 0; i < N; i++) /* constant, mostly zero, growing, constant */
            for (int j = 0; j < D; j++) x[i * D + j] = (real)(j == 1 ? (i == 3) : j == 2 ? i : 0.1);
        assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
        assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &s, N, 0), LCM_OK);
        assert_int_equal(lcm_normalizer_check(ctx, nz), LCM_OK);
        assert_true(nz->scale[0] == 1 && nz->scale[3] == 1);
        assert_near((double)nz->center[0], 0.1, EPS);
        if (method != LCM_NORMALIZE_STANDARD) assert_true(nz->scale[1] == 1 && nz->center[1] == 0);
        assert_true(nz->scale[2] != 1 && nz->center[2] == 3);
        assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &s, 1, 0),
                         LCM_OK); /* one row: every spread is 0 */
        for (int j = 0; j < D; j++) assert_true(nz->scale[j] == 1 && nz->center[j] == x[j]);
        assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &s, 0, 0), LCM_ERR_ARG);
        x[5 * D + 2] = (real)INFINITY;
        assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, &s, N, 0), LCM_ERR_NUMERIC);
        assert_string_equal(lcm_ctx_message(ctx), "normalizer: channel 2 of row 5 is not finite");
        nz->scale[1] = 0;
        assert_int_equal(lcm_normalizer_check(ctx, nz), LCM_ERR_NUMERIC);
        nz->scale[1] = 1, nz->clip_min[1] = 2, nz->clip_max[1] = 1;
        assert_int_equal(lcm_normalizer_check(ctx, nz), LCM_ERR_NUMERIC);
        lcm_normalizer_free(nz);
    }
    lcm_ctx_free(ctx);
}

static void bad_configurations(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_normalizer *nz;
    lcm_normalizer_config c = lcm_normalizer_config_default();
    (void)state;
    c.dim = 7;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
    lcm_normalizer_free(nz);
    c.with_fft = true;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_ERR_ARG);
    assert_null(nz);
    assert_string_equal(lcm_ctx_message(ctx), "fft: width 7 is not even and positive");
    c = lcm_normalizer_config_default();
    c.quantile_min = 0.8;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_ERR_ARG);
    c = lcm_normalizer_config_default();
    c.quantile_min = 0; /* the normal distribution has no value there */
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_ERR_ARG);
    c = lcm_normalizer_config_default();
    c.clip_proba = 0.5;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_ERR_ARG);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantile_equals_sorting),
                                       cmocka_unit_test(fft_equals_definition),
                                       cmocka_unit_test(round_trip),
                                       cmocka_unit_test(fitted_sample_is_standard),
                                       cmocka_unit_test(degenerate_samples),
                                       cmocka_unit_test(bad_configurations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
