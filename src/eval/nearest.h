/* Exact search in a concept store. */
#ifndef LCM_NEAREST_H
#define LCM_NEAREST_H

#include "data/store.h"

/* where (n): the store's concept nearest to each row of x (n, D) of those that another follows in their
 * document (Euclid, distances up to the rounding of kernels/distance.h; the first of equals). Reads the store
 * once, a block at a time. LCM_ERR_ARG when no document has two concepts. */
lcm_status lcm_nearest_find(lcm_ctx *ctx, int64_t *where, const real *x, int64_t n, const lcm_store *s);

/* Replaces each row of x (n, D) by the concept that follows the one found. */
lcm_status lcm_nearest_successor(lcm_ctx *ctx, real *x, int64_t n, const lcm_store *s);

#endif
