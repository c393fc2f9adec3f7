/* Matrix product with operands rounded to bfloat16 and sums kept in f32, for training:
 *
 *     C[m,n] = alpha * bf16(op(A))[m,k] * bf16(op(B))[k,n] + beta * C
 *
 * Arguments as lcm_k_gemm. The operands stay f32 in memory and are rounded while they are packed,
 * so nothing else of a model changes. Rounding moves each factor by at most 2^-9 of its size.
 * Runs on CPUs with AVX512-BF16, where one instruction does two multiply-adds per lane: twice
 * the f32 peak (docs/decisions/0003). The bits do not depend on the number of threads. */
#ifndef LCM_BF16_H
#define LCM_BF16_H

#include <stdbool.h>

#include "base/mem.h"
#include "kernels/real.h"

bool lcm_bf16_supported(void);

/* Packing buffers for `threads` threads; one product at a time. LCM_ERR_UNSUPPORTED on a CPU without
 * the instructions, LCM_ERR_NOMEM. */
typedef struct lcm_bf16 lcm_bf16;
lcm_status lcm_bf16_new(lcm_ctx *ctx, lcm_bf16 **out, int threads);
void lcm_bf16_free(lcm_bf16 *w);

void lcm_k_gemm_bf16(lcm_bf16 *w, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                     int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc);

#endif
