/* Keys and values that attention has seen, and the incremental pass that uses them.
 *
 * Rows of a batch live in slots of equal capacity and have lengths of their own, so prompts of
 * different lengths need no padding and a finished row is simply left out. Keys are stored after
 * norm and rotation. An incremental pass gives what the full pass gives. */
#ifndef LCM_LCM_CACHE_H
#define LCM_LCM_CACHE_H

#include "lcm/transformer.h"

typedef struct lcm_kv_cache {
    int64_t layers, slots, cap, M;
    real *k, *v; /* [layers][slots][cap][M] */
} lcm_kv_cache;

/* LCM_ERR_LIMIT when the sizes do not fit 31-bit row numbers, LCM_ERR_NOMEM. */
lcm_status lcm_kv_new(lcm_ctx *ctx, lcm_kv_cache *out, int64_t layers, int64_t slots, int64_t cap, int64_t M);
void lcm_kv_free(lcm_kv_cache *c);

/* Packed new rows of some slots. Either they follow one another: pos counts on, and pos + 1 keys are visible to a row.
 * Or they are candidates for one position: all have the same pos, see as many keys, and themselves. */
typedef struct lcm_kv_rows {
    int64_t n, T;         /* slots, rows in all */
    const int32_t *slot;  /* (n), ascending */
    const int32_t *off;   /* (n+1) */
    const int32_t *pos;   /* (T) position of a row; its key goes there, of the j-th candidate j places further */
    const int32_t *limit; /* (T) keys seen from the first on */
    const int32_t *own;   /* (T) of candidates: place of their own key; NULL of rows that follow one another */
} lcm_kv_rows;

/* Rows for slots that hold `len[slot]` keys. pos is NULL when out of memory. */
lcm_kv_rows lcm_kv_rows_make(lcm_tape *t, int64_t n, const int32_t *slot, const int32_t *off,
                             const int32_t *len);
lcm_kv_rows lcm_kv_rows_candidates(lcm_tape *t, int64_t n, const int32_t *slot, const int32_t *off, const int32_t *len);

/* Stores keys and values k, v (T,M), `shift` places further than rows say. */
void lcm_kv_put(lcm_kv_cache *c, int64_t layer, const lcm_kv_rows *r, int64_t shift, const real *k,
                const real *v);

/* q (T, M) of rows, of which pos is not read -> (T, M), before the output projection. No gradient. */
lcm_tensor *lcm_kv_attend(lcm_tape *t, const lcm_kv_cache *c, int64_t layer, const lcm_tensor *q, int64_t H, const lcm_kv_rows *r);

/* Self-attention of layer i for new rows h (T,M) with values v (T or more rows): their keys and values go
 * to the cache, and what they see there, themselves included, comes back (T,M), before the output
 * projection. */
lcm_tensor *lcm_stack_attend_step(lcm_tape *t, const lcm_stack *s, int64_t layer, const lcm_mha *m, lcm_tensor *h,
                                  const lcm_tensor *v, lcm_kv_cache *c, const lcm_kv_rows *r);

/* Incremental pass of a stack: x (T,M) new rows -> (T,M). The cache is extended; the caller keeps
 * the lengths. The tape must not record. */
lcm_tensor *lcm_stack_step(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, lcm_kv_cache *c,
                           const lcm_kv_rows *r);

#endif
