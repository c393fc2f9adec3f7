/* Incremental decoder. */
#include "sonar/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/simd.h"

struct lcm_sonar_decoder {
    const lcm_sonar *m;
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
    const lcm_sonar_config *c = &d->m->config;
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

lcm_status lcm_sonar_decoder_new(lcm_ctx *ctx, lcm_sonar_decoder **out, const lcm_sonar *m, int64_t max_concepts,
                                 int64_t max_rows, int64_t max_len) {
    lcm_sonar_decoder *d;
    lcm_status st;
    *out = NULL;
    LCM_ASSERT(m->dec_embed != NULL);
    if (max_len < 1 || max_len > m->config.max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld positions are outside 1 … %lld", (long long)max_len,
                 (long long)m->config.max_seq_len);
    LCM_TRY(lcm_calloc(ctx, &d, 1, sizeof *d));
    d->m = m;
    d->max_concepts = max_concepts;
    d->max_rows = max_rows;
    d->max_len = max_len;
    st = allocate(ctx, d);
    if (st) {
        lcm_sonar_decoder_free(d);
        return st;
    }
    *out = d;
    return LCM_OK;
}

void lcm_sonar_decoder_free(lcm_sonar_decoder *d) {
    if (d == NULL) return;
    free(d->block);
    free(d);
}

void lcm_sonar_decoder_begin(lcm_sonar_decoder *d, const real *concepts, int64_t n) {
    int64_t D = d->m->config.model_dim, in = d->m->config.input_dim ? d->m->config.input_dim : D;
    LCM_ASSERT(n <= d->max_concepts && n <= d->max_rows);
    for (int64_t l = 0; l < d->m->config.decoder_layers; l++) {
        const lcm_sonar_layer *y = &d->m->dec[l];
        lcm_k_linear_fwd(NULL, d->tmp, concepts, y->cross_v.w->x, y->cross_v.b->x, n, in, D);
        lcm_k_linear_fwd(NULL, d->cross + l * d->max_concepts * D, d->tmp, y->cross_o.w->x, y->cross_o.b->x, n, D, D);
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

static void layer_step(lcm_sonar_decoder *d, int64_t l) {
    const lcm_sonar_config *c = &d->m->config;
    const lcm_sonar_layer *y = &d->m->dec[l];
    int64_t n = d->n_rows, D = c->model_dim, R = d->max_rows, F = c->ffn_inner_dim;
    real *k = d->k + l * d->max_len * R * D, *v = d->v + l * d->max_len * R * D;
    const real *cross = d->cross + l * d->max_concepts * D;
    lcm_k_norm_fwd(d->h, NULL, d->x, y->attn_norm.w->x, y->attn_norm.b->x, n, D, false);
    lcm_k_linear_fwd(NULL, d->q, d->h, y->attn.q.w->x, y->attn.q.b->x, n, D, D);
    lcm_k_linear_fwd(NULL, k + d->pos * R * D, d->h, y->attn.k.w->x, y->attn.k.b->x, n, D, D);
    lcm_k_linear_fwd(NULL, v + d->pos * R * D, d->h, y->attn.v.w->x, y->attn.v.b->x, n, D, D);
    LCM_PARALLEL_FOR_IF(n * d->pos * D > 65536)
    for (int64_t r = 0; r < n; r++)
        attend(d->h + r * D, d->p + r * d->max_len, d->q + r * D, k, v, d->slot, r, d->pos + 1, R, c->attn_heads,
               D / c->attn_heads);
    lcm_k_linear_fwd(NULL, d->q, d->h, y->attn.o.w->x, y->attn.o.b->x, n, D, D);
    lcm_k_acc(d->x, d->q, 1, n * D);
    for (int64_t r = 0; r < n; r++) lcm_k_acc(d->x + r * D, cross + d->concept[r] * D, 1, D);
    lcm_k_norm_fwd(d->h, NULL, d->x, y->ffn_norm.w->x, y->ffn_norm.b->x, n, D, false);
    lcm_k_linear_fwd(NULL, d->f, d->h, y->ffn.inner.w->x, y->ffn.inner.b->x, n, D, F);
    lcm_k_act_fwd(d->f, d->f, n * F, y->ffn.act);
    lcm_k_linear_fwd(NULL, d->q, d->f, y->ffn.out.w->x, y->ffn.out.b->x, n, F, D);
    lcm_k_acc(d->x, d->q, 1, n * D);
}

real *lcm_sonar_decoder_step(lcm_sonar_decoder *d, const int32_t *token) {
    const lcm_sonar *m = d->m;
    int64_t D = m->config.model_dim, n = d->n_rows;
    real scale = r_sqrt((real)D);
    LCM_ASSERT(d->pos < d->max_len);
    for (int64_t r = 0; r < n; r++) {
        d->slot[d->pos * d->max_rows + r] = (int32_t)r;
        for (int64_t c = 0; c < D; c++)
            d->x[r * D + c] = m->dec_embed->x[token[r] * D + c] * scale + m->positions[d->pos * D + c];
    }
    for (int64_t l = 0; l < m->config.decoder_layers; l++) layer_step(d, l);
    lcm_k_norm_fwd(d->h, NULL, d->x, m->dec_norm.w->x, m->dec_norm.b->x, n, D, false);
    lcm_k_gemm(false, true, n, m->config.vocab_size, D, 1, d->h, D, m->dec_embed->x, D, 0, d->logits, m->config.vocab_size);
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
