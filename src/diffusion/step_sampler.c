/* Drawing, weighting and encoding noise levels. */
#include "diffusion/step_sampler.h"

#include <stdlib.h>

#include "base/mem.h"

static const char *const sampling_names[] = {"uniform", "beta", NULL};
static const char *const weighting_names[] = {"none", "clamp_snr", NULL};

const lcm_field lcm_step_sampler_fields[] = {
    LCM_F_ENUM(lcm_step_sampler_config, sampling, sampling_names, "distribution of the noise level"),
    LCM_F_REAL(lcm_step_sampler_config, beta_a, 1e-3, 1e3, "beta: weight of low levels"),
    LCM_F_REAL(lcm_step_sampler_config, beta_b, 1, 1e3, "beta: weight of high levels"),
    LCM_F_ENUM(lcm_step_sampler_config, weighting, weighting_names, "loss weight of a level"),
    LCM_F_REAL(lcm_step_sampler_config, min_gamma, 0, 1e30, "clamp_snr: lower bound"),
    LCM_F_REAL(lcm_step_sampler_config, max_gamma, 0, 1e30, "clamp_snr: upper bound"),
    LCM_F_END};

lcm_step_sampler_config lcm_step_sampler_config_default(void) {
    return (lcm_step_sampler_config){.sampling = LCM_STEPS_UNIFORM,
                                     .beta_a = 0.8,
                                     .beta_b = 1,
                                     .weighting = LCM_WEIGHT_NONE,
                                     .min_gamma = 0,
                                     .max_gamma = 5};
}

static void fill_tables(lcm_step_sampler *s, const lcm_schedule *schedule) {
    const lcm_step_sampler_config *c = &s->config;
    int64_t n = s->train_steps;
    double total = 0, sum = 0;
    for (int64_t t = 0; t < n; t++) {
        double u = (double)(t + 1) / (double)n;
        s->probability[t] =
            c->sampling == LCM_STEPS_UNIFORM ? 1 : pow(u, c->beta_a - 1) * pow(1 - u, c->beta_b - 1);
        s->gamma[t] = fmin(fmax(lcm_schedule_snr(schedule, t), c->min_gamma), c->max_gamma);
        total += s->probability[t];
    }
    for (int64_t t = 0; t < n; t++) {
        s->probability[t] /= total;
        s->cumulative[t] = sum += s->probability[t];
    }
}

lcm_status lcm_step_sampler_new(lcm_ctx *ctx, lcm_step_sampler **out, const lcm_schedule *schedule,
                                const lcm_step_sampler_config *config) {
    size_t n = (size_t)schedule->config.train_steps;
    lcm_step_sampler *s = NULL;
    *out = NULL;
    if (!(config->beta_a > 0 && config->beta_b >= 1))
        LCM_FAIL(ctx, LCM_ERR_ARG, "step sampling: beta (%g, %g) needs a > 0 and b >= 1", config->beta_a,
                 config->beta_b);
    if (!(config->min_gamma >= 0 && config->max_gamma >= config->min_gamma))
        LCM_FAIL(ctx, LCM_ERR_ARG, "step weighting: gamma %g … %g is not a range of non-negative numbers",
                 config->min_gamma, config->max_gamma);
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s + 3 * n * sizeof(double)));
    s->config = *config;
    s->train_steps = (int64_t)n;
    s->probability = (double *)(void *)(s + 1);
    s->cumulative = s->probability + n;
    s->gamma = s->cumulative + n;
    fill_tables(s, schedule);
    *out = s;
    return LCM_OK;
}

void lcm_step_sampler_free(lcm_step_sampler *s) { free(s); }

/* First t whose cumulative probability exceeds u; the sum may end just below 1. */
static int64_t invert(const lcm_step_sampler *s, double u) {
    int64_t lo = 0, hi = s->train_steps - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (s->cumulative[mid] > u)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

void lcm_step_sampler_draw(const lcm_step_sampler *s, int64_t *t, int64_t n, lcm_rng *rng) {
    for (int64_t i = 0; i < n; i++)
        t[i] = s->config.sampling == LCM_STEPS_UNIFORM ? (int64_t)lcm_rng_below(rng, (uint64_t)s->train_steps)
                                                       : invert(s, lcm_rng_uniform(rng));
}

void lcm_step_sampler_weights(const lcm_step_sampler *s, real *w, const int64_t *t, int64_t n) {
    double sum = 0, f;
    for (int64_t i = 0; i < n; i++) sum += s->gamma[t[i]];
    f = sum > 0 ? (double)n / sum : 0;
    for (int64_t i = 0; i < n; i++)
        w[i] = s->config.weighting == LCM_WEIGHT_NONE ? 1 : (real)(s->gamma[t[i]] * f);
}

void lcm_timestep_features(real *out, const int64_t *t, int64_t rows, int64_t dim) {
    int64_t half = dim / 2;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < half; k++) {
            double angle = (double)t[r] * exp(-log(10000.0) * (double)k / (double)half);
            out[r * dim + k] = (real)cos(angle);
            out[r * dim + half + k] = (real)sin(angle);
        }
}
