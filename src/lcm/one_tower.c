/* One-tower diffusion model: parameters, full pass, loss. */
#include "lcm/one_tower.h"

#include <stdlib.h>
#include <string.h>

const lcm_field lcm_one_tower_fields[] = {
    LCM_MODEL_SIZE_FIELDS(lcm_one_tower_config),
    LCM_F_INT(lcm_one_tower_config, timestep_embed_dim, 1, 65536,
              "size of the noise level's embedding, concatenated to every concept"),
    LCM_F_STRUCT(lcm_one_tower_config, frontend, lcm_encoder_frontend_fields,
                 "from concepts and noise levels to the model's width"),
    LCM_F_STRUCT(lcm_one_tower_config, tower, lcm_transformer_fields, "the Transformer"),
    LCM_F_STRUCT(lcm_one_tower_config, postnet, lcm_projection_fields, "back to concepts"),
    LCM_F_STRUCT(lcm_one_tower_config, noise_scheduler, lcm_schedule_fields, "noise schedule"),
    LCM_F_BOOL(lcm_one_tower_config, trained_with_cf_guidance,
               "contexts are dropped in training, so guidance can be used"),
    LCM_F_END};

lcm_one_tower_config lcm_one_tower_config_default(void) {
    lcm_one_tower_config c = {.sonar_embed_dim = 1024,
                              .max_seq_len = 2048,
                              .model_dim = 1024,
                              .timestep_embed_dim = 256,
                              .frontend = {.pre_linear_bias = true, .embedding_std = 0.006},
                              .tower = lcm_transformer_config_default(),
                              .postnet = lcm_projection_config_default(),
                              .noise_scheduler = lcm_schedule_config_default()};
    return c;
}

lcm_status lcm_one_tower_register(lcm_ctx *ctx, lcm_one_tower *m, int64_t out, const char *embed_name) {
    const lcm_one_tower_config *c = &m->config;
    lcm_params *p = &m->model.params;
    m->model.has_guidance = c->trained_with_cf_guidance;
    LCM_TRY(lcm_model_begin(ctx, &m->model, c->sonar_embed_dim, c->max_seq_len, "sonar_normalizer"));
    m->embed_time = lcm_level_embed_new(p, c->timestep_embed_dim, LCM_LINEAR_XAVIER, embed_name);
    LCM_TRY(lcm_frontend_new(ctx, &m->frontend, p, &c->frontend, c->sonar_embed_dim + c->timestep_embed_dim,
                             c->model_dim, c->max_seq_len, (lcm_pos_style)c->tower.pos_embedding_style,
                             "frontend"));
    LCM_TRY(lcm_stack_new(ctx, &m->tower, p, &c->tower, c->model_dim, "tower"));
    m->postnet = lcm_projection_new(p, &c->postnet, c->model_dim, out, "postnet");
    return p->status;
}

void lcm_one_tower_clear(lcm_one_tower *m) {
    lcm_stack_free(&m->tower);
    lcm_frontend_free(&m->frontend);
    lcm_model_clear(&m->model);
}

static lcm_status build(lcm_ctx *ctx, lcm_one_tower *m) {
    LCM_TRY(lcm_schedule_new(ctx, &m->model.schedule, &m->config.noise_scheduler));
    m->n_levels = m->config.noise_scheduler.train_steps;
    return lcm_one_tower_register(ctx, m, m->config.sonar_embed_dim, "embed_time");
}

lcm_status lcm_one_tower_new(lcm_ctx *ctx, lcm_one_tower **out, const lcm_one_tower_config *config) {
    lcm_one_tower *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_transformer_config_check(ctx, &config->tower, config->model_dim, "tower"));
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    m->model.config = &m->config;
    st = build(ctx, m);
    if (st) {
        lcm_one_tower_free(m);
        return st;
    }
    *out = m;
    return LCM_OK;
}

void lcm_one_tower_free(lcm_one_tower *m) {
    if (m == NULL) return;
    lcm_one_tower_clear(m);
    free(m);
}

/* Arrays of lcm_one_tower_rows while they are filled. */
typedef struct filler {
    real *x;
    int64_t *time;
    int32_t *off, *pos, *limit, *own, *noisy;
    int64_t D;
} filler;

static bool filler_alloc(lcm_tape *t, filler *f, int64_t n_docs, int64_t most, int64_t R) {
    int32_t *i = lcm_tape_alloc(t, (size_t)(n_docs + 1 + 3 * most + R) * sizeof *i);
    f->x = lcm_tape_alloc(t, (size_t)(most * f->D) * sizeof *f->x);
    f->time = lcm_tape_alloc(t, (size_t)most * sizeof *f->time);
    if (i == NULL || f->x == NULL || f->time == NULL) return false;
    f->off = i;
    f->pos = i + n_docs + 1;
    f->limit = f->pos + most;
    f->own = f->limit + most;
    f->noisy = f->own + most;
    return true;
}

