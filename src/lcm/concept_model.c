/* What every concept model has in common. */
#include "lcm/concept_model.h"

lcm_status lcm_model_begin(lcm_ctx *ctx, lcm_model *m, int64_t embed_dim, int64_t max_seq_len, const char *normalizer_name) {
    lcm_normalizer_config c = lcm_normalizer_config_default();
    c.dim = embed_dim;
    m->params.ctx = ctx;
    m->embed_dim = embed_dim;
    m->max_seq_len = max_seq_len;
    m->normalizer_name = normalizer_name;
    return normalizer_name ? lcm_normalizer_new(ctx, &m->normalizer, &c) : LCM_OK;
}

void lcm_model_clear(lcm_model *m) {
    lcm_schedule_free(m->schedule);
    lcm_normalizer_free(m->normalizer);
    lcm_params_free(&m->params);
}

int64_t lcm_model_fixed(const lcm_model *m) { return m->frozen ? lcm_params_count(&m->params, m->frozen) : 0; }

int64_t lcm_model_parameters(const lcm_model *m) { return m->params.count - lcm_model_fixed(m); }
