/* Llama: parameters and the full pass. */
#include "llama/llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const lcm_field lcm_llama_config_fields[] = {
    LCM_F_INT(lcm_llama_config, vocab_size, 4, 4194304, "tokens: pieces of the SentencePiece file, or more"),
    LCM_F_INT(lcm_llama_config, hidden_size, 2, 65536, "width of the model"),
    LCM_F_INT(lcm_llama_config, intermediate_size, 1, 1048576, "inner width of the feed-forward network"),
    LCM_F_INT(lcm_llama_config, num_hidden_layers, 1, 1024, "layers"),
    LCM_F_INT(lcm_llama_config, num_attention_heads, 1, 1024, "heads of queries"),
    LCM_F_INT(lcm_llama_config, num_key_value_heads, 0, 1024, "heads of keys and values, 0 = as many"),
    LCM_F_INT(lcm_llama_config, head_dim, 0, 4096, "width of a head, 0 = hidden_size / num_attention_heads"),
    LCM_F_INT(lcm_llama_config, max_position_embeddings, 2, 1048576, "longest document in tokens"),
    LCM_F_REAL(lcm_llama_config, rms_norm_eps, 1e-12, 1, "added inside the root of the norms"),
    LCM_F_REAL(lcm_llama_config, rope_theta, 1, 1e9, "base of the rotary angles"),
    LCM_F_BOOL(lcm_llama_config, tie_word_embeddings, "the embedding is the output projection"),
    LCM_F_REAL(lcm_llama_config, dropout, 0, 0.9, "dropout after embedding, attention and feed-forward"),
    LCM_F_END};

lcm_llama_config lcm_llama_config_default(void) {
    return (lcm_llama_config){.vocab_size = 4096, .hidden_size = 256, .intermediate_size = 768, .num_hidden_layers = 6,
                              .num_attention_heads = 4, .max_position_embeddings = 1024, .rms_norm_eps = 1e-5,
                              .rope_theta = 10000, .tie_word_embeddings = true};
}

lcm_status lcm_llama_config_settle(lcm_ctx *ctx, lcm_llama_config *c) {
    long long H = c->num_attention_heads;
    if (c->num_key_value_heads == 0) c->num_key_value_heads = H;
    if (H % c->num_key_value_heads)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "num_attention_heads %lld is no multiple of num_key_value_heads %lld", H,
                 (long long)c->num_key_value_heads);
    if (c->head_dim == 0) {
        if (c->hidden_size % H)
            LCM_FAIL(ctx, LCM_ERR_SHAPE, "hidden_size %lld does not divide into %lld heads", (long long)c->hidden_size, H);
        c->head_dim = c->hidden_size / H;
    }
    if (c->head_dim % 2) LCM_FAIL(ctx, LCM_ERR_SHAPE, "rotation needs pairs, but a head is %lld wide", (long long)c->head_dim);
    return LCM_OK;
}

/* N(0, 0.02); what adds to the residual stream is scaled down by its number of terms, as in GPT-2. */
static lcm_linear linear(lcm_params *p, int64_t in, int64_t out, double std, const char *layer, const char *name) {
    lcm_init init = {LCM_INIT_NORMAL, std};
    return (lcm_linear){lcm_params_matrix(p, out, in, init, "%s.%s.weight", layer, name), NULL};
}

static lcm_llama_layer layer_new(lcm_params *p, const lcm_llama_config *c, int64_t i) {
    int64_t D = c->hidden_size, F = c->intermediate_size, Q = c->num_attention_heads * c->head_dim;
    int64_t G = c->num_key_value_heads * c->head_dim;
    double std = 0.02, out_std = std / sqrt(2 * (double)c->num_hidden_layers);
    char s[LCM_PARAM_NAME], n[LCM_PARAM_NAME];
    lcm_llama_layer l;
    snprintf(s, sizeof s, "model.layers.%lld", (long long)i);
    snprintf(n, sizeof n, "model.layers.%lld.input_layernorm", (long long)i);
    l.attn_norm = lcm_norm_new(p, D, LCM_NORM_RMS, n);
    l.q = linear(p, D, Q, std, s, "self_attn.q_proj");
    l.k = linear(p, D, G, std, s, "self_attn.k_proj");
    l.v = linear(p, D, G, std, s, "self_attn.v_proj");
    l.o = linear(p, Q, D, out_std, s, "self_attn.o_proj");
    snprintf(n, sizeof n, "model.layers.%lld.post_attention_layernorm", (long long)i);
    l.ffn_norm = lcm_norm_new(p, D, LCM_NORM_RMS, n);
    l.gate = linear(p, D, F, std, s, "mlp.gate_proj");
    l.up = linear(p, D, F, std, s, "mlp.up_proj");
    l.down = linear(p, F, D, out_std, s, "mlp.down_proj");
    return l;
}

