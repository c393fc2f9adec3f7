/* Matrix times vector, for products of one row: decoding a token reads every weight once, so what counts is how
 * evenly memory is read (docs/speed.md). */
#ifndef LCM_GEMV_H
#define LCM_GEMV_H

#include "kernels/real.h"

/* y[n] = W[n,k] x[k]; rows of W are ldw apart. A value of y depends on its row and x alone: same bits for any n, place of
 * the row and number of threads. */
void lcm_k_gemv(real *y, const real *w, int64_t ldw, const real *x, int64_t n, int64_t k, int threads);

#endif
