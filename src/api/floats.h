/* Between the public float32 and the `real` of this build (double in the one for gradient checks). */
#ifndef LCM_FLOATS_H
#define LCM_FLOATS_H

#include <stddef.h>

#include "kernels/real.h"

static inline void lcm_floats_from_real(float *dst, const real *src, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = (float)src[i];
}

static inline void lcm_floats_to_real(real *dst, const float *src, size_t n) {
    for (size_t i = 0; i < n; i++) dst[i] = (real)src[i];
}

#endif
