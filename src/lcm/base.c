/* Base-LCM. */
#include "lcm/base.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/simd.h"

const lcm_field lcm_base_fields[] = {
    LCM_MODEL_SIZE_FIELDS(lcm_base_config),
    LCM_F_BOOL(lcm_base_config, sonar_normalizer, "normalise concepts"),
    LCM_F_STRUCT(lcm_base_config, frontend, lcm_frontend_fields, "from concepts to the model's width"),
    LCM_F_STRUCT(lcm_base_config, lcm, lcm_transformer_fields, "the Transformer"),
    LCM_F_STRUCT(lcm_base_config, postnet, lcm_projection_fields, "back to concepts"),
    LCM_F_END};

lcm_base_config lcm_base_config_default(void) {
    lcm_base_config c = {.sonar_embed_dim = 1024,
                         .max_seq_len = 2048,
                         .model_dim = 1024,
                         .sonar_normalizer = true,
                         .frontend = {.pre_linear_bias = true, .embedding_std = 0.006},
                         .lcm = lcm_transformer_config_default(),
                         .postnet = lcm_projection_config_default()};
    return c;
}

static lcm_status build(lcm_ctx *ctx, lcm_base *m) {
    const lcm_base_config *c = &m->config;
    lcm_params *p = &m->model.params;
    LCM_TRY(lcm_model_begin(ctx, &m->model, c->sonar_embed_dim, c->max_seq_len,
                            c->sonar_normalizer ? "frontend.sonar_normalizer" : NULL));
    LCM_TRY(lcm_frontend_new(ctx, &m->frontend, p, &c->frontend, c->sonar_embed_dim, c->model_dim,
                             c->max_seq_len, (lcm_pos_style)c->lcm.pos_embedding_style, "frontend"));
    LCM_TRY(lcm_stack_new(ctx, &m->stack, p, &c->lcm, c->model_dim, "lcm"));
    m->postnet = lcm_projection_new(p, &c->postnet, c->model_dim, c->sonar_embed_dim, "postnet");
    return p->status;
}

lcm_status lcm_base_new(lcm_ctx *ctx, lcm_base **out, const lcm_base_config *config) {
    lcm_base *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_transformer_config_check(ctx, &config->lcm, config->model_dim, "lcm"));
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    m->model.config = &m->config;
    st = build(ctx, m);
    if (st) {
        lcm_base_free(m);
        return st;
    }
    *out = m;
    return LCM_OK;
}

void lcm_base_free(lcm_base *m) {
    if (m == NULL) return;
    lcm_stack_free(&m->stack);
    lcm_frontend_free(&m->frontend);
    lcm_model_clear(&m->model);
    free(m);
}

lcm_tensor *lcm_base_fwd(lcm_tape *t, const lcm_base *m, lcm_tensor *z, const lcm_packed *p) {
    lcm_tensor *x = lcm_stack_fwd(t, &m->stack, lcm_frontend_fwd(t, &m->frontend, z, p->pos), p);
    return lcm_projection_fwd(t, &m->postnet, x);
}

/* counted[r], w[r] = whether row r predicts a counted position, r + 1; returns how many do. */
static int64_t count_rows(uint8_t *counted, real *w, const lcm_concept_batch *b, int64_t min_context) {
    int64_t n = 0;
    for (int64_t d = 0; d < b->n_docs; d++) {
        int64_t first = lcm_max_i(1, b->source_len ? b->source_len[d] : min_context);
        for (int32_t r = b->off[d]; r < b->off[d + 1]; r++) {
            int64_t k = r - b->off[d] + 1;
            counted[r] = k >= first && r + 1 < b->off[d + 1];
            w[r] = !counted[r] ? 0 : b->weight ? b->weight[r + 1] : 1;
            n += counted[r];
        }
    }
    return n;
}

/* (T) sentence of row r + 1; of the last row none. */
static const lcm_pieces *text_behind(lcm_tape *t, const lcm_concept_batch *b) {
    int64_t T = b->off[b->n_docs];
    lcm_pieces *y;
    if (b->text == NULL) return NULL;
    y = lcm_tape_alloc(t, (size_t)T * sizeof *y);
    if (y == NULL) return NULL;
    memcpy(y, b->text + 1, (size_t)(T - 1) * sizeof *y);
    y[T - 1] = (lcm_pieces){NULL, 0};
    return y;
}

lcm_status lcm_base_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_base *m,
                         const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) {
    int64_t D = m->model.embed_dim, T;
    lcm_packed packed;
    lcm_tensor *p;
    real *z, *w;
    uint8_t *counted;
    LCM_TRY(lcm_concept_batch_check(ctx, b, m->model.max_seq_len));
    T = b->off[b->n_docs];
    z = lcm_model_normalize(t, &m->model, b->x, T, 1); /* target of row r is row r + 1, also of the last */
    w = lcm_tape_alloc(t, (size_t)T * sizeof *w);
    counted = lcm_tape_alloc(t, (size_t)T);
    packed = lcm_packed_make(t, b->n_docs, b->off);
    LCM_TRY(lcm_tape_status(t));
    out->n_targets = count_rows(counted, w, b, c->config.min_context_size);
    if (out->n_targets == 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "batch of %lld documents without a target concept", (long long)b->n_docs);
    out->t = NULL;
    p = lcm_base_fwd(t, m, lcm_tensor_const(t, z, T, D), &packed);
    lcm_model_loss_finish(t, out, &m->model, p, z + D, w, counted, &c->config);
    return lcm_decoder_loss_add(ctx, out, t, &m->model, p, z + D, text_behind(t, b), w, c, draws);
}
