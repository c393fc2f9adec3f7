#include "harness/toy_models.h"

#include <math.h>
#include <stdlib.h>

lcm_transformer_config toy_transformer(bool modern) {
    lcm_transformer_config c = lcm_transformer_config_default();
    c.num_attn_heads = TOY_H;
    c.dropout_p = c.final_dropout_p = 0;
    c.ffn_inner_dim = 64;
    c.use_swiglu = c.mha_output_proj_bias = modern;
    c.layer_normalization_style = modern ? LCM_NORM_RMS : LCM_NORM_STANDARD;
    return c;
}

lcm_base_config toy_base_config(void) {
    lcm_base_config c = lcm_base_config_default();
    c.sonar_embed_dim = TOY_D;
    c.model_dim = TOY_M;
    c.max_seq_len = 32;
    c.lcm = toy_transformer(true);
    c.lcm.pos_embedding_style = LCM_POS_ROPE;
    return c;
}

lcm_one_tower_config toy_one_tower_config(void) {
    lcm_one_tower_config c = lcm_one_tower_config_default();
    c.sonar_embed_dim = TOY_D;
    c.model_dim = TOY_M;
    c.timestep_embed_dim = 6;
    c.max_seq_len = 64;
    c.tower = toy_transformer(true);
    c.noise_scheduler.train_steps = 20;
    c.trained_with_cf_guidance = true;
    return c;
}

lcm_quant_config toy_quant_config(void) {
    lcm_quant_config c = lcm_quant_config_default();
    c.sonar_embed_dim = TOY_D;
    c.model_dim = TOY_M;
    c.codebooks = 4;
    c.units = 8;
    c.codebook_embed_dim = 6;
    c.max_seq_len = 64;
    c.tower = toy_transformer(true);
    c.trained_with_cf_guidance = true;
    return c;
}

lcm_two_tower_config toy_two_tower_config(void) {
    lcm_two_tower_config c = lcm_two_tower_config_default();
    c.sonar_embed_dim = TOY_D;
    c.model_dim = c.denoiser.timestep_embed_dim = TOY_M;
    c.max_seq_len = 64;
    c.context_encoder = c.denoiser.transformer = toy_transformer(true);
    c.context_encoder.pos_embedding_style = LCM_POS_ROPE;
    c.denoiser.transformer.pos_embedding_style = LCM_POS_NONE;
    c.noise_scheduler.train_steps = 20;
    c.trained_with_cf_guidance = true;
    return c;
}

void toy_randomize(lcm_model *m, uint64_t seed) {
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST + ((uint64_t)i << 8));
        bool one = p->init.kind == LCM_INIT_ONE || p->init.kind == LCM_INIT_CONST;
        double sd = p->is_vector ? 0.1 : 0.7 / sqrt((double)p->t.cols);
        for (int64_t k = 0; k < p->t.rows * p->t.cols; k++) p->t.x[k] = (real)(one + sd * lcm_rng_normal(&r));
    }
    for (int64_t c = 0; m->normalizer && c < m->embed_dim; c++) {
        m->normalizer->center[c] = (real)(0.1 * (double)(c % 5) - 0.2);
        m->normalizer->scale[c] = (real)(0.5 + 0.1 * (double)(c % 7));
    }
}

real *toy_concepts(int64_t n, int64_t D, uint64_t seed) {
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST);
    real *x = malloc((size_t)(n * D) * sizeof *x);
    for (int64_t i = 0; x && i < n * D; i++) x[i] = (real)(0.1 * (double)(i % D % 3) + lcm_rng_normal(&r));
    return x;
}
