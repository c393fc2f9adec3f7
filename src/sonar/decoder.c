/* Incremental decoder. */
#include "sonar/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/norm.h"
#include "kernels/simd.h"

struct lcm_sonar_decoder {
    const lcm_sonar_net *net;
    lcm_feed feed;
    int64_t max_concepts, max_rows, max_len;
    int64_t n_rows, pos;
    int32_t *concept;       /* (max_rows) */
    int32_t *slot, *slot2;  /* (max_len, max_rows): where row r's position p lies */
    real *k, *v;            /* (layers, max_len, max_rows, D) */
    real *cross;            /* (layers, max_concepts, D) */
    real *x, *h, *q, *f, *p; /* (max_rows, D) x3, (max_rows, F), (max_rows, max_len) */
    real *tmp, *logits;     /* (max_concepts, D), (max_rows, V) */
    void *block;
};

static size_t carve(char **at, size_t bytes) {
    size_t padded = (bytes + 63) / 64 * 64;
    *at += padded;
    return padded;
}

/* Sizes in values; one block so that a failed allocation leaves nothing behind. */
static lcm_status allocate(lcm_ctx *ctx, lcm_sonar_decoder *d) {
    const lcm_sonar_config *c = &d->net->config;
    size_t R = (size_t)d->max_rows, L = (size_t)d->max_len, D = (size_t)c->model_dim, N = (size_t)d->max_concepts;
    size_t layers = (size_t)c->decoder_layers, cache, total = 0;
    size_t part[10];
    char *p;
    if (!lcm_mul_size(&cache, layers * L, R * D * sizeof(real)))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "cache of %zu rows of %zu positions", R, L);
    part[0] = part[1] = cache;
    part[2] = layers * N * D * sizeof(real);
    part[3] = R * D * sizeof(real);
    part[4] = R * D * sizeof(real);
    part[5] = R * D * sizeof(real);
    part[6] = R * (size_t)c->ffn_inner_dim * sizeof(real);
    part[7] = R * L * sizeof(real);
    part[8] = N * D * sizeof(real);
    part[9] = R * (size_t)c->vocab_size * sizeof(real);
    for (int i = 0; i < 10; i++) total += (part[i] + 63) / 64 * 64;
    total += 2 * ((L * R * sizeof(int32_t) + 63) / 64 * 64) + (R * sizeof(int32_t) + 63) / 64 * 64;
    d->block = aligned_alloc(64, total + 64 - total % 64);
    if (d->block == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: the decoder's cache needs %.2f GB", (double)total / 1e9);
    p = d->block;
    real **fields[10] = {&d->k, &d->v, &d->cross, &d->x, &d->h, &d->q, &d->f, &d->p, &d->tmp, &d->logits};
    for (int i = 0; i < 10; i++) {
        *fields[i] = (real *)(void *)p;
        carve(&p, part[i]);
    }
    d->slot = (int32_t *)(void *)p;
    carve(&p, L * R * sizeof(int32_t));
    d->slot2 = (int32_t *)(void *)p;
    carve(&p, L * R * sizeof(int32_t));
    d->concept = (int32_t *)(void *)p;
    return LCM_OK;
}

lcm_status lcm_sonar_decoder_new(lcm_ctx *ctx, lcm_sonar_decoder **out, const lcm_sonar_net *net, int64_t max_concepts,
                                 int64_t max_rows, int64_t max_len) {
    lcm_sonar_decoder *d;
    lcm_status st;
    *out = NULL;
    LCM_ASSERT(net->parts & LCM_SONAR_DECODER);
    if (max_len < 1 || max_len > net->config.max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld positions are outside 1 … %lld", (long long)max_len,
                 (long long)net->config.max_seq_len);
    LCM_TRY(lcm_calloc(ctx, &d, 1, sizeof *d));
    d->net = net;
    d->max_concepts = max_concepts;
    d->max_rows = max_rows;
    d->max_len = max_len;
    st = allocate(ctx, d);
    if (st == LCM_OK)
        st = lcm_feed_reserve(ctx, &d->feed, lcm_max_i(max_rows, max_concepts),
                              lcm_max_i(lcm_max_i(net->config.model_dim, net->config.ffn_inner_dim), lcm_sonar_dim(&net->config)), net->type);
    if (st) {
        lcm_sonar_decoder_free(d);
        return st;
    }
    *out = d;
    return LCM_OK;
}

void lcm_sonar_decoder_free(lcm_sonar_decoder *d) {
    if (d == NULL) return;
    lcm_feed_free(&d->feed);
    free(d->block);
    free(d);
}

void lcm_sonar_decoder_begin(lcm_sonar_decoder *d, const real *concepts, int64_t n) {
    int64_t D = d->net->config.model_dim, in = lcm_sonar_dim(&d->net->config);
    LCM_ASSERT(n <= d->max_concepts && n <= d->max_rows);
    for (int64_t l = 0; l < d->net->config.decoder_layers; l++) {
        const lcm_net_layer *y = &d->net->dec[l];
        lcm_feed_set(&d->feed, concepts, n, in);
        lcm_matrix_apply(d->tmp, &y->cross_v, &d->feed, 0);
        lcm_feed_set(&d->feed, d->tmp, n, D);
        lcm_matrix_apply(d->cross + l * d->max_concepts * D, &y->cross_o, &d->feed, 0);
    }
    d->n_rows = n;
    d->pos = 0;
    for (int64_t i = 0; i < n; i++) d->concept[i] = (int32_t)i;
}

