/* One-tower model, one concept at a time. */
#include "lcm/one_tower_predict.h"

#include <stdlib.h>
#include <string.h>

typedef struct one_predictor {
    lcm_one_context c;
    lcm_sampler *sampler;
} one_predictor;

static const lcm_one_tower *tower(const lcm_one_context *w) { return (const lcm_one_tower *)w->p.model; }

void lcm_one_context_clear(lcm_one_context *w) {
    lcm_kv_free(&w->cache);
    free(w->times);
    lcm_predictor_clear(&w->p);
}

static void one_free(lcm_predictor *p) {
    one_predictor *w = (one_predictor *)p;
    lcm_sampler_free(w->sampler);
    lcm_one_context_clear(&w->c);
    free(w);
}

/* x (rows,D) -> (rows,M), all of them at the time in row `time` of w->times. */
static lcm_tensor *embed(lcm_tape *t, const lcm_one_context *w, lcm_tensor *x, int32_t time, const int32_t *pos) {
    int64_t E = tower(w)->config.timestep_embed_dim;
    int32_t *row = x ? lcm_tape_alloc(t, (size_t)x->rows * sizeof *row) : NULL;
    if (row == NULL) return NULL;
    for (int64_t i = 0; i < x->rows; i++) row[i] = 0;
    return lcm_one_tower_embed(t, tower(w), x, lcm_tensor_const(t, w->times + time * E, 1, E), row, pos);
}

lcm_status lcm_one_context_feed(lcm_ctx *ctx, lcm_predictor *p, const real *x, int64_t n, const int32_t *slot,
                                const int32_t *off) {
    lcm_one_context *w = (lcm_one_context *)p;
    lcm_kv_rows r;
    lcm_tensor *z = lcm_predictor_begin(p, &r, x, n, slot, off);
    (void)ctx;
    if (z == NULL) return lcm_tape_status(p->tape);
    lcm_stack_step(p->tape, &tower(w)->tower, embed(p->tape, w, z, 0, r.pos), &w->cache, &r);
    LCM_TRY(lcm_tape_status(p->tape));
    for (int64_t i = 0; i < n; i++) p->len[slot[i]] += off[i + 1] - off[i];
    return LCM_OK;
}

typedef struct noisy_pass {
    lcm_one_context *w;
    lcm_kv_rows rows; /* of the conditional branch */
} noisy_pass;

/* The first rows see their context and themselves. Rows behind them (guided steps) see themselves only:
 * softmax over one key is 1, so their attention output is their value. */
static lcm_tensor *attend_noisy(lcm_tape *t, void *user, int64_t layer, const lcm_mha *m, lcm_tensor *h) {
    const noisy_pass *n = user;
    const lcm_stack *s = &tower(n->w)->tower;
    lcm_tensor *v = lcm_linear_fwd(t, &m->v, h), *y;
    if (v == NULL) return NULL;
    y = lcm_stack_attend_step(t, s, layer, m, lcm_tensor_const(t, h->x, n->rows.T, s->M), v, &n->w->cache,
                              &n->rows);
    if (y == NULL) return NULL;
    memcpy(v->x, y->x, (size_t)(n->rows.T * s->M) * sizeof *v->x);
    return lcm_linear_fwd(t, &m->o, v);
}

lcm_status lcm_one_context_pass(lcm_one_context *w, real *out, const real *noisy, int64_t rows, int32_t level) {
    const lcm_asked *a = w->p.asked;
    lcm_tape *t = w->p.tape;
    int64_t D = w->p.model->embed_dim;
    noisy_pass pass = {.w = w};
    lcm_asked_slots asked;
    int32_t *pos;
    lcm_tensor *x;
    LCM_ASSERT(rows == a->n || rows == 2 * a->n);
    lcm_tape_reset(t, (lcm_tape_opts){.record = false, .train = false});
    asked = lcm_predictor_asked_slots(&w->p);
    pos = lcm_tape_alloc(t, (size_t)rows * sizeof *pos);
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < rows; i++) pos[i] = w->p.len[a->slot[i % a->n]];
    pass.rows = lcm_kv_rows_candidates(t, asked.n, asked.slot, asked.off, w->p.len);
    LCM_TRY(lcm_tape_status(t));
    x = embed(t, w, lcm_tensor_const(t, noisy, rows, D), level + 1, pos);
    x = lcm_stack_run(t, &tower(w)->tower, x, attend_noisy, &pass);
    x = lcm_projection_fwd(t, &tower(w)->postnet, x);
    LCM_TRY(lcm_tape_status(t));
    memcpy(out, x->x, (size_t)(rows * x->cols) * sizeof *out);
    return LCM_OK;
}

