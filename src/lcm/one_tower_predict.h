/* Contexts of a one-tower network, and passes of predicting rows against them: what its predictors
 * share. A clean row goes through the tower once and leaves its keys and values; a predicting row goes
 * through once per level and leaves nothing. */
#ifndef LCM_ONE_TOWER_PREDICT_H
#define LCM_ONE_TOWER_PREDICT_H

#include "lcm/one_tower.h"
#include "lcm/predictor.h"

/* First member of a predictor whose model begins with a lcm_one_tower. */
typedef struct lcm_one_context {
    lcm_predictor p;
    lcm_kv_cache cache; /* the keys of the predicting rows, its candidates, stand behind a context */
    real *times;        /* (1 + levels, E): embedding of clean rows, then of the levels that are visited */
} lcm_one_context;

/* Of a zeroed struct; sets p.feed. Then the levels that passes will name. */
lcm_status lcm_one_context_init(lcm_ctx *ctx, lcm_one_context *w, const lcm_model *model, const lcm_predict_config *c,
                                int64_t slots, int64_t cap);
lcm_status lcm_one_context_levels(lcm_ctx *ctx, lcm_one_context *w, const int64_t *level, int64_t n);
void lcm_one_context_clear(lcm_one_context *w);

lcm_status lcm_one_context_feed(lcm_ctx *ctx, lcm_predictor *p, const real *x, int64_t n, const int32_t *slot,
                                const int32_t *off);

/* LCM_ERR_LIMIT when an asked context fills every position. */
lcm_status lcm_one_context_check(lcm_ctx *ctx, const lcm_predictor *p, const lcm_asked *a);

/* rows (rows,D) of p.asked, all at the level of index `level` in the list -> out (rows, width of the postnet).
 * rows = asked, or twice as many: those behind see themselves only. */
lcm_status lcm_one_context_pass(lcm_one_context *w, real *out, const real *noisy, int64_t rows, int32_t level);

#endif
