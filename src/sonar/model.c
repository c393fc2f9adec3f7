/* SONAR: parameters and full passes. */
#include "sonar/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const lcm_sonar_pooling_names[] = {"mean", "max", "last", "attention", NULL};

const lcm_field lcm_sonar_config_fields[] = {
    LCM_F_INT(lcm_sonar_config, model_dim, 4, 65536, "width of the model"),
    LCM_F_INT(lcm_sonar_config, encoder_layers, 1, 1024, "encoder layers"),
    LCM_F_INT(lcm_sonar_config, decoder_layers, 1, 1024, "decoder layers"),
    LCM_F_INT(lcm_sonar_config, attn_heads, 1, 1024, "attention heads"),
    LCM_F_INT(lcm_sonar_config, ffn_inner_dim, 1, 1048576, "inner width of the feed-forward network"),
    LCM_F_INT(lcm_sonar_config, vocab_size, 8, 4194304, "tokens, languages included"),
    LCM_F_INT(lcm_sonar_config, max_seq_len, 4, 65536, "longest decoder sequence in tokens"),
    LCM_F_INT(lcm_sonar_config, embedding_dim, 0, 65536, "size of the concept, 0 = model_dim; attention pooling allows others"),
    LCM_F_INT(lcm_sonar_config, input_dim, 0, 65536, "width of the vector the decoder reads, 0 = the concept's"),
    LCM_F_ENUM(lcm_sonar_config, pooling, lcm_sonar_pooling_names, "mean, max, last or attention"),
    LCM_F_INT(lcm_sonar_config, pooler_layers, 0, 1024, "layers of attention pooling"),
    LCM_F_INT(lcm_sonar_config, pooler_heads, 0, 1024, "heads of attention pooling, 0 = attn_heads"),
    LCM_F_INT(lcm_sonar_config, pooler_ffn_inner_dim, 0, 1048576, "inner width of attention pooling, 0 = ffn_inner_dim"),
    LCM_F_BOOL(lcm_sonar_config, share_embeddings, "one embedding table for encoder and decoder"),
    LCM_F_REAL(lcm_sonar_config, dropout, 0, 0.9, "dropout after embedding, attention and feed-forward"),
    LCM_F_END};

lcm_sonar_config lcm_sonar_config_default(void) {
    lcm_sonar_config c = {.model_dim = 256, .encoder_layers = 2, .decoder_layers = 2, .attn_heads = 4,
                          .ffn_inner_dim = 1024, .vocab_size = 4096, .max_seq_len = 128,
                          .pooling = LCM_POOL_MEAN, .pooler_layers = 1, .share_embeddings = true};
    return c;
}

static int64_t encoded_dim(const lcm_sonar_config *c) { return c->embedding_dim ? c->embedding_dim : c->model_dim; }

int64_t lcm_sonar_dim(const lcm_sonar_config *c) { return c->input_dim ? c->input_dim : encoded_dim(c); }

static lcm_pooler_sizes pooler_sizes(const lcm_sonar_config *c) {
    return (lcm_pooler_sizes){.states = c->model_dim, .dim = encoded_dim(c), .layers = c->pooler_layers,
                              .heads = c->pooler_heads ? c->pooler_heads : c->attn_heads,
                              .ffn_inner_dim = c->pooler_ffn_inner_dim ? c->pooler_ffn_inner_dim : c->ffn_inner_dim};
}

static lcm_status check_pooling(lcm_ctx *ctx, const lcm_sonar_config *c) {
    lcm_pooler_sizes z = pooler_sizes(c);
    if (c->pooling != LCM_SONAR_ATTENTION) {
        if (z.dim != c->model_dim)
            LCM_FAIL(ctx, LCM_ERR_SHAPE, "embedding_dim %lld is not model_dim %lld: that needs pooling 'attention', not '%s'",
                     (long long)z.dim, (long long)c->model_dim, lcm_sonar_pooling_names[c->pooling]);
        return LCM_OK;
    }
    if (z.dim < 4 || z.dim % 2) LCM_FAIL(ctx, LCM_ERR_SHAPE, "embedding_dim %lld is odd or less than 4", (long long)z.dim);
    if (z.layers < 1) LCM_FAIL(ctx, LCM_ERR_SHAPE, "attention pooling needs pooler_layers, at least 1");
    if (z.dim % z.heads)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "embedding_dim %lld does not divide into %lld heads of the pooler", (long long)z.dim,
                 (long long)z.heads);
    return LCM_OK;
}

