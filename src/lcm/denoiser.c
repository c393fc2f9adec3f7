/* AdaLN denoiser, full pass. */
#include "lcm/denoiser.h"

#include <stdio.h>
#include <stdlib.h>

const lcm_field lcm_denoiser_fields[] = {
    LCM_TRANSFORMER_FIELDS,
    LCM_F_STRUCT(lcm_denoiser_config, pre_denoiser, lcm_projection_fields,
                 "from concepts to the model's width"),
    LCM_F_STRUCT(lcm_denoiser_config, post_denoiser, lcm_projection_fields, "back to concepts"),
    LCM_F_INT(lcm_denoiser_config, timestep_embed_dim, 1, 65536, "must equal model_dim"), LCM_F_END};
_Static_assert(offsetof(lcm_denoiser_config, transformer) == 0,
               "LCM_TRANSFORMER_FIELDS count from the struct's start");

lcm_denoiser_config lcm_denoiser_config_default(void) {
    lcm_denoiser_config c = {.transformer = lcm_transformer_config_default(),
                             .pre_denoiser = lcm_projection_config_default(),
                             .post_denoiser = lcm_projection_config_default(),
                             .timestep_embed_dim = 1024};
    c.transformer.pos_embedding_style = LCM_POS_NONE;
    return c;
}

lcm_status lcm_denoiser_config_check(lcm_ctx *ctx, const lcm_denoiser_config *c, int64_t model_dim,
                                     const char *where) {
    const lcm_transformer_config *f = &c->transformer;
    LCM_TRY(lcm_transformer_config_check(ctx, f, model_dim, where));
    if (c->timestep_embed_dim != model_dim)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: timestep_embed_dim %lld, must equal model_dim %lld", where,
                 (long long)c->timestep_embed_dim, (long long)model_dim);
    /* At inference the query is always at position 0, in training at its own: the two would differ. */
    if (f->pos_embedding_style != LCM_POS_NONE)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "%s: pos_embedding_style \"%s\", a denoiser has \"none\"", where,
                 lcm_pos_style_names[f->pos_embedding_style]);
    if (f->norm_order_style != LCM_ORDER_PRE)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "%s: norm_order_style \"%s\", a denoiser has \"pre\"", where,
                 lcm_norm_order_names[f->norm_order_style]);
    if (f->scale_residual != 0)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "%s: scale_residual %g, a denoiser has none", where,
                 f->scale_residual);
    return LCM_OK;
}

static lcm_denoiser_layer layer_new(lcm_params *p, const lcm_transformer_config *c, int64_t M,
                                    const char *name) {
    lcm_norm_style style = (lcm_norm_style)c->layer_normalization_style;
    lcm_mha_opts o = {.H = c->num_attn_heads,
                      .dim_q = M,
                      .output_bias = c->mha_output_proj_bias,
                      .qk_norm = c->enable_qk_layernorm,
                      .norm = style,
                      .output_init = lcm_init_fn_kind(c->attention_output_init_fn)};
    lcm_denoiser_layer l;
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.self_attn_layer_norm", name);
    l.self_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.self_attn", name);
    l.self = lcm_mha_new(p, &o, sub);
    snprintf(sub, sizeof sub, "%s.cross_attention_layer_norm", name);
    l.cross_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.cross_attention", name);
    l.cross = lcm_mha_new(p, &o, sub);
    snprintf(sub, sizeof sub, "%s.ffn_layer_norm", name);
    l.ffn_norm = lcm_norm_new(p, M, style, sub);
    snprintf(sub, sizeof sub, "%s.ffn", name);
    l.ffn = lcm_ffn_new(p, M, lcm_transformer_ffn_inner(c), (lcm_act)c->ffn_inner_activation_name,
                        c->use_swiglu, false, sub);
    snprintf(sub, sizeof sub, "%s.modulator.fc", name);
    l.modulator = lcm_linear_new(p, M, 9 * M, true, LCM_LINEAR_ZERO, sub);
    return l;
}

