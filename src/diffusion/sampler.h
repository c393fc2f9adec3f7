/* The denoising loop: R rows of noise become R rows of data, all rows at the same level.
 *
 * Names no model: the network is a callback. Follows the reference code's loop (see
 * docs/models/diffusion.md); the list of levels is ours unless a compat spacing is asked for. */
#ifndef LCM_SAMPLER_H
#define LCM_SAMPLER_H

#include "base/rng.h"
#include "diffusion/ddim.h"
#include "diffusion/timesteps.h"

typedef struct lcm_sampler_config {
    int64_t steps;              /* S, 1 … N */
    int spacing;                /* lcm_spacing */
    double guidance_scale;      /* 1 = off: the network is then called for one branch only */
    double guidance_rescale;    /* 0 … 1 */
    double initial_noise_scale; /* standard deviation of the first x */
    double epsilon_scaling, eta;
    double final_noise; /* 0: down to clean data. Else end at the first level with 1 - abar <= this, and return its x */
    double clip_noise; /* x is clamped to ± this at every level; the result is not */
    bool thresholding;
    double threshold_ratio, threshold_max;
} lcm_sampler_config;

extern const lcm_field lcm_sampler_fields[];

/* The paper's choice (§2.4.1): S = 40 exact, guidance 3 rescaled by .7, initial noise .6,
 * epsilon scaling 1.00045, eta 0, clip 100, no final noise. */
lcm_sampler_config lcm_sampler_config_default(void);

/* Network: out [rows,D] from x [rows,D] at level t, in the schedule's prediction kind. Without
 * guidance rows = R. A guided step has rows = 2R: row i and row R+i hold the same x, the first
 * wants the conditional and the second the unconditional output. */
typedef lcm_status (*lcm_denoise_fn)(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows,
                                     int64_t t);

/* Standard normal rows [R,D]. `call` 0 is the initial noise; calls 1, 2, … exist when eta > 0,
 * one per step, in order. */
typedef void (*lcm_noise_fn)(void *user, real *out, int64_t rows, int64_t dim, int64_t call);

/* A noise source whose `user` is lcm_rng[R]: row i depends on its own stream only, so a row's
 * result does not change with the rows beside it. */
void lcm_noise_from_streams(void *user, real *out, int64_t rows, int64_t dim, int64_t call);

typedef struct lcm_sampler lcm_sampler;

/* Allocates everything lcm_sampler_run needs for at most max_rows rows. `schedule` is borrowed.
 * LCM_ERR_ARG for options out of range. */
lcm_status lcm_sampler_new(lcm_ctx *ctx, lcm_sampler **out, const lcm_schedule *schedule,
                           const lcm_sampler_config *config, int64_t max_rows, int64_t dim);
void lcm_sampler_free(lcm_sampler *s);                            /* NULL is allowed */
const lcm_timesteps *lcm_sampler_timesteps(const lcm_sampler *s); /* borrowed */

/* x0 [rows,D]: the x0 estimate of the last step, not the last x; with final_noise > 0 the x that was
 * reached, data noised as by lcm_add_noise, for a reader that was trained on such. The step at level N-1 is never
 * guided: there x is pure noise for both branches, so a difference of noise estimates says
 * nothing. 1 <= rows <= max_rows. No allocation. One thread per sampler.
 * LCM_ERR_NUMERIC when the result is not finite, LCM_ERR_ARG for rows, or what `denoise` returned. */
lcm_status lcm_sampler_run(lcm_ctx *ctx, real *x0, lcm_sampler *s, int64_t rows, lcm_denoise_fn denoise,
                           void *denoise_user, lcm_noise_fn noise, void *noise_user);

#endif
