/* train/adamw and train/lr_schedule against arrays recorded from PyTorch and the reference code. */
#include "harness/golden.h"

#include <math.h>
#include <string.h>

#include "train/adamw.h"
#include "train/lr_schedule.h"

enum { N = 12 };

static void adamw_five_steps(void **state) {
    golden *g = golden_open("17_adamw_lr");
    lcm_adamw_config c = lcm_adamw_config_default(); /* .9, .95, 1e-5, .1: what was recorded */
    real p[N], m[N] = {0}, v[N] = {0};
    (void)state;
    memcpy(p, golden_real(g, NULL, "in.p0"), sizeof p);
    for (int k = 1; k <= 5; k++) {
        lcm_adamw_step(p, golden_real(g, NULL, "in.g%d", k - 1), m, v, N, &c, 4e-4, 1, k);
        assert_close(p, golden_real(g, NULL, "out.p%d", k), N, 1e-6); /* fp32 rounding */
    }
    golden_close(g);
}

static void lr_tables(void **state) {
    static const struct {
        const char *name;
        int kind;
    } cases[] = {{"cosine", LCM_LR_COSINE},
                 {"myle", LCM_LR_MYLE},
                 {"wsd", LCM_LR_WSD},
                 {"polynomial", LCM_LR_POLYNOMIAL}};
    golden *g = golden_open("17_adamw_lr");
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (int i = 0; i < 4; i++) {
        lcm_lr_config c = lcm_lr_config_default();
        const double *want = golden_f64(g, NULL, "lr.%s", cases[i].name);
        c.schedule = cases[i].kind;
        c.warmup_steps = 10;
        c.max_steps = 100;
        assert_int_equal(lcm_lr_check(ctx, &c), LCM_OK);
        for (int64_t n = 0; n < 110; n++) {
            double have = lcm_lr_at(&c, n);
            /* both sides are double: only the order of operations differs */
            if (!(fabs(have - want[n]) <= 1e-12))
                fail_msg("%s at %lld: %.17g, expected %.17g", cases[i].name, (long long)n, have, want[n]);
        }
    }
    lcm_ctx_free(ctx);
    golden_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adamw_five_steps), cmocka_unit_test(lr_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
