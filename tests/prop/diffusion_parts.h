/* What the properties of diffusion/ share. */
#ifndef TEST_DIFFUSION_PARTS_H
#define TEST_DIFFUSION_PARTS_H

#include "harness/test.h"

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "diffusion/schedule.h"
#include "kernels/real.h"

#ifdef LCM_REAL_F64
#define EPS DBL_EPSILON
#else
#define EPS ((double)FLT_EPSILON)
#endif

static inline lcm_schedule *make(lcm_ctx *ctx, int kind, int64_t steps, bool zero, lcm_prediction prediction) {
    lcm_schedule_config c = lcm_schedule_config_default();
    lcm_schedule *s;
    c.beta_schedule = kind;
    c.train_steps = steps;
    c.zero_terminal_snr = zero;
    c.prediction = prediction;
    assert_int_equal(lcm_schedule_new(ctx, &s, &c), LCM_OK);
    return s;
}

static inline void fill_normal(real *x, int64_t n, uint64_t seed) {
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_TEST);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&rng);
}

static inline void assert_near(double a, double b, double tol) {
    if (!(fabs(a - b) <= tol)) fail_msg("%.9g, expected %.9g within %g", a, b, tol);
}

#endif
