/* Front ends and projections. */
#include "lcm/frontend.h"

#include <stdio.h>
#include <stdlib.h>

const char *const lcm_pos_style_names[] = {"rope", "sine", "learned", "none", NULL};
const char *const lcm_init_fn_names[] = {"kaiming_uniform", "xavier", "zero", "none", NULL};

lcm_linear_init lcm_init_fn_kind(int init_fn) {
    return init_fn == LCM_INIT_FN_XAVIER ? LCM_LINEAR_XAVIER
           : init_fn == LCM_INIT_FN_ZERO ? LCM_LINEAR_ZERO
                                         : LCM_LINEAR_DEFAULT;
}

#define FRONTEND_FIELDS                                                                                      \
    LCM_F_REAL(lcm_frontend_config, dropout_p, 0, 0.9, "dropout after positions were added"),                \
        LCM_F_BOOL(lcm_frontend_config, pre_linear_bias,                                                     \
                   "bias of the map from concepts to the model's width"),                                    \
        LCM_F_ENUM(lcm_frontend_config, pre_linear_init_fn, lcm_init_fn_names,                               \
                   "initial values of that map"),                                                            \
        LCM_F_REAL(lcm_frontend_config, embedding_std, 0, 10,                                                \
                   "standard deviation of learned positions at the start")

const lcm_field lcm_frontend_fields[] = {
    FRONTEND_FIELDS,
    LCM_F_BOOL(lcm_frontend_config, scale_embeddings, "multiply concepts by sqrt(model_dim)"), LCM_F_END};
const lcm_field lcm_encoder_frontend_fields[] = {FRONTEND_FIELDS, LCM_F_END};

const lcm_field lcm_projection_fields[] = {
    LCM_F_BOOL(lcm_projection_config, linear_bias, "bias"),
    LCM_F_ENUM(lcm_projection_config, linear_init_fn, lcm_init_fn_names, "initial values"),
    LCM_F_ENUM(lcm_projection_config, activation_name, lcm_act_names, "activation after the linear map"),
    LCM_F_END};

lcm_projection_config lcm_projection_config_default(void) {
    lcm_projection_config c = {.linear_bias = true};
    return c;
}

enum { MAX_SINE_VALUES = 1 << 28 };

static lcm_status sine_table(lcm_ctx *ctx, lcm_tensor *table, int64_t n, int64_t M) {
    size_t count;
    if (!lcm_mul_size(&count, (size_t)n, (size_t)M))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "position table is too large");
    LCM_TRY(lcm_calloc(ctx, &table->x, count, sizeof(real)));
    lcm_sinusoid_table(table->x, 0, n, M);
    table->rows = n;
    table->cols = M;
    return LCM_OK;
}

lcm_status lcm_frontend_new(lcm_ctx *ctx, lcm_frontend *out, lcm_params *p, const lcm_frontend_config *c,
                            int64_t D, int64_t M, int64_t max_seq_len, lcm_pos_style pos_style,
                            const char *name) {
    lcm_frontend f = {.scale = c->scale_embeddings ? r_sqrt((real)M) : 1, .dropout_p = c->dropout_p};
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.pre_linear", name);
    f.pre = lcm_linear_new(p, D, M, c->pre_linear_bias, lcm_init_fn_kind(c->pre_linear_init_fn), sub);
    if (pos_style == LCM_POS_LEARNED)
        f.learned = lcm_params_matrix(p, max_seq_len, M, (lcm_init){LCM_INIT_NORMAL, c->embedding_std},
                                      "%s.pos_encoder.weight", name);
    if (pos_style == LCM_POS_SINE) LCM_TRY(sine_table(ctx, &f.sine, max_seq_len, M));
    *out = f;
    return p->status;
}

void lcm_frontend_free(lcm_frontend *f) { free(f->sine.x); }

lcm_tensor *lcm_frontend_fwd(lcm_tape *t, const lcm_frontend *f, lcm_tensor *z, const int32_t *pos) {
    lcm_tensor *x = lcm_linear_fwd(t, &f->pre, f->scale == 1 ? z : lcm_op_scale(t, z, f->scale));
    if (f->learned) x = lcm_op_add_rows(t, x, f->learned, pos);
    if (f->sine.x) {
        lcm_tensor *table = lcm_tensor_const(t, f->sine.x, f->sine.rows, f->sine.cols);
        x = lcm_op_add_rows(t, x, table, pos);
    }
    return lcm_op_dropout(t, x, f->dropout_p);
}

lcm_projection lcm_projection_new(lcm_params *p, const lcm_projection_config *c, int64_t in, int64_t out,
                                  const char *name) {
    lcm_projection q = {.act = (lcm_act)c->activation_name};
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.fc", name);
    q.fc = lcm_linear_new(p, in, out, c->linear_bias, lcm_init_fn_kind(c->linear_init_fn), sub);
    return q;
}

lcm_tensor *lcm_projection_fwd(lcm_tape *t, const lcm_projection *p, lcm_tensor *x) {
    return lcm_op_act(t, lcm_linear_fwd(t, &p->fc, x), p->act);
}
