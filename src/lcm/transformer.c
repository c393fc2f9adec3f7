/* Transformer decoder over packed documents. */
#include "lcm/transformer.h"

#include <stdio.h>
#include <stdlib.h>

const char *const lcm_norm_order_names[] = {"pre", "post", "normformer", NULL};
const char *const lcm_final_order_names[] = {"same", "pre", "post", "normformer", NULL};
const lcm_field lcm_transformer_fields[] = {LCM_TRANSFORMER_FIELDS, LCM_F_END};

lcm_transformer_config lcm_transformer_config_default(void) {
    lcm_transformer_config c = {.num_layers = 2,
                                .num_attn_heads = 8,
                                .dropout_p = 0.1,
                                .final_dropout_p = 0.1,
                                .ffn_inner_dim = 4096,
                                .ffn_inner_activation_name = LCM_ACT_RELU,
                                .pos_embedding_style = LCM_POS_LEARNED,
                                .rope_theta = 10000,
                                .layer_normalization_style = LCM_NORM_STANDARD,
                                .attention_output_init_fn = LCM_INIT_FN_XAVIER};
    return c;
}

lcm_status lcm_transformer_config_check(lcm_ctx *ctx, const lcm_transformer_config *c, int64_t model_dim,
                                        const char *where) {
    int64_t H = c->num_attn_heads;
    if (model_dim % H)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: model_dim %lld does not divide into %lld heads", where,
                 (long long)model_dim, (long long)H);
    if (c->pos_embedding_style == LCM_POS_ROPE && model_dim / H % 2)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: rope rotates pairs, but a head is %lld wide", where,
                 (long long)(model_dim / H));
    if (c->pos_embedding_style == LCM_POS_SINE && (model_dim % 2 || model_dim < 4))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: sine positions need an even model_dim of at least 4, not %lld",
                 where, (long long)model_dim);
    return LCM_OK;
}

int64_t lcm_transformer_ffn_inner(const lcm_transformer_config *c) {
    return c->use_swiglu ? lcm_swiglu_inner(c->ffn_inner_dim) : c->ffn_inner_dim;
}

static bool ends_in_norm(const lcm_transformer_config *c) {
    if (c->final_norm_order_style == LCM_ORDER_FINAL_SAME) return c->norm_order_style != LCM_ORDER_POST;
    return c->final_norm_order_style != LCM_ORDER_FINAL_POST;
}

static lcm_block block_new(lcm_params *p, const lcm_transformer_config *c, int64_t M, const char *name) {
    lcm_norm_style style = (lcm_norm_style)c->layer_normalization_style;
    bool normformer = c->norm_order_style == LCM_ORDER_NORMFORMER;
    lcm_mha_opts o = {.H = c->num_attn_heads,
                      .dim_q = M,
                      .output_bias = c->mha_output_proj_bias,
                      .qk_norm = c->enable_qk_layernorm,
                      .norm = style,
                      .output_init = lcm_init_fn_kind(c->attention_output_init_fn)};
    lcm_block l = {0};
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.self_attn_layer_norm", name);
    l.attn_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.self_attn", name);
    l.attn = lcm_mha_new(p, &o, sub);
    snprintf(sub, sizeof sub, "%s.self_attn_norm", name);
    if (normformer) l.attn_out_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.ffn_layer_norm", name);
    l.ffn_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.ffn", name);
    l.ffn = lcm_ffn_new(p, M, lcm_transformer_ffn_inner(c), (lcm_act)c->ffn_inner_activation_name,
                        c->use_swiglu, normformer && !c->use_swiglu, sub);
    if (c->scale_residual != 0)
        l.residual_scale =
            lcm_params_vector(p, M, (lcm_init){LCM_INIT_CONST, c->scale_residual}, "%s.residual_scale", name);
    return l;
}

lcm_status lcm_stack_new(lcm_ctx *ctx, lcm_stack *out, lcm_params *p, const lcm_transformer_config *c,
                         int64_t M, const char *name) {
    lcm_stack s = {.config = *c, .M = M, .has_norm = ends_in_norm(c)};
    char sub[LCM_PARAM_NAME];
    LCM_TRY(lcm_calloc(ctx, &s.blocks, (size_t)c->num_layers, sizeof *s.blocks));
    for (int64_t i = 0; i < c->num_layers; i++) {
        snprintf(sub, sizeof sub, "%s.layers.%lld", name, (long long)i);
        s.blocks[i] = block_new(p, c, M, sub);
    }
    snprintf(sub, sizeof sub, "%s.layer_norm", name);
    if (s.has_norm) s.norm = lcm_norm_new(p, M, (lcm_norm_style)c->layer_normalization_style, sub);
    *out = s;
    return p->status;
}

void lcm_stack_free(lcm_stack *s) { free(s->blocks); }

static lcm_tensor *block_run(lcm_tape *t, const lcm_stack *s, int64_t i, lcm_tensor *x, lcm_attend_fn attend,
                             void *user) {
    const lcm_block *l = &s->blocks[i];
    bool post = s->config.norm_order_style == LCM_ORDER_POST;
    double drop = s->config.dropout_p;
    lcm_tensor *a = attend(t, user, i, &l->attn, post ? x : lcm_norm_fwd(t, &l->attn_norm, x)), *h, *f;
    if (s->config.norm_order_style == LCM_ORDER_NORMFORMER) a = lcm_norm_fwd(t, &l->attn_out_norm, a);
    h = lcm_op_add(t, x, lcm_op_dropout(t, a, drop));
    if (post) h = lcm_norm_fwd(t, &l->attn_norm, h);
    f = lcm_ffn_fwd(t, &l->ffn, post ? h : lcm_norm_fwd(t, &l->ffn_norm, h));
    if (l->residual_scale) h = lcm_op_mul_vec(t, h, l->residual_scale);
    h = lcm_op_add(t, h, lcm_op_dropout(t, f, drop));
    return post ? lcm_norm_fwd(t, &l->ffn_norm, h) : h;
}

lcm_tensor *lcm_stack_run(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, lcm_attend_fn attend, void *user) {
    for (int64_t i = 0; i < s->config.num_layers && x; i++) x = block_run(t, s, i, x, attend, user);
    if (s->has_norm) x = lcm_norm_fwd(t, &s->norm, x);
    return lcm_op_dropout(t, x, s->config.final_dropout_p);
}

typedef struct full_pass {
    lcm_attn_spec spec;
    lcm_rope_spec rope;
    bool rotate;
} full_pass;

static lcm_tensor *attend_full(lcm_tape *t, void *user, int64_t layer, const lcm_mha *m, lcm_tensor *h) {
    const full_pass *f = user;
    (void)layer;
    return lcm_mha_fwd(t, m, h, h, &f->spec, f->rotate ? &f->rope : NULL);
}

lcm_tensor *lcm_stack_fwd(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, const lcm_packed *p) {
    full_pass f = {.spec = {p->n, s->config.num_attn_heads, p->off, p->off, p->limit, p->own},
                   .rope = {p->pos, p->pos, s->config.rope_theta},
                   .rotate = s->config.pos_embedding_style == LCM_POS_ROPE};
    return lcm_stack_run(t, s, x, attend_full, &f);
}
