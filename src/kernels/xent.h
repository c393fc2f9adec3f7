/* Cross-entropy over a vocabulary with the output projection fused in, in blocks of rows: the
 * full (T,V) logits never exist.
 *
 * h (T,C), E (V,C) with logits = h E^T, target (T) ids; w (T) row weights or NULL = 1.
 *   l_t = -(1-s) log p_t[target] - s mean_v log p_t[v]      s = label smoothing
 * Returns sum_t w_t l_t in double. When dh is not NULL, dh (T,C) is overwritten and dE (V,C)
 * accumulated with the gradient at unit upstream: computing it here costs two products instead
 * of three, because the probabilities are still in cache.
 * loss (T) and hit (T: 1 when the target has the largest logit) may be NULL.
 * scratch: LCM_XENT_ROWS * V values. half: precision of the products, NULL = f32. */
#ifndef LCM_XENT_H
#define LCM_XENT_H

#include "kernels/bf16.h"
#include "kernels/real.h"

enum { LCM_XENT_ROWS = 256 };

double lcm_k_xent(lcm_bf16 *half, real *dh, real *dE, real *loss, uint8_t *hit, const real *h, const real *E,
                  const int32_t *target, const real *w, int64_t T, int64_t C, int64_t V, double smoothing, real *scratch);

/* In place: log-softmax of each row of x (R,V). */
void lcm_k_log_softmax(real *x, int64_t R, int64_t V);

#endif
