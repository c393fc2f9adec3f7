/* Looks for values that are not finite, at the speed of memory. */
#ifndef LCM_FINITE_H
#define LCM_FINITE_H

#include "kernels/real.h"

/* Index of the first NaN or infinity among n values; -1 when there is none. */
int64_t lcm_k_find_nonfinite(const real *x, int64_t n);

/* The same for 16-bit numbers; `exponent` is the mask of their exponent's bits. */
int64_t lcm_k_find_nonfinite_half(const uint16_t *x, int64_t n, uint16_t exponent);

#endif