lcm_status lcm_sonar_config_check(lcm_ctx *ctx, const lcm_sonar_config *c) {
    if (c->model_dim % 2) LCM_FAIL(ctx, LCM_ERR_SHAPE, "model_dim %lld is odd", (long long)c->model_dim);
    if (c->model_dim % c->attn_heads)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "model_dim %lld does not divide into %lld heads", (long long)c->model_dim,
                 (long long)c->attn_heads);
    return check_pooling(ctx, c);
}

static lcm_sonar_layer layer_new(lcm_params *p, const lcm_sonar_config *c, const char *prefix, bool decoder) {
    lcm_sonar_layer l = {0};
    lcm_mha_opts o = {.H = c->attn_heads, .dim_q = c->model_dim, .output_bias = true, .output_init = LCM_LINEAR_XAVIER};
    char s[LCM_PARAM_NAME];
    snprintf(s, sizeof s, "%s.self_attn_layer_norm", prefix);
    l.attn_norm = lcm_norm_new(p, c->model_dim, LCM_NORM_STANDARD, s);
    snprintf(s, sizeof s, "%s.self_attn", prefix);
    l.attn = lcm_mha_new(p, &o, s);
    if (decoder) {
        snprintf(s, sizeof s, "%s.encoder_decoder_attn.v_proj", prefix);
        l.cross_v = lcm_linear_new(p, lcm_sonar_dim(c), c->model_dim, true, LCM_LINEAR_XAVIER_QKV, s);
        snprintf(s, sizeof s, "%s.encoder_decoder_attn.output_proj", prefix);
        l.cross_o = lcm_linear_new(p, c->model_dim, c->model_dim, true, LCM_LINEAR_XAVIER, s);
    }
    snprintf(s, sizeof s, "%s.ffn_layer_norm", prefix);
    l.ffn_norm = lcm_norm_new(p, c->model_dim, LCM_NORM_STANDARD, s);
    snprintf(s, sizeof s, "%s.ffn", prefix);
    l.ffn = lcm_ffn_new(p, c->model_dim, c->ffn_inner_dim, LCM_ACT_RELU, false, false, s);
    return l;
}

static lcm_status build(lcm_ctx *ctx, lcm_sonar *m, int parts) {
    const lcm_sonar_config *c = &m->config;
    lcm_params *p = &m->params;
    lcm_init embed = {LCM_INIT_NORMAL, 1 / sqrt((double)c->model_dim)};
    char s[LCM_PARAM_NAME];
    p->ctx = ctx;
    LCM_TRY(lcm_calloc(ctx, &m->enc, (size_t)c->encoder_layers, sizeof *m->enc));
    LCM_TRY(lcm_calloc(ctx, &m->dec, (size_t)c->decoder_layers, sizeof *m->dec));
    if (parts & LCM_SONAR_DECODER)
        m->dec_embed = lcm_params_matrix(p, c->vocab_size, c->model_dim, embed, "decoder_frontend.embed.weight");
    if (parts & LCM_SONAR_ENCODER) {
        if (c->share_embeddings && m->dec_embed) m->enc_embed = m->dec_embed;
        else
            m->enc_embed = lcm_params_matrix(p, c->vocab_size, c->model_dim, embed, "%s_frontend.embed.weight",
                                             c->share_embeddings ? "decoder" : "encoder");
        for (int64_t i = 0; i < c->encoder_layers; i++) {
            snprintf(s, sizeof s, "encoder.layers.%lld", (long long)i);
            m->enc[i] = layer_new(p, c, s, false);
        }
        m->enc_norm = lcm_norm_new(p, c->model_dim, LCM_NORM_STANDARD, "layer_norm");
        if (c->pooling == LCM_SONAR_ATTENTION) LCM_TRY(lcm_pooler_new(ctx, &m->pooler, p, pooler_sizes(c)));
    }
    if (parts & LCM_SONAR_DECODER) {
        for (int64_t i = 0; i < c->decoder_layers; i++) {
            snprintf(s, sizeof s, "decoder.layers.%lld", (long long)i);
            m->dec[i] = layer_new(p, c, s, true);
        }
        m->dec_norm = lcm_norm_new(p, c->model_dim, LCM_NORM_STANDARD, "decoder.layer_norm");
    }
    return p->status;
}

lcm_status lcm_sonar_register(lcm_ctx *ctx, lcm_sonar **out, const lcm_sonar_config *config, int parts) {
    lcm_sonar *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_sonar_config_check(ctx, config));
    if (parts & LCM_SONAR_ENCODER && lcm_sonar_dim(config) != encoded_dim(config))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the encoder gives vectors of %lld numbers, the decoder reads %lld (input_dim)",
                 (long long)encoded_dim(config), (long long)config->input_dim);
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    st = build(ctx, m, parts);
    if (st) lcm_sonar_free(m);
    else *out = m;
    return st;
}

