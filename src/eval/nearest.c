/* Nearest neighbours by blocks of products. */
#include "eval/nearest.h"

#include <stdlib.h>

#include "kernels/distance.h"
#include "kernels/simd.h"

enum { KEYS = 2048, QUERIES = 512 };

typedef struct search {
    const lcm_store *store;
    int64_t n, D;
    const real *x;
    double *x2, key2[KEYS];
    real *keys, *y;
    uint8_t *ends;  /* (concepts) the last of its document */
    real *best;     /* (n) squared distance so far */
    int64_t *where; /* (n), the caller's */
} search;

static lcm_status mark_ends(lcm_ctx *ctx, search *q) {
    bool any = false;
    for (int64_t d = 0; d < lcm_store_n_docs(q->store); d++) {
        int64_t first, count;
        LCM_TRY(lcm_store_doc(ctx, &first, &count, q->store, d));
        if (count > 0) q->ends[first + count - 1] = 1;
        any |= count > 1;
    }
    if (!any) LCM_FAIL(ctx, LCM_ERR_ARG, "no document of the training store has two concepts");
    return LCM_OK;
}

static void match_block(search *q, int64_t first, int64_t count) {
    for (int64_t i = 0; i < q->n; i += QUERIES) {
        int64_t m = lcm_min_i(QUERIES, q->n - i);
        lcm_squared_distances(q->y, q->x + i * q->D, q->x2 + i, m, q->keys, q->key2, count, q->D);
        LCM_PARALLEL_FOR
        for (int64_t r = 0; r < m; r++) {
            for (int64_t k = 0; k < count; k++) {
                real d = q->y[r * count + k];
                if (q->ends[first + k] || !(d < q->best[i + r])) continue;
                q->best[i + r] = d;
                q->where[i + r] = first + k;
            }
        }
    }
}

static lcm_status run(lcm_ctx *ctx, search *q) {
    int64_t total = lcm_store_n_concepts(q->store), D = q->D;
    LCM_TRY(lcm_calloc(ctx, &q->ends, (size_t)total + 1, sizeof *q->ends));
    LCM_TRY(lcm_calloc(ctx, &q->x2, (size_t)q->n, sizeof *q->x2));
    LCM_TRY(lcm_calloc(ctx, &q->best, (size_t)q->n, sizeof *q->best));
    LCM_TRY(lcm_calloc(ctx, &q->keys, (size_t)(KEYS * D), sizeof *q->keys));
    LCM_TRY(lcm_calloc(ctx, &q->y, (size_t)KEYS * QUERIES, sizeof *q->y));
    LCM_TRY(mark_ends(ctx, q));
    lcm_squared_norms(q->x2, q->x, q->n, D);
    for (int64_t i = 0; i < q->n; i++) q->best[i] = INFINITY;
    for (int64_t first = 0; first < total; first += KEYS) {
        int64_t count = lcm_min_i(KEYS, total - first);
        LCM_TRY(lcm_store_vectors(ctx, q->keys, q->store, first, count));
        lcm_squared_norms(q->key2, q->keys, count, D);
        match_block(q, first, count);
    }
    return LCM_OK;
}

lcm_status lcm_nearest_find(lcm_ctx *ctx, int64_t *where, const real *x, int64_t n, const lcm_store *s) {
    search q = {.store = s, .n = n, .D = lcm_store_dim(s), .x = x, .where = where};
    lcm_status st = run(ctx, &q);
    free(q.ends);
    free(q.x2);
    free(q.best);
    free(q.keys);
    free(q.y);
    return st;
}

lcm_status lcm_nearest_successor(lcm_ctx *ctx, real *x, int64_t n, const lcm_store *s) {
    int64_t *where, D = lcm_store_dim(s);
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &where, (size_t)n + 1, sizeof *where));
    st = lcm_nearest_find(ctx, where, x, n, s);
    for (int64_t i = 0; st == LCM_OK && i < n; i++) st = lcm_store_vectors(ctx, x + i * D, s, where[i] + 1, 1);
    free(where);
    return st;
}
