/* Two-tower model, one concept at a time: the context tower runs once per concept, and so do the
 * keys and values that the denoiser makes of it; the denoiser runs once per noise level. */
#include <stdlib.h>
#include <string.h>

#include "lcm/predictor.h"
#include "lcm/two_tower.h"

typedef struct tower_predictor {
    lcm_predictor p;
    lcm_kv_cache self;  /* context encoder */
    lcm_kv_cache cross; /* denoiser; key 0 of every slot is the zero vector's */
    lcm_sampler *sampler;
    real *mods;         /* [layers][levels][9M]: modulators depend on the level only */
    int32_t *level_row; /* (N) row of mods, -1 for levels the sampler does not visit */
    int64_t n_levels;
} tower_predictor;

static const lcm_two_tower *tower(const tower_predictor *w) { return (const lcm_two_tower *)w->p.model; }

static void tower_free(lcm_predictor *p) {
    tower_predictor *w = (tower_predictor *)p;
    lcm_kv_free(&w->self);
    lcm_kv_free(&w->cross);
    lcm_sampler_free(w->sampler);
    free(w->mods);
    free(w->level_row);
    lcm_predictor_clear(p);
    free(w);
}

static lcm_tensor *cross_keys(lcm_tape *t, const lcm_mha *m, lcm_tensor *context) {
    lcm_tensor *k = lcm_linear_fwd(t, &m->k, context);
    return m->has_qk_norm ? lcm_norm_fwd(t, &m->k_norm, k) : k;
}

static lcm_status tower_feed(lcm_ctx *ctx, lcm_predictor *p, const real *x, int64_t n, const int32_t *slot,
                             const int32_t *off) {
    tower_predictor *w = (tower_predictor *)p;
    const lcm_two_tower *m = tower(w);
    lcm_tape *t = p->tape;
    lcm_kv_rows r;
    lcm_tensor *z = lcm_predictor_begin(p, &r, x, n, slot, off), *c;
    (void)ctx;
    if (z == NULL) return lcm_tape_status(t);
    c = lcm_stack_step(t, &m->context, lcm_frontend_fwd(t, &m->frontend, z, r.pos), &w->self, &r);
    for (int64_t i = 0; i < w->cross.layers; i++) {
        const lcm_mha *a = &m->denoiser.layers[i].cross;
        lcm_tensor *k = cross_keys(t, a, c), *v = lcm_linear_fwd(t, &a->v, c);
        LCM_TRY(lcm_tape_status(t));
        lcm_kv_put(&w->cross, i, &r, 1, k->x, v->x);
    }
    for (int64_t i = 0; i < n; i++) p->len[slot[i]] += off[i + 1] - off[i];
    return LCM_OK;
}

/* Norm and AdaLN with one modulator row for all: the row stride 0 repeats it. */
static lcm_tensor *modulated(lcm_tape *t, const lcm_norm *norm, lcm_tensor *x, const real *mod,
                             lcm_sublayer s) {
    lcm_tensor *h = lcm_norm_fwd(t, norm, x);
    if (h)
        lcm_k_modulate_fwd(h->x, h->x, mod, h->rows, h->cols, 0, lcm_mod_shift(s, h->cols),
                           lcm_mod_scale(s, h->cols));
    return h;
}

static void gated(lcm_tensor *x, const lcm_tensor *f, const real *mod, lcm_sublayer s) {
    if (f) lcm_k_gate_fwd(x->x, x->x, f->x, mod, x->rows, x->cols, 0, lcm_mod_gate(s, x->cols));
}

/* Rows below n see their context; rows behind (guided steps) only the zero vector, whose value is
 * their attention output whatever the query. */
static lcm_tensor *cross_attend(lcm_tape *t, const tower_predictor *w, int64_t layer, lcm_tensor *h, const lcm_kv_rows *rows) {
    const lcm_mha *a = &tower(w)->denoiser.layers[layer].cross;
    int64_t n = rows->T, M = w->cross.M;
    lcm_tensor *q, *y = h;
    if (h == NULL) return NULL;
    q = lcm_linear_fwd(t, &a->q, lcm_tensor_const(t, h->x, n, M));
    if (a->has_qk_norm) q = lcm_norm_fwd(t, &a->q_norm, q);
    q = lcm_kv_attend(t, &w->cross, layer, q, a->H, rows);
    if (q == NULL) return NULL;
    memcpy(y->x, q->x, (size_t)(n * M) * sizeof(real)); /* the modulated input is not needed again */
    for (int64_t r = n; r < h->rows; r++)
        memcpy(y->x + r * M, w->cross.v + layer * w->cross.slots * w->cross.cap * M,
               (size_t)M * sizeof(real));
    return lcm_linear_fwd(t, &a->o, y);
}

