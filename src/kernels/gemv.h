/* Products of one to four rows. Decoding a token, or denoising a concept, with and without its context or in candidates,
 * reads every weight once, so what counts is how evenly memory is read (docs/speed.md). */
#ifndef LCM_GEMV_H
#define LCM_GEMV_H

#include "kernels/real.h"

enum { LCM_GEMV_ROWS = 4 };

/* y[rows,n] = x[rows,k] W[n,k]^T; rows 1 … LCM_GEMV_ROWS; rows of a matrix are ld* apart. A value of y depends on its rows
 * of x and W alone: same bits for any number of rows on either side, place of the row and number of threads. */
void lcm_k_gemv(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx, int rows, int64_t n, int64_t k,
                int threads);

#endif
