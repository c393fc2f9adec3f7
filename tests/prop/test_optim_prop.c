/* train/adamw and train/lr_schedule: properties and refusals. */
#include "harness/test.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/adamw.h"
#include "train/lr_schedule.h"

enum { N = 200003 }; /* several chunks and a ragged last one */

typedef struct state_arrays {
    real *p, *g, *m, *v;
} state_arrays;

static state_arrays make(lcm_ctx *ctx) {
    lcm_rng rng = lcm_rng_make(1, LCM_RNG_TEST);
    state_arrays s;
    assert_int_equal(lcm_calloc(ctx, &s.p, 4 * N, sizeof(real)), LCM_OK);
    s.g = s.p + N;
    s.m = s.g + N;
    s.v = s.m + N;
    for (int i = 0; i < N; i++) {
        s.p[i] = (real)lcm_rng_normal(&rng);
        s.g[i] = (real)lcm_rng_normal(&rng);
    }
    return s;
}

static void result_does_not_depend_on_threads(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_adamw_config c = lcm_adamw_config_default();
    state_arrays ref = {0};
    double norm = 0;
    int before = omp_get_max_threads();
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        state_arrays s = make(ctx);
        omp_set_num_threads(threads);
        for (int k = 1; k <= 3; k++) lcm_adamw_step(s.p, s.g, s.m, s.v, N, &c, 1e-3, 0.5, k);
        if (threads == 1) {
            ref = s;
            norm = lcm_sum_squares(s.p, 4 * N);
            continue;
        }
        assert_memory_equal(s.p, ref.p, 4 * N * sizeof(real));
        assert_true(lcm_sum_squares(s.p, 4 * N) == norm);
        free(s.p);
    }
    omp_set_num_threads(before);
    free(ref.p);
    lcm_ctx_free(ctx);
}

/* At step 1 bias correction makes m/sqrt(v) the sign of the gradient, whatever its size. */
static void first_step_is_signed(void **state) {
    lcm_adamw_config c = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-30, .weight_decay = 0};
    real p[4] = {0}, m[4] = {0}, v[4] = {0};
    const real g[4] = {(real)1e-8, -3, 1000, (real)-0.25};
    (void)state;
    lcm_adamw_step(p, g, m, v, 4, &c, 0.01, 1, 1);
    for (int i = 0; i < 4; i++)
        if (!(fabs((double)p[i] + (g[i] > 0 ? 0.01 : -0.01)) < 1e-7))
            fail_msg("element %d moved by %g", i, (double)p[i]); /* 1e-5 of the step */
}

static void gradient_scale_and_decay(void **state) {
    lcm_adamw_config c = lcm_adamw_config_default();
    real p[2] = {2, 2}, m[2] = {0}, v[2] = {0}, g[2] = {8, 2};
    (void)state;
    lcm_adamw_step(p, g, m, v, 1, &c, 0.01, 0.25, 1); /* 8·0.25 = 2 */
    lcm_adamw_step(p + 1, g + 1, m + 1, v + 1, 1, &c, 0.01, 1, 1);
    assert_true(p[0] == p[1] && m[0] == m[1] && v[0] == v[1]);
    memset(g, 0, sizeof g);
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    p[0] = 2;
    lcm_adamw_step(p, g, m, v, 1, &c, 0.01, 1, 1); /* no gradient: decay alone */
    assert_true(p[0] == 2 * (real)(1 - 0.01 * 0.1));
}

static void sum_of_squares(void **state) {
    static const size_t sizes[] = {0, 1, 7, 8, 9, 32768, 32769, 200003};
    lcm_ctx *ctx = lcm_ctx_new();
    state_arrays s = make(ctx);
    (void)state;
    for (int k = 0; k < 8; k++) {
        long double sum = 0;
        for (size_t i = 0; i < sizes[k]; i++) sum += (long double)s.g[i] * s.g[i];
        /* lanes of at most 4096 additions: far below 1e-12 */
        assert_true(fabs(lcm_sum_squares(s.g, sizes[k]) - (double)sum) <= 1e-12 * (double)sum);
    }
    assert_true(lcm_clip_factor(0, 25) == 1);
    assert_true(lcm_clip_factor(24.9, 25) == 1);
    assert_true(lcm_clip_factor(50, 25) == 25 / (50 + 1e-6));
    assert_true(isnan(lcm_clip_factor(INFINITY, 25)));
    assert_true(isnan(lcm_clip_factor(NAN, 25)));
    free(s.p);
    lcm_ctx_free(ctx);
}

