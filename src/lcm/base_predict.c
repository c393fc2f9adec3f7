/* Base-LCM, one concept at a time. */
#include <stdlib.h>
#include <string.h>

#include "lcm/base.h"
#include "lcm/predictor.h"

typedef struct base_predictor {
    lcm_predictor p;
    lcm_kv_cache cache;
    real *last; /* (slots, D) normalised prediction behind each context */
} base_predictor;

static void base_free(lcm_predictor *p) {
    base_predictor *b = (base_predictor *)p;
    lcm_kv_free(&b->cache);
    free(b->last);
    lcm_predictor_clear(p);
    free(b);
}

static lcm_status base_feed(lcm_ctx *ctx, lcm_predictor *p, const real *x, int64_t n, const int32_t *slot,
                            const int32_t *off) {
    base_predictor *b = (base_predictor *)p;
    const lcm_base *m = (const lcm_base *)p->model;
    lcm_tape *t = p->tape;
    lcm_kv_rows r;
    lcm_tensor *z = lcm_predictor_begin(p, &r, x, n, slot, off), *y;
    int32_t *ends = lcm_tape_alloc(t, (size_t)n * sizeof *ends);
    (void)ctx;
    if (z == NULL || ends == NULL) return lcm_tape_status(t);
    for (int64_t i = 0; i < n; i++) ends[i] = off[i + 1] - 1;
    y = lcm_stack_step(t, &m->stack, lcm_frontend_fwd(t, &m->frontend, z, r.pos), &b->cache, &r);
    y = lcm_projection_fwd(t, &m->postnet, lcm_op_gather(t, y, ends, n));
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < n; i++) {
        memcpy(b->last + slot[i] * y->cols, y->x + i * y->cols, (size_t)y->cols * sizeof *y->x);
        p->len[slot[i]] += off[i + 1] - off[i];
    }
    return LCM_OK;
}

static lcm_status base_next(lcm_ctx *ctx, lcm_predictor *p, real *x, const lcm_asked *a,
                            const lcm_concept_noise *noise) {
    base_predictor *b = (base_predictor *)p;
    int64_t D = p->model->embed_dim;
    double temperature = p->config.temperature;
    real *eps;
    (void)ctx;
    lcm_tape_reset(p->tape, (lcm_tape_opts){.record = false, .train = false});
    eps = lcm_tape_alloc(p->tape, (size_t)D * sizeof *eps);
    if (eps == NULL) return lcm_tape_status(p->tape);
    for (int64_t i = 0; i < a->n; i++) {
        memcpy(x + i * D, b->last + a->slot[i] * D, (size_t)D * sizeof *x);
        if (temperature == 0) continue;
        noise->draw(noise->user, eps, D, a->doc[i], a->index[i], 0);
        for (int64_t c = 0; c < D; c++) x[i * D + c] += (real)temperature * eps[c];
    }
    if (p->model->normalizer) lcm_denormalize(p->model->normalizer, x, x, a->n, NULL);
    return LCM_OK;
}

lcm_status lcm_base_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *model,
                                  const lcm_predict_config *c, int64_t slots, int64_t cap) {
    const lcm_base *m = (const lcm_base *)model;
    base_predictor *b;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &b, 1, sizeof *b));
    b->p.free = base_free;
    b->p.feed = base_feed;
    b->p.next = base_next;
    st = lcm_predictor_init(ctx, &b->p, model, c, slots, cap);
    if (st == LCM_OK)
        st = lcm_kv_new(ctx, &b->cache, m->config.lcm.num_layers, slots, cap, m->config.model_dim);
    if (st == LCM_OK) st = lcm_calloc(ctx, &b->last, (size_t)(slots * model->embed_dim), sizeof *b->last);
    if (st) {
        base_free(&b->p);
        return st;
    }
    *out = &b->p;
    return LCM_OK;
}
