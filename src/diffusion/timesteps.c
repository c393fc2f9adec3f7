/* Inference timestep lists. */
#include "diffusion/timesteps.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const lcm_spacing_names[] = {"exact", "compat_trailing", "compat_leading", NULL};

/* round(a/b), half to even; integers, so that no list depends on how N/S rounds. */
static int64_t divide_round_even(int64_t a, int64_t b) {
    int64_t q = a / b, twice = 2 * (a % b);
    return q + (twice > b || (twice == b && q % 2 == 1));
}

lcm_status lcm_timesteps_make(lcm_ctx *ctx, lcm_timesteps *out, int64_t train_steps, int64_t steps,
                              lcm_spacing spacing) {
    int64_t stride, n;
    memset(out, 0, sizeof *out);
    if (steps < 1 || steps > train_steps)
        LCM_FAIL(ctx, LCM_ERR_ARG, "sampler: %lld steps, allowed are 1 … %lld", (long long)steps,
                 (long long)train_steps);
    stride = train_steps / steps;
    n = spacing == LCM_SPACING_EXACT ? steps : (train_steps + stride - 1) / stride;
    LCM_TRY(lcm_calloc(ctx, &out->t, 2 * (size_t)n, sizeof *out->t));
    out->prev = out->t + n;
    out->n = n;
    for (int64_t i = 0; i < n; i++) {
        switch (spacing) {
        case LCM_SPACING_EXACT:
            out->t[i] = divide_round_even(train_steps * (steps - i), steps) - 1;
            break;
        case LCM_SPACING_COMPAT_TRAILING:
            out->t[i] = train_steps - 1 - i * stride;
            break;
        case LCM_SPACING_COMPAT_LEADING:
            out->t[i] = (n - 1 - i) * stride;
            break;
        }
        out->prev[i] = out->t[i] - stride < 0 ? -1 : out->t[i] - stride;
    }
    if (spacing == LCM_SPACING_EXACT)
        for (int64_t i = 0; i < n; i++) out->prev[i] = i + 1 < n ? out->t[i + 1] : -1;
    return LCM_OK;
}

void lcm_timesteps_free(lcm_timesteps *ts) {
    free(ts->t);
    memset(ts, 0, sizeof *ts);
}
