/* sonar/normalizer against arrays recorded from the reference code. */
#include "harness/golden.h"

#include <string.h>

#include "sonar/normalizer.h"

enum { R = 4, D = 12, N = 5000 };

static lcm_normalizer *make(lcm_ctx *ctx, lcm_normalizer_config c) {
    lcm_normalizer *nz;
    c.dim = D;
    assert_int_equal(lcm_normalizer_new(ctx, &nz, &c), LCM_OK);
    return nz;
}

static void application(void **state) {
    static const char *const names[] = {"plain", "clip", "fft", "clip_fft"};
    golden *g = golden_open("07_normalizer");
    lcm_ctx *ctx = lcm_ctx_new();
    const real *x = golden_real(g, NULL, "in.x");
    (void)state;
    for (int i = 0; i < 4; i++) {
        lcm_normalizer_config c = lcm_normalizer_config_default();
        lcm_normalizer *nz;
        real got[R * D];
        double scratch[6 * D];
        c.clip_proba = i & 1 ? 0.01 : 0;
        c.with_fft = i & 2;
        nz = make(ctx, c);
        assert_true(lcm_normalizer_scratch(nz) <= 6 * D);
        memcpy(nz->center, golden_real(g, NULL, "w.%s.center", names[i]), D * sizeof(real));
        memcpy(nz->scale, golden_real(g, NULL, "w.%s.scale", names[i]), D * sizeof(real));
        if (i & 1) {
            memcpy(nz->clip_min, golden_real(g, NULL, "w.%s.clip_min", names[i]), D * sizeof(real));
            memcpy(nz->clip_max, golden_real(g, NULL, "w.%s.clip_max", names[i]), D * sizeof(real));
        }
        assert_int_equal(lcm_normalizer_check(ctx, nz), LCM_OK);
        lcm_normalize(nz, got, x, R, scratch);
        assert_close(got, golden_real(g, NULL, "out.%s.norm", names[i]), R * D, 1e-6); /* fp32 rounding */
        lcm_denormalize(nz, got, got, R, scratch);                                     /* in place */
        assert_close(got, golden_real(g, NULL, "out.%s.denorm_of_norm", names[i]), R * D, 1e-6);
        lcm_denormalize(nz, got, x, R, scratch);
        assert_close(got, golden_real(g, NULL, "out.%s.denorm_x", names[i]), R * D, 1e-6);
        lcm_normalizer_free(nz);
    }
    lcm_ctx_free(ctx);
    golden_close(g);
}

static lcm_status row_of(lcm_ctx *ctx, void *user, real *out, int64_t i) {
    (void)ctx;
    memcpy(out, (const real *)user + i * D, D * sizeof(real));
    return LCM_OK;
}

static void fitting(void **state) {
    static const struct {
        const char *name;
        int method;
        bool compat;
    } cases[] = {
        {"standard.quartiles", LCM_NORMALIZE_STANDARD, false},
        {"robust.quartiles", LCM_NORMALIZE_ROBUST, false},
        {"robust.as_shipped_percent_bug", LCM_NORMALIZE_ROBUST, true},
        {"gaussian_robust.quartiles", LCM_NORMALIZE_GAUSSIAN_ROBUST, false},
        {"gaussian_robust.as_shipped_percent_bug", LCM_NORMALIZE_GAUSSIAN_ROBUST, true},
    };
    static const size_t memory[] = {0, 1, 5 * N * sizeof(real)}; /* all channels, one, five at a time */
    golden *g = golden_open("07_normalizer");
    lcm_ctx *ctx = lcm_ctx_new();
    real *x = golden_real(g, NULL, "fit.in.x");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof memory / sizeof *memory; k++) {
            lcm_normalizer_config c = lcm_normalizer_config_default();
            lcm_normalizer *nz;
            c.clip_proba = 0.01;
            c.method = cases[i].method;
            c.compat_percent = cases[i].compat;
            nz = make(ctx, c);
            assert_int_equal(lcm_normalizer_fit(ctx, nz, row_of, x, N, memory[k]), LCM_OK);
            /* 1e-5: the recorded fit accumulated means and interpolated quantiles in fp32 */
            assert_close(nz->center, golden_real(g, NULL, "fit.%s.center", cases[i].name), D, 1e-5);
            assert_close(nz->scale, golden_real(g, NULL, "fit.%s.scale", cases[i].name), D, 1e-5);
            assert_close(nz->clip_min, golden_real(g, NULL, "fit.%s.clip_min", cases[i].name), D, 1e-5);
            assert_close(nz->clip_max, golden_real(g, NULL, "fit.%s.clip_max", cases[i].name), D, 1e-5);
            lcm_normalizer_free(nz);
        }
    lcm_ctx_free(ctx);
    golden_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(application), cmocka_unit_test(fitting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
