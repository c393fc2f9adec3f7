/* General matrix product, row-major:  C[m,n] = alpha * op(A)[m,k] * op(B)[k,n] + beta * C.
 *
 * op(X) = X or, with the flag set, its transpose; ld* is the row stride of the stored matrix.
 * f32 runs on oneDNN's sgemm (docs/speed.md), with signals blocked meanwhile, or with one to four rows of A on kernels/gemv.h;
 * f64 and the oracle of the tests run on lcm_k_gemm_ref. beta = 0 never reads C. */
#ifndef LCM_GEMM_H
#define LCM_GEMM_H

#include "kernels/bf16.h"
#include "kernels/real.h"

void lcm_k_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                const real *b, int64_t ldb, real beta, real *c, int64_t ldc);

void lcm_k_gemm_ref(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                    const real *b, int64_t ldb, real beta, real *c, int64_t ldc);

/* The same in the precision of `half`: NULL is lcm_k_gemm. */
void lcm_k_gemm_in(lcm_bf16 *half, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                   int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc);

/* y[R,O] = x[R,I] W[O,I]^T + b[O]; b may be NULL. */
void lcm_k_linear_fwd(lcm_bf16 *half, real *y, const real *x, const real *w, const real *b, int64_t R, int64_t I,
                      int64_t O);

/* dx[R,I] += dy W,  dw[O,I] += dy^T x,  db[O] += column sums of dy. Each target may be NULL. */
void lcm_k_linear_bwd(lcm_bf16 *half, real *dx, real *dw, real *db, const real *dy, const real *x, const real *w,
                      int64_t R, int64_t I, int64_t O);

#endif
