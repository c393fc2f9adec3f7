/* SONAR encoder for inference. */
#include "sonar/encoder.h"

#include <omp.h>
#include <stdlib.h>

#include "kernels/attend.h"
#include "kernels/attention.h"
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
    /* of attention pooling: (T, E) x2, (n, E) x3, (n, pooler's F); n + 1 offsets of one query each */
    real *pk, *pv, *py, *pq, *pa, *pf;
    int32_t *one_each;
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

static lcm_status rows(lcm_ctx *ctx, lcm_sonar_encoder *e, real **out, int64_t n, int64_t cols) {
    size_t bytes;
    if (!lcm_mul_size(&bytes, (size_t)n, (size_t)cols * sizeof(real)) || (*out = lcm_arena_alloc(e->arena, bytes)) == NULL)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: a pass of %lld rows of %lld numbers", (long long)n, (long long)cols);
    return LCM_OK;
}

static lcm_status reserve_pooler(lcm_ctx *ctx, lcm_sonar_encoder *e, const lcm_sonar_batch *b) {
    const lcm_pooler_sizes *z = &e->net->pooler.sizes;
    real **per_token[] = {&e->pk, &e->pv}, **per_sentence[] = {&e->py, &e->pq, &e->pa};
    for (int i = 0; i < 2; i++) LCM_TRY(rows(ctx, e, per_token[i], b->T, z->dim));
    for (int i = 0; i < 3; i++) LCM_TRY(rows(ctx, e, per_sentence[i], b->n, z->dim));
    LCM_TRY(rows(ctx, e, &e->pf, b->n, z->ffn_inner_dim));
    e->one_each = lcm_arena_alloc(e->arena, (size_t)(b->n + 1) * sizeof *e->one_each);
    if (e->one_each == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: a pass of %lld sentences", (long long)b->n);
    for (int64_t i = 0; i <= b->n; i++) e->one_each[i] = (int32_t)i;
    return LCM_OK;
}

static lcm_status reserve(lcm_ctx *ctx, lcm_sonar_encoder *e, const lcm_sonar_batch *b) {
    const lcm_sonar_config *c = &e->net->config;
    const lcm_pooler_sizes *z = &e->net->pooler.sizes;
    real **per_token[] = {&e->x, &e->h, &e->q, &e->k, &e->v};
    size_t bytes;
    int64_t widest = lcm_max_i(lcm_max_i(c->model_dim, c->ffn_inner_dim), lcm_max_i(z->dim, z->ffn_inner_dim));
    LCM_TRY(lcm_feed_reserve(ctx, &e->feed, lcm_max_i(b->T, b->n), widest, e->net->type));
    lcm_arena_reset(e->arena);
    for (int i = 0; i < 5; i++) LCM_TRY(rows(ctx, e, per_token[i], b->T, c->model_dim));
    LCM_TRY(rows(ctx, e, &e->f, lcm_min_i(b->T, FFN_ROWS), c->ffn_inner_dim));
    if (e->net->pooler.layers) LCM_TRY(reserve_pooler(ctx, e, b));
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

/* y (n, w->out) = W x + b */
static void product(lcm_sonar_encoder *e, real *y, const lcm_matrix *w, const real *x, int64_t n, int flags) {
    lcm_feed_set(&e->feed, x, n, w->in);
    lcm_matrix_apply(y, w, &e->feed, flags);
}

/* y = norm(y + W x + b) */
static void add_norm(lcm_sonar_encoder *e, real *y, const lcm_norm *norm, const lcm_matrix *w, const real *x, int64_t n) {
    product(e, y, w, x, n, LCM_PRODUCT_ADD);
    lcm_k_norm_fwd(y, NULL, y, norm->w->x, norm->b->x, n, w->out, false);
}

/* lcm_pooler_fwd over the states in h */
static void pool_by_attention(lcm_sonar_encoder *e, real *out, const lcm_sonar_batch *b) {
    const lcm_net_pooler *p = &e->net->pooler;
    int64_t n = b->n, T = b->T, E = p->sizes.dim, H = p->sizes.heads;
    lcm_attn_shape shape = {.n_seg = n, .H = H, .K = E / H, .ldq = E, .ldk = E, .q_off = e->one_each, .k_off = b->off};
    real scale = r_sqrt((real)E);
    for (int64_t i = 0; i < n; i++) {
        real *y = e->py + i * E;
        lcm_matrix_row(y, &p->query, 0);
        for (int64_t c = 0; c < E; c++) y[c] = y[c] * scale + (c < E / 2 ? 0 : 1);
    }
    for (int64_t i = 0; i < p->sizes.layers; i++) {
        const lcm_net_pooler_layer *l = &p->layers[i];
        product(e, e->pa, &l->self_v, e->py, n, 0);
        add_norm(e, e->py, &l->self_norm, &l->self_o, e->pa, n);
        product(e, e->pq, &l->q, e->py, n, 0);
        product(e, e->pk, &l->k, e->h, T, 0);
        lcm_matrix_apply(e->pv, &l->v, &e->feed, 0);
        lcm_k_attention_fwd(e->pa, NULL, e->pq, e->pk, e->pv, &shape, e->scores, e->longest);
        add_norm(e, e->py, &l->cross_norm, &l->o, e->pa, n);
        product(e, e->pf, &l->inner, e->py, n, LCM_PRODUCT_RELU);
        add_norm(e, e->py, &l->ffn_norm, &l->outer, e->pf, n);
    }
    product(e, out, &p->out, e->py, n, 0);
}

lcm_status lcm_sonar_encoder_run(lcm_ctx *ctx, real *out, lcm_sonar_encoder *e, const lcm_sonar_batch *b, int pooling) {
    const lcm_sonar_config *c = &e->net->config;
    int64_t D = c->model_dim;
    LCM_ASSERT(pooling != LCM_SONAR_ATTENTION || e->net->pooler.layers != NULL);
    if (b->n == 0) return LCM_OK;
    LCM_TRY(reserve(ctx, e, b));
    front(e, b);
    for (int64_t l = 0; l < c->encoder_layers; l++) layer(e, &e->net->enc[l], b);
    norm(e, &e->net->enc_norm, e->x, b->T);
    if (pooling == LCM_SONAR_ATTENTION) pool_by_attention(e, out, b);
    else lcm_k_pool_fwd(out, NULL, e->h, b->off, b->n, D, (lcm_pool)pooling);
    return LCM_OK;
}