static lcm_status denoise(lcm_ctx *ctx, void *user, real *out, const real *noisy, int64_t rows,
                          int64_t level) {
    const tower_predictor *w = user;
    const lcm_denoiser *d = &tower(w)->denoiser;
    lcm_tape *t = w->p.tape;
    int64_t n = w->p.asked->n, M = d->M, D = w->p.model->embed_dim;
    lcm_asked_slots asked;
    lcm_kv_rows seen;
    int32_t *limit;
    lcm_tensor *x;
    (void)ctx;
    LCM_ASSERT((rows == n || rows == 2 * n) && w->level_row[level] >= 0);
    lcm_tape_reset(t, (lcm_tape_opts){.record = false, .train = false});
    asked = lcm_predictor_asked_slots(&w->p);
    limit = lcm_tape_alloc(t, (size_t)n * sizeof *limit);
    x = lcm_projection_fwd(t, &d->initial, lcm_tensor_const(t, noisy, rows, D));
    LCM_TRY(lcm_tape_status(t));
    seen = (lcm_kv_rows){.n = asked.n, .T = n, .slot = asked.slot, .off = asked.off, .limit = limit};
    for (int64_t i = 0; i < n; i++) limit[i] = w->p.len[w->p.asked->slot[i]] + 1;
    for (int64_t i = 0; i < w->cross.layers; i++) {
        const lcm_denoiser_layer *l = &d->layers[i];
        const real *mod = w->mods + (i * w->n_levels + w->level_row[level]) * 9 * M;
        gated(x, lcm_mha_single_key(t, &l->self, modulated(t, &l->self_norm, x, mod, LCM_SUB_SELF)), mod,
              LCM_SUB_SELF);
        gated(x, cross_attend(t, w, i, modulated(t, &l->cross_norm, x, mod, LCM_SUB_CROSS), &seen), mod,
              LCM_SUB_CROSS);
        gated(x, lcm_ffn_fwd(t, &l->ffn, modulated(t, &l->ffn_norm, x, mod, LCM_SUB_FFN)), mod, LCM_SUB_FFN);
        LCM_TRY(lcm_tape_status(t));
    }
    x = lcm_projection_fwd(t, &d->final, lcm_norm_fwd(t, &d->norm, x));
    LCM_TRY(lcm_tape_status(t));
    memcpy(out, x->x, (size_t)(rows * D) * sizeof *out);
    return LCM_OK;
}

static lcm_status tower_next(lcm_ctx *ctx, lcm_predictor *p, real *x, const lcm_asked *a,
                             const lcm_concept_noise *noise) {
    return lcm_predictor_sample(ctx, p, x, ((tower_predictor *)p)->sampler, denoise, a, noise);
}

static lcm_status modulators(lcm_ctx *ctx, tower_predictor *w) {
    const lcm_denoiser *d = &tower(w)->denoiser;
    const lcm_timesteps *ts = lcm_sampler_timesteps(w->sampler);
    int64_t N = w->p.model->schedule->config.train_steps;
    lcm_tape *t = w->p.tape;
    size_t size = (size_t)(ts->n * 9 * d->M);
    lcm_tensor *e;
    w->n_levels = ts->n;
    LCM_TRY(lcm_calloc(ctx, &w->level_row, (size_t)N, sizeof *w->level_row));
    LCM_TRY(lcm_calloc(ctx, &w->mods, (size_t)w->cross.layers * size, sizeof *w->mods));
    for (int64_t i = 0; i < N; i++) w->level_row[i] = -1;
    for (int64_t i = 0; i < ts->n; i++) w->level_row[ts->t[i]] = (int32_t)i;
    lcm_tape_reset(t, (lcm_tape_opts){.record = false, .train = false});
    e = lcm_denoiser_embed_levels(t, d, ts->t, ts->n);
    for (int64_t i = 0; i < w->cross.layers; i++) {
        lcm_tensor *m = lcm_linear_fwd(t, &d->layers[i].modulator, e);
        LCM_TRY(lcm_tape_status(t));
        memcpy(w->mods + (size_t)i * size, m->x, size * sizeof *m->x);
    }
    return LCM_OK;
}

/* Key and value of the zero vector are the biases of their projections. */
static lcm_status zero_keys(tower_predictor *w) {
    lcm_tape *t = w->p.tape;
    lcm_kv_cache *c = &w->cross;
    lcm_tensor *zero = lcm_tensor_new(t, 1, c->M);
    LCM_TRY(lcm_tape_status(t));
    memset(zero->x, 0, (size_t)c->M * sizeof(real));
    for (int64_t i = 0; i < c->layers; i++) {
        const lcm_mha *a = &tower(w)->denoiser.layers[i].cross;
        lcm_tensor *k = cross_keys(t, a, zero), *v = lcm_linear_fwd(t, &a->v, zero);
        LCM_TRY(lcm_tape_status(t));
        for (int64_t s = 0; s < c->slots; s++) {
            int64_t at = (i * c->slots + s) * c->cap * c->M;
            memcpy(c->k + at, k->x, (size_t)c->M * sizeof(real));
            memcpy(c->v + at, v->x, (size_t)c->M * sizeof(real));
        }
    }
    return LCM_OK;
}

static lcm_status tower_make(lcm_ctx *ctx, tower_predictor *w, const lcm_model *model,
                             const lcm_predict_config *c, int64_t slots, int64_t cap) {
    const lcm_two_tower_config *m = &((const lcm_two_tower *)model)->config;
    LCM_TRY(lcm_predictor_init(ctx, &w->p, model, c, slots, cap));
    LCM_TRY(lcm_kv_new(ctx, &w->self, m->context_encoder.num_layers, slots, cap, m->model_dim));
    LCM_TRY(lcm_kv_new(ctx, &w->cross, m->denoiser.transformer.num_layers, slots, cap + 1, m->model_dim));
    LCM_TRY(lcm_sampler_new(ctx, &w->sampler, model->schedule, &c->sampler, w->p.rows, model->embed_dim));
    LCM_TRY(modulators(ctx, w));
    return zero_keys(w);
}

lcm_status lcm_two_tower_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *model,
                                       const lcm_predict_config *c, int64_t slots, int64_t cap) {
    tower_predictor *w;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->p.free = tower_free;
    w->p.feed = tower_feed;
    w->p.next = tower_next;
    st = tower_make(ctx, w, model, c, slots, cap);
    if (st) {
        tower_free(&w->p);
        return st;
    }
    *out = &w->p;
    return LCM_OK;
}
