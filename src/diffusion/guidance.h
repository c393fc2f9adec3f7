/* Classifier-free guidance on noise estimates, with the rescaling of Lin et al. 2024. */
#ifndef LCM_GUIDANCE_H
#define LCM_GUIDANCE_H

#include "kernels/real.h"

/* Rows [R,D]; out may alias an input.
 *
 *     g = uncond + scale (cond - uncond);   out = g (rescale std(cond)/std(g) + 1 - rescale)
 *
 * std is over the D channels of a row, unbiased (D-1). Where std(g) = 0, or D = 1, the factor
 * is 1: a constant row has no contrast to restore (the reference code divides by zero there).
 * scale 1 gives cond, scale 0 uncond. */
void lcm_guide(real *out, const real *cond, const real *uncond, double scale, double rescale, int64_t rows,
               int64_t dim);

#endif