/* Which of the sampler's levels this is. */
static int32_t place_of(const one_predictor *w, int64_t level) {
    const lcm_timesteps *ts = lcm_sampler_timesteps(w->sampler);
    int32_t i = 0;
    while (ts->t[i] != level) i++;
    return i;
}

static lcm_status denoise(lcm_ctx *ctx, void *user, real *out, const real *noisy, int64_t rows,
                          int64_t level) {
    one_predictor *w = user;
    (void)ctx;
    return lcm_one_context_pass(&w->c, out, noisy, rows, place_of(w, level));
}

lcm_status lcm_one_context_check(lcm_ctx *ctx, const lcm_predictor *p, const lcm_asked *a) {
    for (int64_t i = 0; i < a->n; i++)
        if (p->len[a->slot[i]] >= p->model->max_seq_len)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "context of %d concepts: no position is left, max_seq_len is %lld",
                     p->len[a->slot[i]], (long long)p->model->max_seq_len);
    return LCM_OK;
}

static lcm_status one_next(lcm_ctx *ctx, lcm_predictor *p, real *x, const lcm_asked *a,
                           const lcm_concept_noise *noise) {
    one_predictor *w = (one_predictor *)p;
    LCM_TRY(lcm_one_context_check(ctx, p, a));
    return lcm_predictor_sample(ctx, p, x, w->sampler, denoise, a, noise);
}

lcm_status lcm_one_context_levels(lcm_ctx *ctx, lcm_one_context *w, const int64_t *level, int64_t n_levels) {
    int64_t n = 1 + n_levels, E = tower(w)->config.timestep_embed_dim, *time;
    lcm_tape *t = w->p.tape;
    lcm_tensor *e;
    lcm_tape_reset(t, (lcm_tape_opts){.record = false, .train = false});
    time = lcm_tape_alloc(t, (size_t)n * sizeof *time);
    LCM_TRY(lcm_tape_status(t));
    time[0] = 0;
    for (int64_t i = 1; i < n; i++) time[i] = lcm_one_tower_time(level[i - 1]);
    e = lcm_level_embed_fwd(t, &tower(w)->embed_time, time, n);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(lcm_calloc(ctx, &w->times, (size_t)(n * E), sizeof *w->times));
    memcpy(w->times, e->x, (size_t)(n * E) * sizeof *e->x);
    return LCM_OK;
}

lcm_status lcm_one_context_init(lcm_ctx *ctx, lcm_one_context *w, const lcm_model *model, const lcm_predict_config *c,
                                int64_t slots, int64_t cap) {
    const lcm_one_tower_config *m = &((const lcm_one_tower *)model)->config;
    w->p.feed = lcm_one_context_feed;
    LCM_TRY(lcm_predictor_init(ctx, &w->p, model, c, slots, cap));
    return lcm_kv_new(ctx, &w->cache, m->tower.num_layers, slots, cap + w->p.rows / slots, m->model_dim);
}

static lcm_status one_make(lcm_ctx *ctx, one_predictor *w, const lcm_model *model, const lcm_predict_config *c,
                           int64_t slots, int64_t cap) {
    const lcm_timesteps *ts;
    LCM_TRY(lcm_one_context_init(ctx, &w->c, model, c, slots, cap));
    LCM_TRY(lcm_sampler_new(ctx, &w->sampler, model->schedule, &c->sampler, w->c.p.rows, model->embed_dim));
    ts = lcm_sampler_timesteps(w->sampler);
    return lcm_one_context_levels(ctx, &w->c, ts->t, ts->n);
}

lcm_status lcm_one_tower_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *model,
                                       const lcm_predict_config *c, int64_t slots, int64_t cap) {
    one_predictor *w;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->c.p.free = one_free;
    w->c.p.next = one_next;
    st = one_make(ctx, w, model, c, slots, cap);
    if (st) {
        one_free(&w->c.p);
        return st;
    }
    *out = &w->c.p;
    return LCM_OK;
}
