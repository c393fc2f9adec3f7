/* AdamW on flat arrays, and gradient clipping.
 *
 * Element-wise, so the result does not depend on the number of threads; sums of squares have a
 * fixed chunk order for the same reason. Source: Loshchilov & Hutter 2019, with the operation
 * order of PyTorch. */
#ifndef LCM_ADAMW_H
#define LCM_ADAMW_H

#include <stddef.h>

#include "base/config.h"
#include "kernels/real.h"

typedef struct lcm_adamw_config {
    double beta1, beta2, eps, weight_decay;
} lcm_adamw_config;

extern const lcm_field lcm_adamw_fields[];

lcm_adamw_config lcm_adamw_config_default(void); /* .9, .95, 1e-5, .1: the paper's pre-training */

/* Step k = 1, 2, … with rate lr; m and v start at 0. The gradient counts as grad_scale·g, so that
 * clipping and the division by the number of targets cost no pass of their own:
 *
 *     p <- p (1 - lr wd);  m, v <- moving means of g, g²
 *     p <- p - lr/(1-beta1^k) m / (sqrt(v)/sqrt(1-beta2^k) + eps)
 *
 * The decay applies to all of p; call it per parameter with weight_decay 0 to exempt one. */
void lcm_adamw_step(real *p, const real *g, real *m, real *v, size_t n, const lcm_adamw_config *config,
                    double lr, double grad_scale, int64_t k);

/* Sum of g² in double. The global norm over several arrays is the root of their sums, added in a
 * fixed order. */
double lcm_sum_squares(const real *g, size_t n);

/* Factor that brings a gradient of this norm to at most max_norm: min(1, max/(norm + 1e-6)).
 * NaN when norm is not finite: the caller must skip such a step. */
double lcm_clip_factor(double norm, double max_norm);

#endif
