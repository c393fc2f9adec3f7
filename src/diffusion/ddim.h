/* One DDIM step (Song et al. 2021) in the form of the reference code. */
#ifndef LCM_DDIM_H
#define LCM_DDIM_H

#include "diffusion/schedule.h"

typedef struct lcm_ddim_options {
    double eta;             /* 0 deterministic … 1 ancestral */
    double epsilon_scaling; /* divides the noise estimate, not x0; 1 = off (Ning et al. 2023) */
    bool thresholding;      /* dynamic thresholding of x0, see lcm_threshold_rows */
    double threshold_ratio, threshold_max;
    double clip_x0; /* x0 is clamped to ± this; 0 = off; ignored when thresholding */
} lcm_ddim_options;

lcm_ddim_options lcm_ddim_options_default(void); /* 0, 1, off (.995, 6), off */

/* Rows [R,D] from level t to level prev (< t, -1 = clean data), all at the same level:
 *
 *     x0, eps <- out, x;   eps <- eps / epsilon_scaling;   x0 <- threshold or clip
 *     x_prev = sqrt(abar') x0 + sqrt(1 - abar' - s²) eps + s noise,   s = eta sqrt(variance)
 *
 * The noise is not recomputed after x0 was clipped, as in the reference code. x0 and x_prev may
 * alias out and x, not each other. `noise` [R,D] may be NULL when eta is 0. `scratch` [D] is
 * used by thresholding only. `kind` "epsilon" at a level with abar = 0 is the caller's error. */
void lcm_ddim_step(const lcm_schedule *s, real *x0, real *x_prev, const real *out, const real *x,
                   lcm_prediction kind, int64_t t, int64_t prev, const real *noise,
                   const lcm_ddim_options *opt, real *scratch, int64_t rows, int64_t dim);

/* Per row: b = clamp(quantile(|x|, ratio), 1, max), x <- clamp(x, ±b) / b (Saharia et al. 2022).
 * The division forces rows into [-1,1]; normalised concepts have unit variance, so this damages
 * them. It exists for parity and is off by default. */
void lcm_threshold_rows(real *x, double ratio, double max, real *scratch, int64_t rows, int64_t dim);

#endif
