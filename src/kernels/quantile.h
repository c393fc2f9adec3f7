/* Quantiles by selection, linearly interpolated between order statistics. */
#ifndef LCM_QUANTILE_H
#define LCM_QUANTILE_H

#include "kernels/real.h"

/* The value at rank q·(n-1) of v[0..n), q in [0,1], n >= 1. Reorders v; expected O(n) for any
 * content. NaN in v gives an unspecified element, never an access outside v. */
double lcm_quantile(real *v, int64_t n, double q);

#endif