lcm_status lcm_denoiser_new(lcm_ctx *ctx, lcm_denoiser *out, lcm_params *p, const lcm_denoiser_config *c,
                            int64_t D, int64_t M, const char *name) {
    lcm_denoiser d = {.config = *c, .M = M};
    char sub[LCM_PARAM_NAME];
    LCM_TRY(lcm_calloc(ctx, &d.layers, (size_t)c->transformer.num_layers, sizeof *d.layers));
    snprintf(sub, sizeof sub, "%s.embed_time", name);
    d.embed_time = lcm_level_embed_new(p, M, LCM_LINEAR_NORMAL_02, sub);
    snprintf(sub, sizeof sub, "%s.initial_proj", name);
    d.initial = lcm_projection_new(p, &c->pre_denoiser, D, M, sub);
    for (int64_t i = 0; i < c->transformer.num_layers; i++) {
        snprintf(sub, sizeof sub, "%s.layers.%lld", name, (long long)i);
        d.layers[i] = layer_new(p, &c->transformer, M, sub);
    }
    snprintf(sub, sizeof sub, "%s.layer_norm", name);
    d.norm = lcm_norm_new(p, M, (lcm_norm_style)c->transformer.layer_normalization_style, sub);
    snprintf(sub, sizeof sub, "%s.final_proj", name);
    d.final = lcm_projection_new(p, &c->post_denoiser, M, D, sub);
    *out = d;
    return p->status;
}

void lcm_denoiser_free(lcm_denoiser *d) { free(d->layers); }

lcm_tensor *lcm_denoiser_embed_levels(lcm_tape *t, const lcm_denoiser *d, const int64_t *levels, int64_t n) {
    return lcm_op_act(t, lcm_level_embed_fwd(t, &d->embed_time, levels, n), LCM_ACT_SILU);
}

lcm_levels lcm_denoiser_levels(lcm_tape *t, const lcm_denoiser *d, const int64_t *level, int64_t R,
                               int64_t N) {
    lcm_distinct_levels u = lcm_distinct_levels_make(t, level, R, N);
    lcm_levels lv = {u.row ? lcm_denoiser_embed_levels(t, d, u.level, u.n) : NULL, u.row};
    return lv;
}

lcm_tensor *lcm_denoiser_layer_fwd(lcm_tape *t, const lcm_denoiser *d, int64_t i, lcm_tensor *x,
                                   const lcm_levels *lv, lcm_tensor *kv, const lcm_attn_spec *spec) {
    const lcm_denoiser_layer *l = &d->layers[i];
    int64_t M = d->M;
    double drop = d->config.transformer.dropout_p;
    lcm_tensor *m = lcm_linear_fwd(t, &l->modulator, lv->e), *h;
    if (x == NULL) return NULL;
    if (lv->row) m = lcm_op_gather(t, m, lv->row, x->rows);
    h = lcm_op_modulate(t, lcm_norm_fwd(t, &l->self_norm, x), m, lcm_mod_shift(LCM_SUB_SELF, M),
                        lcm_mod_scale(LCM_SUB_SELF, M));
    h = lcm_op_dropout(t, lcm_mha_single_key(t, &l->self, h), drop);
    x = lcm_op_gate(t, x, h, m, lcm_mod_gate(LCM_SUB_SELF, M));
    h = lcm_op_modulate(t, lcm_norm_fwd(t, &l->cross_norm, x), m, lcm_mod_shift(LCM_SUB_CROSS, M),
                        lcm_mod_scale(LCM_SUB_CROSS, M));
    h = lcm_op_dropout(t, lcm_mha_fwd(t, &l->cross, h, kv, spec, NULL), drop);
    x = lcm_op_gate(t, x, h, m, lcm_mod_gate(LCM_SUB_CROSS, M));
    h = lcm_op_modulate(t, lcm_norm_fwd(t, &l->ffn_norm, x), m, lcm_mod_shift(LCM_SUB_FFN, M),
                        lcm_mod_scale(LCM_SUB_FFN, M));
    h = lcm_op_dropout(t, lcm_ffn_fwd(t, &l->ffn, h), drop);
    return lcm_op_gate(t, x, h, m, lcm_mod_gate(LCM_SUB_FFN, M));
}

lcm_tensor *lcm_denoiser_fwd(lcm_tape *t, const lcm_denoiser *d, lcm_tensor *noisy, const lcm_levels *lv,
                             lcm_tensor *kv, const lcm_attn_spec *spec) {
    lcm_tensor *x = lcm_projection_fwd(t, &d->initial, noisy);
    for (int64_t i = 0; i < d->config.transformer.num_layers && x; i++)
        x = lcm_denoiser_layer_fwd(t, d, i, x, lv, kv, spec);
    if (x) x = lcm_norm_fwd(t, &d->norm, x);
    return lcm_projection_fwd(t, &d->final, lcm_op_dropout(t, x, d->config.transformer.final_dropout_p));
}