static lcm_status build(lcm_ctx *ctx, lcm_llama *m) {
    const lcm_llama_config *c = &m->config;
    lcm_params *p = &m->params;
    lcm_init init = {LCM_INIT_NORMAL, 0.02};
    p->ctx = ctx;
    LCM_TRY(lcm_calloc(ctx, &m->layers, (size_t)c->num_hidden_layers, sizeof *m->layers));
    m->embed = m->head = lcm_params_matrix(p, c->vocab_size, c->hidden_size, init, "model.embed_tokens.weight");
    for (int64_t i = 0; i < c->num_hidden_layers; i++) m->layers[i] = layer_new(p, c, i);
    m->norm = lcm_norm_new(p, c->hidden_size, LCM_NORM_RMS, "model.norm");
    if (!c->tie_word_embeddings) m->head = lcm_params_matrix(p, c->vocab_size, c->hidden_size, init, "lm_head.weight");
    return p->status;
}

lcm_status lcm_llama_register(lcm_ctx *ctx, lcm_llama **out, const lcm_llama_config *config) {
    lcm_llama_config c = *config;
    lcm_llama *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_llama_config_settle(ctx, &c));
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = c;
    st = build(ctx, m);
    if (st) {
        lcm_llama_free(m);
        return st;
    }
    *out = m;
    return LCM_OK;
}

lcm_status lcm_llama_new(lcm_ctx *ctx, lcm_llama **out, const lcm_llama_config *config, bool with_grad) {
    lcm_status st;
    LCM_TRY(lcm_llama_register(ctx, out, config));
    st = lcm_params_alloc(ctx, &(*out)->params, with_grad);
    if (st == LCM_OK) return LCM_OK;
    lcm_llama_free(*out);
    *out = NULL;
    return st;
}

void lcm_llama_free(lcm_llama *m) {
    if (m == NULL) return;
    lcm_params_free(&m->params);
    free(m->layers);
    free(m);
}

/* What all layers of a pass share. */
typedef struct pass {
    const lcm_llama *m;
    lcm_attn_spec attn;
    const real *angles; /* (T, head_dim) */
} pass;

static bool prepare(pass *p, lcm_tape *t, const lcm_llama *m, const lcm_llama_batch *b) {
    const lcm_llama_config *c = &m->config;
    int32_t *pos = lcm_tape_alloc(t, (size_t)b->T * sizeof *pos), *limit = lcm_tape_alloc(t, (size_t)b->T * sizeof *limit);
    real *angles = lcm_tape_alloc(t, (size_t)(b->T * c->head_dim) * sizeof *angles);
    if (lcm_tape_status(t)) return false;
    for (int64_t s = 0; s < b->n; s++)
        for (int32_t i = b->off[s]; i < b->off[s + 1]; i++) {
            pos[i] = i - b->off[s];
            limit[i] = pos[i] + 1;
        }
    lcm_k_rotary_angles(angles, pos, b->T, c->head_dim, c->rope_theta);
    *p = (pass){m, {b->n, c->num_attention_heads, b->off, b->off, limit, NULL}, angles};
    return true;
}

static lcm_tensor *norm(lcm_tape *t, const pass *p, const lcm_norm *n, lcm_tensor *x) {
    return lcm_op_norm_eps(t, x, n->w, NULL, true, p->m->config.rms_norm_eps);
}

static lcm_tensor *attention(lcm_tape *t, const pass *p, const lcm_llama_layer *l, lcm_tensor *x) {
    lcm_tensor *q = lcm_op_rotate(t, lcm_linear_fwd(t, &l->q, x), p->angles, p->m->config.num_attention_heads);
    lcm_tensor *k = lcm_op_rotate(t, lcm_linear_fwd(t, &l->k, x), p->angles, p->m->config.num_key_value_heads);
    return lcm_linear_fwd(t, &l->o, lcm_op_attention(t, q, k, lcm_linear_fwd(t, &l->v, x), &p->attn));
}

static lcm_tensor *feed_forward(lcm_tape *t, const lcm_llama_layer *l, lcm_tensor *x) {
    lcm_tensor *gate = lcm_op_act(t, lcm_linear_fwd(t, &l->gate, x), LCM_ACT_SILU);
    return lcm_linear_fwd(t, &l->down, lcm_op_mul(t, gate, lcm_linear_fwd(t, &l->up, x)));
}

static lcm_tensor *residual(lcm_tape *t, const pass *p, lcm_tensor *x, lcm_tensor *f) {
    return lcm_op_add(t, x, lcm_op_dropout(t, f, p->m->config.dropout));
}

lcm_tensor *lcm_llama_fwd(lcm_tape *t, const lcm_llama *m, const lcm_llama_batch *b) {
    lcm_tensor *x;
    pass p;
    if (!prepare(&p, t, m, b)) return NULL;
    x = lcm_op_dropout(t, lcm_op_embed(t, m->embed, b->ids, b->T, 1, NULL, NULL), m->config.dropout);
    for (int64_t i = 0; i < m->config.num_hidden_layers; i++) {
        const lcm_llama_layer *l = &m->layers[i];
        x = residual(t, &p, x, attention(t, &p, l, norm(t, &p, &l->attn_norm, x)));
        x = residual(t, &p, x, feed_forward(t, l, norm(t, &p, &l->ffn_norm, x)));
    }
    return norm(t, &p, &m->norm, x);
}