/* Every schedule starts where it says, peaks at lr, and jumps by no more than its steepest slope. */
static void schedules_are_continuous(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (int kind = LCM_LR_NOOP; kind <= LCM_LR_POLYNOMIAL; kind++) {
        lcm_lr_config c = lcm_lr_config_default();
        double peak = 0, last;
        c.schedule = kind;
        c.warmup_steps = 200;
        c.max_steps = 2000; /* wsd: 200, 800 and 1000 steps */
        c.power = 2;
        assert_int_equal(lcm_lr_check(ctx, &c), LCM_OK);
        last = lcm_lr_at(&c, 0);
        assert_true(last == (kind == LCM_LR_NOOP ? c.lr : c.start_lr));
        for (int64_t n = 1; n <= 2000; n++) {
            double x = lcm_lr_at(&c, n);
            assert_true(x > 0 && x <= c.lr * (1 + 1e-15));
            if (!(fabs(x - last) <= c.lr / 199))
                fail_msg("schedule %d jumps from %g to %g at %d", kind, last, x, (int)n);
            peak = fmax(peak, x);
            last = x;
        }
        assert_true(fabs(peak - c.lr) <= 1e-15);
        if (kind == LCM_LR_WSD || kind == LCM_LR_POLYNOMIAL) assert_true(fabs(last - c.final_lr) <= 1e-15);
        if (kind == LCM_LR_COSINE) { /* one step short of the minimum, then a restart */
            assert_true(last > c.final_lr && last < 1.01 * c.final_lr);
            assert_true(fabs(lcm_lr_at(&c, 2001) - c.lr) <= 1e-15);
        }
    }
    lcm_ctx_free(ctx);
}

static void impossible_schedules(void **state) {
    static const struct {
        int kind;
        int64_t warmup, max;
        double hold, final_lr;
        lcm_status want;
    } cases[] = {{LCM_LR_MYLE, 0, 100, 0.4, 1e-5, LCM_ERR_ARG},
                 {LCM_LR_MYLE, 1, 100, 0.4, 1e-5, LCM_OK},
                 {LCM_LR_COSINE, 101, 100, 0.4, 1e-5, LCM_ERR_ARG},
                 {LCM_LR_COSINE, 100, 100, 0.4, 1e-5, LCM_OK},
                 {LCM_LR_COSINE, 0, 100, 0.4, 0, LCM_OK},
                 {LCM_LR_POLYNOMIAL, 100, 100, 0.4, 1e-5, LCM_ERR_ARG},
                 {LCM_LR_POLYNOMIAL, 99, 100, 0.4, 1e-5, LCM_OK},
                 {LCM_LR_WSD, 0, 100, 0.6, 1e-5, LCM_ERR_ARG},
                 {LCM_LR_WSD, 0, 100, 0.4, 0, LCM_ERR_ARG},
                 {LCM_LR_WSD, 0, 1, 0.4, 1e-5, LCM_OK},
                 {LCM_LR_NOOP, 0, 0, 0.4, 1e-5, LCM_ERR_ARG},
                 {LCM_LR_NOOP, -1, 5, 0.4, 1e-5, LCM_ERR_ARG}};
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_lr_config c = lcm_lr_config_default();
        c.schedule = cases[i].kind;
        c.warmup_steps = cases[i].warmup;
        c.max_steps = cases[i].max;
        c.stage_hold = cases[i].hold;
        c.final_lr = cases[i].final_lr;
        assert_int_equal(lcm_lr_check(ctx, &c), cases[i].want);
        if (cases[i].want == LCM_OK)
            for (int64_t n = 0; n < 300; n++) assert_true(isfinite(lcm_lr_at(&c, n)));
    }
    lcm_ctx_free(ctx);
}

static void configurations_are_read(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_lr_config lr = lcm_lr_config_default();
    lcm_adamw_config adam = lcm_adamw_config_default();
    json_t *j = json_pack("{s:s, s:f, s:i}", "schedule", "wsd", "lr", 3e-5, "max_steps", 77);
    (void)state;
    assert_int_equal(lcm_config_read(ctx, &lr, lcm_lr_fields, j, "lr"), LCM_OK);
    assert_true(lr.schedule == LCM_LR_WSD && lr.lr == 3e-5 && lr.max_steps == 77);
    json_object_set_new(j, "max_steps", json_integer(0));
    assert_int_equal(lcm_config_read(ctx, &lr, lcm_lr_fields, j, "lr"), LCM_ERR_ARG);
    json_decref(j);
    j = json_pack("{s:f}", "beta2", 1.0); /* would divide by 0 in the bias correction */
    assert_int_equal(lcm_config_read(ctx, &adam, lcm_adamw_fields, j, "adamw"), LCM_ERR_ARG);
    json_decref(j);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(result_does_not_depend_on_threads),
                                       cmocka_unit_test(first_step_is_signed),
                                       cmocka_unit_test(gradient_scale_and_decay),
                                       cmocka_unit_test(sum_of_squares),
                                       cmocka_unit_test(schedules_are_continuous),
                                       cmocka_unit_test(impossible_schedules),
                                       cmocka_unit_test(configurations_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
