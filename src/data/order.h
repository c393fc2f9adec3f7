/* Order of an epoch: a permutation of N items that depends on (seed, epoch) only.
 *
 * The whole permutation is made at once, so that position p of epoch e is reached without
 * drawing the p items before it, and resuming is exact. */
#ifndef LCM_DATA_ORDER_H
#define LCM_DATA_ORDER_H

#include "base/ctx_int.h"

/* order[0 … n-1] becomes a uniformly drawn permutation of 0 … n-1 (Fisher-Yates).
 * LCM_ERR_LIMIT when n exceeds 2^32, LCM_ERR_ARG when n or epoch is negative or epoch ≥ 2^32. */
lcm_status lcm_order_fill(lcm_ctx *ctx, int64_t *order, int64_t n, uint64_t seed, int64_t epoch);

#endif
