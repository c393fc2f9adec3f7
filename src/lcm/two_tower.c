/* Two-tower diffusion model: parameters and full pass. The loss is in two_tower_loss.c. */
#include "lcm/two_tower.h"

#include <stdlib.h>

const lcm_field lcm_two_tower_fields[] = {
    LCM_MODEL_SIZE_FIELDS(lcm_two_tower_config),
    LCM_F_STRUCT(lcm_two_tower_config, frontend, lcm_encoder_frontend_fields,
                 "front end of the context encoder"),
    LCM_F_STRUCT(lcm_two_tower_config, context_encoder, lcm_transformer_fields, "first tower"),
    LCM_F_STRUCT(lcm_two_tower_config, noise_scheduler, lcm_schedule_fields, "noise schedule"),
    LCM_F_STRUCT(lcm_two_tower_config, denoiser, lcm_denoiser_fields, "second tower"),
    LCM_F_BOOL(lcm_two_tower_config, trained_with_cf_guidance,
               "contexts are dropped in training, so guidance can be used"),
    LCM_F_END};

lcm_two_tower_config lcm_two_tower_config_default(void) {
    lcm_two_tower_config c = {.sonar_embed_dim = 1024,
                              .max_seq_len = 2048,
                              .model_dim = 1024,
                              .frontend = {.pre_linear_bias = true, .embedding_std = 1},
                              .context_encoder = lcm_transformer_config_default(),
                              .noise_scheduler = lcm_schedule_config_default(),
                              .denoiser = lcm_denoiser_config_default()};
    return c;
}

static lcm_status build(lcm_ctx *ctx, lcm_two_tower *m) {
    const lcm_two_tower_config *c = &m->config;
    lcm_params *p = &m->model.params;
    m->model.has_guidance = c->trained_with_cf_guidance;
    LCM_TRY(lcm_model_begin(ctx, &m->model, c->sonar_embed_dim, c->max_seq_len, "sonar_normalizer"));
    LCM_TRY(lcm_schedule_new(ctx, &m->model.schedule, &c->noise_scheduler));
    LCM_TRY(lcm_frontend_new(ctx, &m->frontend, p, &c->frontend, c->sonar_embed_dim, c->model_dim,
                             c->max_seq_len, (lcm_pos_style)c->context_encoder.pos_embedding_style,
                             "encoder_frontend"));
    LCM_TRY(lcm_stack_new(ctx, &m->context, p, &c->context_encoder, c->model_dim, "context_encoder"));
    LCM_TRY(
        lcm_denoiser_new(ctx, &m->denoiser, p, &c->denoiser, c->sonar_embed_dim, c->model_dim, "denoiser"));
    return p->status;
}

lcm_status lcm_two_tower_new(lcm_ctx *ctx, lcm_two_tower **out, const lcm_two_tower_config *config) {
    lcm_two_tower *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(
        lcm_transformer_config_check(ctx, &config->context_encoder, config->model_dim, "context_encoder"));
    LCM_TRY(lcm_denoiser_config_check(ctx, &config->denoiser, config->model_dim, "denoiser"));
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    m->model.config = &m->config;
    st = build(ctx, m);
    if (st) {
        lcm_two_tower_free(m);
        return st;
    }
    *out = m;
    return LCM_OK;
}

void lcm_two_tower_free(lcm_two_tower *m) {
    if (m == NULL) return;
    lcm_denoiser_free(&m->denoiser);
    lcm_stack_free(&m->context);
    lcm_frontend_free(&m->frontend);
    lcm_model_clear(&m->model);
    free(m);
}

lcm_tensor *lcm_two_tower_encode(lcm_tape *t, const lcm_two_tower *m, lcm_tensor *z, const lcm_packed *p) {
    return lcm_stack_fwd(t, &m->context, lcm_frontend_fwd(t, &m->frontend, z, p->pos), p);
}

lcm_two_tower_mask lcm_two_tower_mask_make(lcm_tape *t, const lcm_concept_batch *b, const uint8_t *dropped) {
    int64_t n = b->n_docs, T = b->off[n];
    lcm_two_tower_mask k = {.n_docs = n, .n_keys = T + n};
    int32_t *q_off = lcm_tape_alloc(t, (size_t)(n + 1) * 2 * sizeof *q_off);
    int32_t *limit = lcm_tape_alloc(t, (size_t)T * sizeof *limit);
    int32_t *kv_row = lcm_tape_alloc(t, (size_t)(T + n) * sizeof *kv_row);
    if (q_off == NULL || limit == NULL || kv_row == NULL) return k;
    for (int64_t d = 0; d < n; d++) {
        int32_t *key = kv_row + b->off[d] + d;
        int32_t shift = b->source_len ? b->source_len[d] : 0, len = b->off[d + 1] - b->off[d];
        q_off[d] = (int32_t)k.R;
        q_off[n + 1 + d] = (int32_t)(b->off[d] + d);
        *key++ = -1;
        for (int32_t i = 0; i < len; i++) *key++ = b->off[d] + i;
        for (int32_t i = shift; i < len; i++, k.R++) limit[k.R] = dropped && dropped[k.R] ? 1 : i + 1;
    }
    q_off[n] = (int32_t)k.R;
    q_off[2 * n + 1] = (int32_t)(T + n);
    k.q_off = q_off;
    k.k_off = q_off + n + 1;
    k.limit = limit;
    k.kv_row = kv_row;
    return k;
}

lcm_tensor *lcm_two_tower_denoise(lcm_tape *t, const lcm_two_tower *m, lcm_tensor *noisy,
                                  const int64_t *level, lcm_tensor *context, const lcm_two_tower_mask *k) {
    lcm_attn_spec spec = {k->n_docs, m->config.denoiser.transformer.num_attn_heads, k->q_off, k->k_off,
                          k->limit, NULL};
    lcm_levels lv;
    if (context == NULL || noisy == NULL) return NULL;
    lv = lcm_denoiser_levels(t, &m->denoiser, level, noisy->rows, m->model.schedule->config.train_steps);
    if (lv.e == NULL) return NULL;
    return lcm_denoiser_fwd(t, &m->denoiser, noisy, &lv, lcm_op_gather(t, context, k->kv_row, k->n_keys),
                            &spec);
}
