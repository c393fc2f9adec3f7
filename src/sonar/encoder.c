/* SONAR encoder for inference. */
#include "sonar/encoder.h"

#include <omp.h>
#include <stdlib.h>

#include "kernels/attend.h"
#include "kernels/norm.h"
#include "kernels/simd.h"

/* Most rows that pass the feed-forward network together: their inner activations stay in the caches, and there are
 * still enough of them to make the stream of weights cheap. */
enum { FFN_ROWS = 140 };

struct lcm_sonar_encoder {
    const lcm_sonar_net *net;
    lcm_feed feed;
    lcm_arena *arena;
    /* of the pass: (T, D) x5, (FFN_ROWS, F); scratch of attention */
    real *x, *h, *q, *k, *v, *f, *scores;
    int64_t longest;
};

lcm_status lcm_sonar_encoder_new(lcm_ctx *ctx, lcm_sonar_encoder **out, const lcm_sonar_net *net) {
    lcm_sonar_encoder *e;
    *out = NULL;
    LCM_ASSERT(net->parts & LCM_SONAR_ENCODER);
    LCM_TRY(lcm_calloc(ctx, &e, 1, sizeof *e));
    e->net = net;
    e->arena = lcm_arena_new(1 << 16);
    if (e->arena == NULL) {
        free(e);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: encoder");
    }
    *out = e;
    return LCM_OK;
}

void lcm_sonar_encoder_free(lcm_sonar_encoder *e) {
    if (e == NULL) return;
    lcm_feed_free(&e->feed);
    lcm_arena_free(e->arena);
    free(e);
}

int64_t lcm_sonar_encoder_pass(const lcm_sonar_net *net) {
    return lcm_max_i(256, lcm_min_i(4096, (int64_t)(4 << 20) / net->config.ffn_inner_dim));
}

static lcm_status reserve(lcm_ctx *ctx, lcm_sonar_encoder *e, const lcm_sonar_batch *b) {
    const lcm_sonar_config *c = &e->net->config;
    real **rows[] = {&e->x, &e->h, &e->q, &e->k, &e->v, &e->f};
    size_t bytes;
    int64_t widest = lcm_max_i(c->model_dim, c->ffn_inner_dim);
    LCM_TRY(lcm_feed_reserve(ctx, &e->feed, b->T, widest, e->net->type));
    lcm_arena_reset(e->arena);
    for (int i = 0; i < 6; i++) {
        int64_t cols = i < 5 ? c->model_dim : c->ffn_inner_dim, n = i < 5 ? b->T : lcm_min_i(b->T, FFN_ROWS);
        if (!lcm_mul_size(&bytes, (size_t)n, (size_t)cols * sizeof(real)) || (*rows[i] = lcm_arena_alloc(e->arena, bytes)) == NULL)
            LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: a pass of %lld tokens", (long long)b->T);
    }
    e->longest = 0;
    for (int64_t i = 0; i < b->n; i++) e->longest = lcm_max_i(e->longest, b->off[i + 1] - b->off[i]);
    bytes = (size_t)(lcm_k_attend_scratch(e->longest, c->model_dim / c->attn_heads) * omp_get_max_threads()) * sizeof(real);
    e->scores = lcm_arena_alloc(e->arena, bytes);
    if (e->scores == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: sentences of %lld tokens", (long long)e->longest);
    return LCM_OK;
}

/* h = norm(x), the activations of the products that follow */
static void norm(lcm_sonar_encoder *e, const lcm_norm *n, const real *x, int64_t T) {
    int64_t D = e->net->config.model_dim;
    lcm_k_norm_fwd(e->h, NULL, x, n->w->x, n->b->x, T, D, false);
    lcm_feed_set(&e->feed, e->h, T, D);
}

static void layer(lcm_sonar_encoder *e, const lcm_net_layer *y, const lcm_sonar_batch *b) {
    int64_t T = b->T, D = e->net->config.model_dim, H = e->net->config.attn_heads;
    norm(e, &y->attn_norm, e->x, T);
    lcm_matrix_apply(e->q, &y->q, &e->feed, 0);
    lcm_matrix_apply(e->k, &y->k, &e->feed, 0);
    lcm_matrix_apply(e->v, &y->v, &e->feed, 0);
    lcm_k_attend(e->h, e->q, e->k, e->v, b->off, b->n, H, D / H, e->scores, e->longest);
    lcm_feed_set(&e->feed, e->h, T, y->o.in);
    lcm_matrix_apply(e->x, &y->o, &e->feed, LCM_PRODUCT_ADD);
    for (int64_t i = 0, blocks = (T + FFN_ROWS - 1) / FFN_ROWS; i < blocks; i++) { /* as even as can be */
        int64_t t = T * i / blocks, n = T * (i + 1) / blocks - t;
        norm(e, &y->ffn_norm, e->x + t * D, n);
        lcm_matrix_apply(e->f, &y->inner, &e->feed, LCM_PRODUCT_RELU);
        lcm_feed_set(&e->feed, e->f, n, y->outer.in);
        lcm_matrix_apply(e->x + t * D, &y->outer, &e->feed, LCM_PRODUCT_ADD);
    }
}

static void front(lcm_sonar_encoder *e, const lcm_sonar_batch *b) {
    int64_t D = e->net->config.model_dim;
    real scale = r_sqrt((real)D);
    LCM_PARALLEL_FOR_IF(b->T * D > 65536)
    for (int64_t t = 0; t < b->T; t++) {
        real *x = e->x + t * D;
        const real *p = e->net->positions + b->pos[t] * D;
        lcm_matrix_row(x, &e->net->enc_embed, b->ids[t]);
        for (int64_t i = 0; i < D; i++) x[i] = x[i] * scale + p[i];
    }
}

lcm_status lcm_sonar_encoder_run(lcm_ctx *ctx, real *out, lcm_sonar_encoder *e, const lcm_sonar_batch *b,
                                 lcm_pool pooling) {
    const lcm_sonar_config *c = &e->net->config;
    int64_t D = c->model_dim;
    if (b->n == 0) return LCM_OK;
    LCM_TRY(reserve(ctx, e, b));
    front(e, b);
    for (int64_t l = 0; l < c->encoder_layers; l++) layer(e, &e->net->enc[l], b);
    norm(e, &e->net->enc_norm, e->x, b->T);
    lcm_k_pool_fwd(out, NULL, e->h, b->off, b->n, D, pooling);
    return LCM_OK;
}
