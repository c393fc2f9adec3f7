/* Order of an epoch. */
#include "data/order.h"

#include "base/rng.h"

lcm_status lcm_order_fill(lcm_ctx *ctx, int64_t *order, int64_t n, uint64_t seed, int64_t epoch) {
    lcm_rng r;
    if (n < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "order of %lld items", (long long)n);
    if (n > INT64_C(1) << 32) LCM_FAIL(ctx, LCM_ERR_LIMIT, "order of %lld items, at most 2^32", (long long)n);
    if (epoch < 0 || epoch > UINT32_MAX) LCM_FAIL(ctx, LCM_ERR_ARG, "epoch %lld is outside 0 … 2^32-1", (long long)epoch);
    r = lcm_rng_make(seed, LCM_RNG_ORDER | (uint64_t)epoch << 32);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    lcm_rng_shuffle(&r, order, n);
    return LCM_OK;
}
