/* Which noise levels a sampler visits: S of the N training steps, in descending order. */
#ifndef LCM_TIMESTEPS_H
#define LCM_TIMESTEPS_H

#include "base/ctx_int.h"

typedef enum lcm_spacing {
    LCM_SPACING_EXACT, /* the paper's round(arange(N, 0, -N/S)) - 1, half to even: S steps for every S */
    LCM_SPACING_COMPAT_TRAILING, /* reference code: N-1, N-1-stride, …, stride = N/S cut to an integer */
    LCM_SPACING_COMPAT_LEADING   /* reference code: multiples of the stride below N, descending */
} lcm_spacing;

extern const char *const lcm_spacing_names[]; /* "exact", "compat_trailing", "compat_leading", NULL */

/* Step i goes from level t[i] to level prev[i]; -1 is clean data.
 *
 * Exact: n = S, t[0] = N-1, prev[i] = t[i+1], prev[n-1] = -1.
 * Compat: prev[i] = t[i] - stride, and n is not S where S does not divide N: 100 levels and
 * S = 40 give stride 2 and 50 steps. Leading does not begin at N-1 unless the stride is 1, so it
 * starts from a level that the model has never seen as pure noise. */
typedef struct lcm_timesteps {
    int64_t n;
    int64_t *t, *prev; /* one heap block, owned */
} lcm_timesteps;

/* LCM_ERR_ARG unless 1 <= steps <= train_steps. */
lcm_status lcm_timesteps_make(lcm_ctx *ctx, lcm_timesteps *out, int64_t train_steps, int64_t steps,
                              lcm_spacing spacing);
void lcm_timesteps_free(lcm_timesteps *ts); /* leaves it empty */

#endif
