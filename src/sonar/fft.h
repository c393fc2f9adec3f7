/* Real discrete Fourier transform of any even length, packed into as many reals.
 *
 *     forward:  out = [Re X_0 … Re X_{D/2}, Im X_1 … Im X_{D/2-1}],  X_k = sum_j x_j exp(-2 pi i jk / D)
 *     inverse:  exactly undoes it (carries the 1/D)
 *
 * Mixed radix over the prime factors of D: O(D sum of factors), so 1024 is fast and a prime is
 * O(D²). Used on embeddings, once per concept: simplicity before speed. */
#ifndef LCM_FFT_H
#define LCM_FFT_H

#include "base/ctx_int.h"
#include "kernels/real.h"

typedef struct lcm_fft lcm_fft; /* immutable after creation */

lcm_status lcm_fft_new(lcm_ctx *ctx, lcm_fft **out, int64_t dim); /* LCM_ERR_ARG: odd or < 2 */
void lcm_fft_free(lcm_fft *f);                                    /* NULL is allowed */
int64_t lcm_fft_scratch(const lcm_fft *f);                        /* doubles that a transform needs */

/* out [D] may alias x. */
void lcm_fft_forward(const lcm_fft *f, real *out, const real *x, double *scratch);
void lcm_fft_inverse(const lcm_fft *f, real *out, const real *x, double *scratch);

#endif