/* One row, all heads, over the row's own history. */
LCM_CLONES static void attend(real *o, real *p, const real *q, const real *k, const real *v, const int32_t *slot,
                              int64_t row, int64_t n, int64_t R, int64_t H, int64_t K) {
    int64_t D = H * K;
    real scale = 1 / r_sqrt((real)K);
    for (int64_t h = 0; h < H; h++) {
        real top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < n; j++) {
            const real *kj = k + (j * R + slot[j * R + row]) * D + h * K, *qh = q + h * K;
            real s = 0;
            LCM_SIMD_SUM(s)
            for (int64_t c = 0; c < K; c++) s += qh[c] * kj[c];
            p[j] = s * scale;
            if (p[j] > top) top = p[j];
        }
        for (int64_t j = 0; j < n; j++) {
            p[j] = r_exp(p[j] - top);
            sum += p[j];
        }
        for (int64_t c = 0; c < K; c++) o[h * K + c] = 0;
        for (int64_t j = 0; j < n; j++) {
            const real *vj = v + (j * R + slot[j * R + row]) * D + h * K;
            real w = p[j] / sum;
            LCM_SIMD
            for (int64_t c = 0; c < K; c++) o[h * K + c] += w * vj[c];
        }
    }
}

static void norm(lcm_sonar_decoder *d, const lcm_norm *n) {
    int64_t D = d->net->config.model_dim;
    lcm_k_norm_fwd(d->h, NULL, d->x, n->w->x, n->b->x, d->n_rows, D, false);
    lcm_feed_set(&d->feed, d->h, d->n_rows, D);
}

static void layer_step(lcm_sonar_decoder *d, int64_t l) {
    const lcm_sonar_config *c = &d->net->config;
    const lcm_net_layer *y = &d->net->dec[l];
    int64_t n = d->n_rows, D = c->model_dim, R = d->max_rows;
    real *k = d->k + l * d->max_len * R * D, *v = d->v + l * d->max_len * R * D;
    const real *cross = d->cross + l * d->max_concepts * D;
    norm(d, &y->attn_norm);
    lcm_matrix_apply(d->q, &y->q, &d->feed, 0);
    lcm_matrix_apply(k + d->pos * R * D, &y->k, &d->feed, 0);
    lcm_matrix_apply(v + d->pos * R * D, &y->v, &d->feed, 0);
    LCM_PARALLEL_FOR_IF(n * d->pos * D > 65536)
    for (int64_t r = 0; r < n; r++)
        attend(d->h + r * D, d->p + r * d->max_len, d->q + r * D, k, v, d->slot, r, d->pos + 1, R, c->attn_heads,
               D / c->attn_heads);
    lcm_feed_set(&d->feed, d->h, n, D);
    lcm_matrix_apply(d->x, &y->o, &d->feed, LCM_PRODUCT_ADD);
    for (int64_t r = 0; r < n; r++) lcm_k_acc(d->x + r * D, cross + d->concept[r] * D, 1, D);
    norm(d, &y->ffn_norm);
    lcm_matrix_apply(d->f, &y->inner, &d->feed, LCM_PRODUCT_RELU);
    lcm_feed_set(&d->feed, d->f, n, c->ffn_inner_dim);
    lcm_matrix_apply(d->x, &y->outer, &d->feed, LCM_PRODUCT_ADD);
}

real *lcm_sonar_decoder_step(lcm_sonar_decoder *d, const int32_t *token) {
    const lcm_sonar_net *net = d->net;
    int64_t D = net->config.model_dim, n = d->n_rows;
    real scale = r_sqrt((real)D);
    LCM_ASSERT(d->pos < d->max_len);
    for (int64_t r = 0; r < n; r++) {
        real *x = d->x + r * D;
        d->slot[d->pos * d->max_rows + r] = (int32_t)r;
        lcm_matrix_row(x, &net->dec_embed, token[r]);
        for (int64_t c = 0; c < D; c++) x[c] = x[c] * scale + net->positions[d->pos * D + c];
    }
    for (int64_t l = 0; l < net->config.decoder_layers; l++) layer_step(d, l);
    norm(d, &net->dec_norm);
    lcm_matrix_apply(d->logits, &net->dec_embed, &d->feed, 0);
    d->pos++;
    return d->logits;
}

void lcm_sonar_decoder_reorder(lcm_sonar_decoder *d, const int32_t *from, int64_t n) {
    int64_t R = d->max_rows;
    int32_t *t;
    LCM_ASSERT(n <= R);
    for (int64_t p = 0; p < d->pos; p++)
        for (int64_t r = 0; r < n; r++) d->slot2[p * R + r] = d->slot[p * R + from[r]];
    t = d->slot;
    d->slot = d->slot2;
    d->slot2 = t;
    t = d->slot2;
    for (int64_t r = 0; r < n; r++) t[r] = d->concept[from[r]];
    memcpy(d->concept, t, (size_t)n * sizeof *t);
    d->n_rows = n;
}

int64_t lcm_sonar_decoder_rows(const lcm_sonar_decoder *d) { return d->n_rows; }
