/* Key-value cache and incremental pass. */
#include "lcm/cache.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

lcm_status lcm_kv_new(lcm_ctx *ctx, lcm_kv_cache *out, int64_t layers, int64_t slots, int64_t cap,
                      int64_t M) {
    lcm_kv_cache c = {.layers = layers, .slots = slots, .cap = cap, .M = M};
    size_t n;
    if (slots > INT32_MAX / cap)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "cache of %lld rows of %lld concepts: at most 2^31 in all",
                 (long long)slots, (long long)cap);
    if (!lcm_mul_size(&n, (size_t)(slots * cap), (size_t)(layers * M)))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "cache of %lld concepts and %lld layers is too large",
                 (long long)(slots * cap), (long long)layers);
    LCM_TRY(lcm_calloc(ctx, &c.k, n, sizeof(real)));
    if (lcm_calloc(ctx, &c.v, n, sizeof(real)) != LCM_OK) {
        free(c.k);
        return LCM_ERR_NOMEM;
    }
    *out = c;
    return LCM_OK;
}

void lcm_kv_free(lcm_kv_cache *c) {
    free(c->k);
    free(c->v);
    c->k = c->v = NULL;
}

lcm_kv_rows lcm_kv_rows_make(lcm_tape *t, int64_t n, const int32_t *slot, const int32_t *off,
                             const int32_t *len) {
    lcm_kv_rows r = {.n = n, .T = off[n], .slot = slot, .off = off};
    int32_t *pos = lcm_tape_alloc(t, (size_t)r.T * 2 * sizeof *pos);
    if (pos == NULL) return r;
    for (int64_t i = 0; i < n; i++)
        for (int32_t j = off[i]; j < off[i + 1]; j++) {
            pos[j] = len[slot[i]] + j - off[i];
            pos[r.T + j] = pos[j] + 1;
        }
    r.pos = pos;
    r.limit = pos + r.T;
    return r;
}

lcm_kv_rows lcm_kv_rows_candidates(lcm_tape *t, int64_t n, const int32_t *slot, const int32_t *off, const int32_t *len) {
    lcm_kv_rows r = {.n = n, .T = off[n], .slot = slot, .off = off};
    int32_t *pos = lcm_tape_alloc(t, (size_t)r.T * 2 * sizeof *pos);
    if (pos == NULL) return r;
    for (int64_t i = 0; i < n; i++)
        for (int32_t j = off[i]; j < off[i + 1]; j++) {
            pos[j] = len[slot[i]];
            pos[r.T + j] = pos[j] + j - off[i];
        }
    r.pos = r.limit = pos;
    r.own = pos + r.T;
    return r;
}

void lcm_kv_put(lcm_kv_cache *c, int64_t layer, const lcm_kv_rows *r, int64_t shift, const real *k,
                const real *v) {
    for (int64_t i = 0; i < r->n; i++) {
        int64_t first = r->off[i], count = r->off[i + 1] - first;
        int64_t row = (layer * c->slots + r->slot[i]) * c->cap + r->pos[first] + shift;
        LCM_ASSERT(r->pos[first] + shift + count <= c->cap);
        memcpy(c->k + row * c->M, k + first * c->M, (size_t)(count * c->M) * sizeof *k);
        memcpy(c->v + row * c->M, v + first * c->M, (size_t)(count * c->M) * sizeof *v);
    }
}

lcm_tensor *lcm_kv_attend(lcm_tape *t, const lcm_kv_cache *c, int64_t layer, const lcm_tensor *q, int64_t H, const lcm_kv_rows *r) {
    int64_t stride = c->cap + 16; /* keeps two threads off one cache line */
    const real *k = c->k + layer * c->slots * c->cap * c->M, *v = c->v + layer * c->slots * c->cap * c->M;
    int32_t *k_off = lcm_tape_alloc(t, (size_t)(r->n + 1) * sizeof *k_off);
    real *scratch = lcm_tape_alloc(t, (size_t)(stride * omp_get_max_threads()) * sizeof *scratch);
    lcm_tensor *y = q ? lcm_tensor_new(t, q->rows, q->cols) : NULL;
    lcm_attn_shape shape = {r->n, H, c->M / H, c->M, c->M, r->off, k_off, r->limit, H, r->own};
    if (k_off == NULL || scratch == NULL || y == NULL) return NULL;
    LCM_ASSERT(r->limit != NULL); /* segments are whole slots: only the limit ends them */
    for (int64_t i = 0; i < r->n; i++) k_off[i] = (int32_t)(r->slot[i] * c->cap);
    k_off[r->n] = (int32_t)((r->slot[r->n - 1] + 1) * c->cap);
    lcm_k_attention_fwd(y->x, NULL, q->x, k, v, &shape, scratch, stride);
    return y;
}

lcm_tensor *lcm_stack_attend_step(lcm_tape *t, const lcm_stack *s, int64_t layer, const lcm_mha *m, lcm_tensor *h,
                                  const lcm_tensor *v, lcm_kv_cache *c, const lcm_kv_rows *r) {
    lcm_tensor *q = lcm_linear_fwd(t, &m->q, h), *k = lcm_linear_fwd(t, &m->k, h);
    int64_t M = s->M, H = m->H;
    if (m->has_qk_norm) {
        q = lcm_norm_fwd(t, &m->q_norm, q);
        k = lcm_norm_fwd(t, &m->k_norm, k);
    }
    if (q == NULL || k == NULL || v == NULL) return NULL;
    if (s->config.pos_embedding_style == LCM_POS_ROPE) {
        lcm_k_rope(q->x, r->pos, r->T, H, M / H, M, s->config.rope_theta, +1);
        lcm_k_rope(k->x, r->pos, r->T, H, M / H, M, s->config.rope_theta, +1);
    }
    lcm_kv_put(c, layer, r, 0, k->x, v->x);
    return lcm_kv_attend(t, c, layer, q, H, r);
}

typedef struct step_pass {
    const lcm_stack *stack;
    lcm_kv_cache *cache;
    const lcm_kv_rows *rows;
} step_pass;

static lcm_tensor *attend_step(lcm_tape *t, void *user, int64_t layer, const lcm_mha *m, lcm_tensor *h) {
    const step_pass *p = user;
    lcm_tensor *v = lcm_linear_fwd(t, &m->v, h);
    return lcm_linear_fwd(t, &m->o, lcm_stack_attend_step(t, p->stack, layer, m, h, v, p->cache, p->rows));
}

lcm_tensor *lcm_stack_step(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, lcm_kv_cache *c,
                           const lcm_kv_rows *r) {
    step_pass p = {s, c, r};
    LCM_ASSERT(!lcm_tape_recording(t) && !lcm_tape_training(t));
    return lcm_stack_run(t, s, x, attend_step, &p);
}
