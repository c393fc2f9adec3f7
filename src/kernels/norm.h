/* LayerNorm and RMSNorm over the last dimension, eps = 1e-5 inside the root. x, y: (R,C).
 *
 * layer: y = (x - mean) r w + b,  r = 1/sqrt(var + eps), population variance; w, b (C) may be NULL
 * rms:   y = x r w + b,           r = 1/sqrt(mean(x^2) + eps)
 * sv: (R,2) = mean (0 for rms) and r, saved for backward. Backward accumulates. */
#ifndef LCM_NORM_H
#define LCM_NORM_H

#include <stdbool.h>

#include "kernels/real.h"

#define LCM_NORM_EPS 1e-5

void lcm_k_norm_fwd(real *y, real *sv, const real *x, const real *w, const real *b, int64_t R, int64_t C, bool rms);
/* The same with another eps; backward needs none, r is in sv. */
void lcm_k_norm_eps_fwd(real *y, real *sv, const real *x, const real *w, const real *b, int64_t R, int64_t C, bool rms,
                        double eps);

/* dx, dw, db may be NULL. */
void lcm_k_norm_bwd(real *dx, real *dw, real *db, const real *dy, const real *x, const real *w, const real *sv,
                    int64_t R, int64_t C, bool rms);

#endif
