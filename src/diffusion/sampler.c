/* The denoising loop. */
#include "diffusion/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diffusion/guidance.h"

const lcm_field lcm_sampler_fields[] = {
    LCM_F_INT(lcm_sampler_config, steps, 1, LCM_TRAIN_STEPS_MAX, "denoising steps"),
    LCM_F_ENUM(lcm_sampler_config, spacing, lcm_spacing_names, "which levels are visited"),
    LCM_F_REAL(lcm_sampler_config, guidance_scale, 0, 1000, "1 is no guidance"),
    LCM_F_REAL(lcm_sampler_config, guidance_rescale, 0, 1, "share of the contrast correction"),
    LCM_F_REAL(lcm_sampler_config, initial_noise_scale, 0, 1000, "standard deviation of the first x"),
    LCM_F_REAL(lcm_sampler_config, epsilon_scaling, 0.01, 100, "noise estimates are divided by it"),
    LCM_F_REAL(lcm_sampler_config, eta, 0, 1, "0 deterministic, 1 ancestral"),
    LCM_F_REAL(lcm_sampler_config, final_noise, 0, 0.999999, "share of noise left for the decoder"),
    LCM_F_REAL(lcm_sampler_config, clip_noise, 1e-6, 1e30, "bound on |x|"),
    LCM_F_BOOL(lcm_sampler_config, thresholding, "dynamic thresholding of x0"),
    LCM_F_REAL(lcm_sampler_config, threshold_ratio, 0, 1, "quantile of |x0|"),
    LCM_F_REAL(lcm_sampler_config, threshold_max, 1, 1e30, "largest bound"),
    LCM_F_END};

lcm_sampler_config lcm_sampler_config_default(void) {
    return (lcm_sampler_config){.steps = 40,
                                .spacing = LCM_SPACING_EXACT,
                                .guidance_scale = 3,
                                .guidance_rescale = 0.7,
                                .initial_noise_scale = 0.6,
                                .epsilon_scaling = 1.00045,
                                .eta = 0,
                                .clip_noise = 100,
                                .thresholding = false,
                                .threshold_ratio = 0.995,
                                .threshold_max = 6};
}

struct lcm_sampler {
    const lcm_schedule *schedule;
    lcm_sampler_config config;
    lcm_ddim_options ddim;
    lcm_timesteps steps;
    int64_t max_rows, dim;
    real *x, *out;       /* [2R,D]: the second half is the unconditional branch */
    real *noise, *spare; /* [R,D], [D] */
};

static bool within(double x, double lo, double hi) { return x >= lo && x <= hi; } /* false for NaN */

static lcm_status check_config(lcm_ctx *ctx, const lcm_sampler_config *c) {
    for (const lcm_field *f = lcm_sampler_fields; f->key; f++) {
        double x;
        if (f->kind != LCM_FIELD_REAL) continue;
        memcpy(&x, (const char *)c + f->offset, sizeof x);
        if (!within(x, f->lo, f->hi))
            LCM_FAIL(ctx, LCM_ERR_ARG, "sampler.%s: %g is outside %g … %g", f->key, x, f->lo, f->hi);
    }
    return LCM_OK;
}

lcm_status lcm_sampler_new(lcm_ctx *ctx, lcm_sampler **out, const lcm_schedule *schedule,
                           const lcm_sampler_config *config, int64_t max_rows, int64_t dim) {
    lcm_sampler *s = NULL;
    size_t plane = 0, total = 0;
    lcm_status st;
    *out = NULL;
    LCM_TRY(check_config(ctx, config));
    if (max_rows < 1 || dim < 1 || !lcm_mul_size(&plane, (size_t)max_rows, (size_t)dim) ||
        !lcm_mul_size(&total, plane, 5) || !lcm_add_size(&total, total, (size_t)dim))
        LCM_FAIL(ctx, LCM_ERR_ARG, "sampler: %lld rows of width %lld", (long long)max_rows, (long long)dim);
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->schedule = schedule;
    s->config = *config;
    s->ddim = lcm_ddim_options_default();
    s->ddim.eta = config->eta;
    s->ddim.epsilon_scaling = config->epsilon_scaling;
    s->ddim.thresholding = config->thresholding;
    s->ddim.threshold_ratio = config->threshold_ratio;
    s->ddim.threshold_max = config->threshold_max;
    s->max_rows = max_rows;
    s->dim = dim;
    st = lcm_timesteps_make(ctx, &s->steps, schedule->config.train_steps, config->steps,
                            (lcm_spacing)config->spacing);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s->x, total, sizeof(real));
    if (st != LCM_OK) {
        lcm_sampler_free(s);
        return st;
    }
    s->out = s->x + 2 * plane;
    s->noise = s->out + 2 * plane;
    s->spare = s->noise + plane;
    *out = s;
    return LCM_OK;
}

