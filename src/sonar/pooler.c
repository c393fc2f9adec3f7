/* Attention pooling: parameters and training pass. */
#include "sonar/pooler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *named(char s[LCM_PARAM_NAME], int64_t layer, const char *tail) {
    snprintf(s, LCM_PARAM_NAME, "pooler.decoder.layers.%lld.%s", (long long)layer, tail);
    return s;
}

static lcm_pooler_layer layer_new(lcm_params *p, const lcm_pooler_sizes *z, int64_t i) {
    lcm_mha_opts cross = {.H = z->heads, .dim_q = z->dim, .dim_kv = z->states, .output_bias = true, .output_init = LCM_LINEAR_XAVIER};
    lcm_pooler_layer l = {0};
    char s[LCM_PARAM_NAME];
    l.self.v = lcm_linear_new(p, z->dim, z->dim, true, LCM_LINEAR_XAVIER_QKV, named(s, i, "self_attn.v_proj"));
    l.self.o = lcm_linear_new(p, z->dim, z->dim, true, LCM_LINEAR_XAVIER, named(s, i, "self_attn.output_proj"));
    l.self_norm = lcm_norm_new(p, z->dim, LCM_NORM_STANDARD, named(s, i, "self_attn_layer_norm"));
    l.cross = lcm_mha_new(p, &cross, named(s, i, "encoder_decoder_attn"));
    l.cross_norm = lcm_norm_new(p, z->dim, LCM_NORM_STANDARD, named(s, i, "encoder_decoder_attn_layer_norm"));
    l.ffn = lcm_ffn_new(p, z->dim, z->ffn_inner_dim, LCM_ACT_RELU, false, false, named(s, i, "ffn"));
    l.ffn_norm = lcm_norm_new(p, z->dim, LCM_NORM_STANDARD, named(s, i, "ffn_layer_norm"));
    return l;
}

lcm_status lcm_pooler_new(lcm_ctx *ctx, lcm_pooler *out, lcm_params *p, lcm_pooler_sizes z) {
    lcm_init query = {LCM_INIT_NORMAL, 1 / sqrt((double)z.dim)};
    *out = (lcm_pooler){.sizes = z};
    LCM_TRY(lcm_calloc(ctx, &out->layers, (size_t)z.layers, sizeof *out->layers));
    out->query = lcm_params_matrix(p, 1, z.dim, query, "pooler.decoder_frontend.embed.weight");
    for (int64_t i = 0; i < z.layers; i++) out->layers[i] = layer_new(p, &z, i);
    out->out = lcm_linear_new(p, z.dim, z.dim, true, LCM_LINEAR_DEFAULT, "pooler.projection_out");
    return p->status;
}

void lcm_pooler_free(lcm_pooler *p) {
    free(p->layers);
    p->layers = NULL;
}

/* norm(y + f), with dropout on f */
static lcm_tensor *add_norm(lcm_tape *t, const lcm_norm *norm, lcm_tensor *y, lcm_tensor *f, double dropout) {
    return lcm_norm_fwd(t, norm, lcm_op_add(t, y, lcm_op_dropout(t, f, dropout)));
}

lcm_tensor *lcm_pooler_fwd(lcm_tape *t, const lcm_pooler *p, lcm_tensor *states, const int32_t *off, int64_t n, double dropout) {
    int64_t E = p->sizes.dim;
    int32_t *zero = lcm_tape_alloc(t, (size_t)n * sizeof *zero), *one_each = lcm_tape_alloc(t, (size_t)(n + 1) * sizeof *one_each);
    real *position = lcm_tape_alloc(t, (size_t)E * sizeof *position);
    lcm_attn_spec spec = {n, p->sizes.heads, one_each, off, NULL, NULL};
    lcm_tensor *y;
    if (lcm_tape_status(t)) return NULL;
    for (int64_t i = 0; i < n; i++) zero[i] = 0;
    for (int64_t i = 0; i <= n; i++) one_each[i] = (int32_t)i;
    lcm_sinusoid_table(position, 0, 1, E);
    y = lcm_op_dropout(t, lcm_op_embed(t, p->query, zero, n, r_sqrt((real)E), position, zero), dropout);
    for (int64_t i = 0; i < p->sizes.layers && y; i++) {
        const lcm_pooler_layer *l = &p->layers[i];
        y = add_norm(t, &l->self_norm, y, lcm_mha_single_key(t, &l->self, y), dropout);
        y = add_norm(t, &l->cross_norm, y, lcm_mha_fwd(t, &l->cross, y, states, &spec, NULL), dropout);
        y = add_norm(t, &l->ffn_norm, y, lcm_ffn_fwd(t, &l->ffn, y), dropout);
    }
    return lcm_linear_fwd(t, &p->out, y);
}