lcm_status lcm_sonar_new(lcm_ctx *ctx, lcm_sonar **out, const lcm_sonar_config *config, int parts, bool with_grad) {
    lcm_sonar *m;
    lcm_status st;
    int64_t n_pos = config->max_seq_len + 2;
    *out = NULL;
    LCM_TRY(lcm_sonar_register(ctx, &m, config, parts));
    st = lcm_params_alloc(ctx, &m->params, with_grad);
    if (st == LCM_OK) st = lcm_calloc(ctx, &m->positions, (size_t)(n_pos * config->model_dim), sizeof(real));
    if (st) {
        lcm_sonar_free(m);
        return st;
    }
    lcm_sinusoid_table(m->positions, 2, n_pos, config->model_dim);
    *out = m;
    return LCM_OK;
}

void lcm_sonar_free(lcm_sonar *m) {
    if (m == NULL) return;
    lcm_params_free(&m->params);
    lcm_pooler_free(&m->pooler);
    free(m->enc);
    free(m->dec);
    free(m->positions);
    free(m);
}

/* x + f(norm(x)), with dropout on f */
static lcm_tensor *residual(lcm_tape *t, const lcm_sonar *m, lcm_tensor *x, lcm_tensor *f) {
    return lcm_op_add(t, x, lcm_op_dropout(t, f, m->config.dropout));
}

static lcm_tensor *front(lcm_tape *t, const lcm_sonar *m, lcm_tensor *embed, const lcm_sonar_batch *b) {
    lcm_tensor *x = lcm_op_embed(t, embed, b->ids, b->T, r_sqrt((real)m->config.model_dim), m->positions, b->pos);
    return lcm_op_dropout(t, x, m->config.dropout);
}

lcm_tensor *lcm_sonar_encoder_states(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b) {
    lcm_attn_spec spec = {b->n, m->config.attn_heads, b->off, b->off, NULL, NULL};
    lcm_tensor *x = front(t, m, m->enc_embed, b);
    for (int64_t i = 0; i < m->config.encoder_layers && x; i++) {
        const lcm_sonar_layer *l = &m->enc[i];
        lcm_tensor *h = lcm_norm_fwd(t, &l->attn_norm, x);
        x = residual(t, m, x, lcm_mha_fwd(t, &l->attn, h, h, &spec, NULL));
        x = residual(t, m, x, lcm_ffn_fwd(t, &l->ffn, lcm_norm_fwd(t, &l->ffn_norm, x)));
    }
    return lcm_norm_fwd(t, &m->enc_norm, x);
}

lcm_tensor *lcm_sonar_encode_fwd(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b) {
    lcm_tensor *x = lcm_sonar_encoder_states(t, m, b);
    if (m->config.pooling == LCM_SONAR_ATTENTION) return lcm_pooler_fwd(t, &m->pooler, x, b->off, b->n, m->config.dropout);
    return lcm_op_pool(t, x, b->off, b->n, (lcm_pool)m->config.pooling);
}

lcm_tensor *lcm_sonar_decode_fwd(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b, lcm_tensor *concepts) {
    lcm_attn_spec spec = {b->n, m->config.attn_heads, b->off, b->off, b->limit, NULL};
    lcm_tensor *x = front(t, m, m->dec_embed, b);
    for (int64_t i = 0; i < m->config.decoder_layers && x; i++) {
        const lcm_sonar_layer *l = &m->dec[i];
        lcm_tensor *h = lcm_norm_fwd(t, &l->attn_norm, x), *c;
        x = residual(t, m, x, lcm_mha_fwd(t, &l->attn, h, h, &spec, NULL));
        c = lcm_linear_fwd(t, &l->cross_o, lcm_linear_fwd(t, &l->cross_v, concepts));
        x = lcm_op_add_rows(t, x, lcm_op_dropout(t, c, m->config.dropout), b->seg);
        x = residual(t, m, x, lcm_ffn_fwd(t, &l->ffn, lcm_norm_fwd(t, &l->ffn_norm, x)));
    }
    return lcm_norm_fwd(t, &m->dec_norm, x);
}

void lcm_sonar_freeze_encoder(lcm_sonar *m) {
    static const char *const parts[] = {"encoder", "layer_norm", "pooler"};
    for (int i = 0; i < 3; i++) lcm_params_freeze(&m->params, parts[i], true);
    if (m->enc_embed == m->dec_embed) lcm_params_freeze(&m->params, "decoder_frontend.embed", true);
}