void lcm_sampler_free(lcm_sampler *s) {
    if (s == NULL) return;
    lcm_timesteps_free(&s->steps);
    free(s->x);
    free(s);
}

const lcm_timesteps *lcm_sampler_timesteps(const lcm_sampler *s) { return &s->steps; }

void lcm_noise_from_streams(void *user, real *out, int64_t rows, int64_t dim, int64_t call) {
    lcm_rng *rng = user;
    (void)call;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < dim; i++) out[r * dim + i] = (real)lcm_rng_normal(&rng[r]);
}

static void scale_and_clip(real *x, double scale, double bound, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_clamp(scale * x[i], bound);
}

/* Fills s->out with noise estimates of `rows` rows, guided. */
static lcm_status guided_noise(lcm_ctx *ctx, lcm_sampler *s, int64_t rows, int64_t t, lcm_denoise_fn denoise,
                               void *user) {
    int64_t n = rows * s->dim;
    lcm_prediction kind = (lcm_prediction)s->schedule->config.prediction;
    memcpy(s->x + n, s->x, (size_t)n * sizeof(real));
    LCM_TRY(denoise(ctx, user, s->out, s->x, 2 * rows, t));
    lcm_split_prediction(s->schedule, NULL, s->out, s->out, s->x, kind, t, 2 * n);
    lcm_guide(s->out, s->out, s->out + n, s->config.guidance_scale, s->config.guidance_rescale, rows, s->dim);
    return LCM_OK;
}

static lcm_status check_finite(lcm_ctx *ctx, const real *x, int64_t rows, int64_t dim) {
    for (int64_t i = 0; i < rows * dim; i++)
        if (!isfinite(x[i]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "sampler: channel %lld of row %lld is not finite",
                     (long long)(i % dim), (long long)(i / dim));
    return LCM_OK;
}

lcm_status lcm_sampler_run(lcm_ctx *ctx, real *x0, lcm_sampler *s, int64_t rows, lcm_denoise_fn denoise,
                           void *denoise_user, lcm_noise_fn noise, void *noise_user) {
    const lcm_sampler_config *c = &s->config;
    int64_t n = rows * s->dim, top = s->schedule->config.train_steps - 1;
    if (rows < 1 || rows > s->max_rows)
        LCM_FAIL(ctx, LCM_ERR_ARG, "sampler: %lld rows, allowed are 1 … %lld", (long long)rows,
                 (long long)s->max_rows);
    noise(noise_user, s->x, rows, s->dim, 0);
    scale_and_clip(s->x, c->initial_noise_scale, c->clip_noise, n);
    for (int64_t i = 0; i < s->steps.n; i++) {
        int64_t t = s->steps.t[i];
        lcm_prediction kind = (lcm_prediction)s->schedule->config.prediction;
        if (c->guidance_scale != 1 && t != top) {
            LCM_TRY(guided_noise(ctx, s, rows, t, denoise, denoise_user));
            kind = LCM_PREDICT_EPSILON;
        } else
            LCM_TRY(denoise(ctx, denoise_user, s->out, s->x, rows, t));
        if (c->eta > 0) noise(noise_user, s->noise, rows, s->dim, i + 1);
        lcm_ddim_step(s->schedule, x0, s->x, s->out, s->x, kind, t, s->steps.prev[i], s->noise, &s->ddim,
                      s->spare, rows, s->dim);
        scale_and_clip(s->x, 1, c->clip_noise, n);
        if (c->final_noise > 0 && 1 - lcm_schedule_alpha_bar(s->schedule, s->steps.prev[i]) <= c->final_noise) {
            memcpy(x0, s->x, (size_t)n * sizeof *x0);
            break;
        }
    }
    return check_finite(ctx, x0, rows, s->dim);
}