/* Row `row` for concept x (D) of index pos; it sees the first `limit` clean rows and key `own`. */
static void put(filler *f, int64_t row, const real *x, int64_t time, int32_t pos, int32_t limit, int32_t own) {
    memcpy(f->x + row * f->D, x, (size_t)f->D * sizeof *x);
    f->time[row] = time;
    f->pos[row] = pos;
    f->limit[row] = limit;
    f->own[row] = own;
}

lcm_one_tower_rows lcm_one_tower_rows_make(lcm_tape *t, const lcm_concept_batch *b, const real *z, int64_t D,
                                           const lcm_noisy_targets *g) {
    int64_t n = b->n_docs, r = 0, row = 0;
    lcm_one_tower_rows rows = {.R = g->R};
    filler f = {.D = D};
    if (!filler_alloc(t, &f, n, b->off[n] + g->R, g->R)) return rows;
    for (int64_t d = 0; d < n; d++) {
        int32_t first = b->source_len ? b->source_len[d] : 0, len = b->off[d + 1] - b->off[d];
        int32_t clean = first < len ? len - 1 : 0;
        f.off[d] = (int32_t)row;
        for (int32_t i = 0; i < clean; i++, row++) put(&f, row, z + (b->off[d] + i) * D, 0, i, i + 1, -1);
        for (int32_t i = first; i < len; i++, r++, row++) {
            bool alone = g->dropped && g->dropped[r];
            put(&f, row, g->noisy + r * D, lcm_one_tower_time(g->level[r]), i, alone ? 0 : i,
                clean + i - first);
            f.noisy[r] = (int32_t)row;
        }
    }
    f.off[n] = (int32_t)row;
    rows.packed = (lcm_packed){.n = n, .T = row, .off = f.off, .pos = f.pos, .limit = f.limit, .own = f.own};
    rows.x = f.x;
    rows.time = f.time;
    rows.noisy = f.noisy;
    return rows;
}

lcm_tensor *lcm_one_tower_embed(lcm_tape *t, const lcm_one_tower *m, lcm_tensor *x, lcm_tensor *e,
                                const int32_t *time, const int32_t *pos) {
    if (x == NULL || e == NULL) return NULL;
    return lcm_frontend_fwd(t, &m->frontend, lcm_op_concat_cols(t, x, lcm_op_gather(t, e, time, x->rows)), pos);
}

lcm_tensor *lcm_one_tower_fwd(lcm_tape *t, const lcm_one_tower *m, const lcm_one_tower_rows *rows) {
    int64_t T = rows->packed.T, times = lcm_one_tower_time(m->n_levels);
    lcm_distinct_levels u = lcm_distinct_levels_make(t, rows->time, T, times);
    lcm_tensor *x;
    if (u.row == NULL) return NULL;
    x = lcm_one_tower_embed(t, m, lcm_tensor_const(t, rows->x, T, m->model.embed_dim),
                            lcm_level_embed_fwd(t, &m->embed_time, u.level, u.n), u.row, rows->packed.pos);
    x = lcm_stack_fwd(t, &m->tower, x, &rows->packed);
    return lcm_projection_fwd(t, &m->postnet, lcm_op_gather(t, x, rows->noisy, rows->R));
}

lcm_status lcm_one_tower_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_one_tower *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) {
    lcm_noisy_targets g;
    lcm_one_tower_rows rows;
    lcm_tensor *p;
    real *z;
    LCM_TRY(lcm_concept_batch_check(ctx, b, m->model.max_seq_len));
    z = lcm_model_normalize(t, &m->model, b->x, b->off[b->n_docs], 0);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(lcm_noisy_targets_make(ctx, &g, t, &m->model, z, b, c, draws));
    rows = lcm_one_tower_rows_make(t, b, z, m->model.embed_dim, &g);
    LCM_TRY(lcm_tape_status(t));
    out->n_targets = g.R;
    out->t = g.level;
    p = lcm_one_tower_fwd(t, m, &rows);
    lcm_model_loss_finish(t, out, &m->model, p, g.target, g.w, NULL, &c->config);
    return lcm_decoder_loss_add(ctx, out, t, &m->model, p, g.target, lcm_targets_text(t, b, g.R), g.w, c, draws);
}
