/* Layers. */
#include "nn/layers.h"

#include <math.h>
#include <stdio.h>

const char *const lcm_norm_style_names[] = {"standard", "rms", "fp32", "unit", NULL};

lcm_linear lcm_linear_new(lcm_params *p, int64_t in, int64_t out, bool bias, lcm_linear_init kind, const char *name) {
    double fan = 1 / sqrt((double)in), xavier = sqrt(6.0 / (double)(in + out));
    lcm_init w = {LCM_INIT_UNIFORM, fan}, b = {LCM_INIT_ZERO, 0};
    lcm_linear l = {NULL, NULL};
    switch (kind) {
    case LCM_LINEAR_DEFAULT: b = w; break;
    case LCM_LINEAR_XAVIER: w.arg = xavier; break;
    case LCM_LINEAR_XAVIER_QKV: w.arg = xavier * sqrt(0.5); break;
    case LCM_LINEAR_ZERO: w = b; break;
    case LCM_LINEAR_NORMAL_02: w = (lcm_init){LCM_INIT_NORMAL, 0.02}; break;
    }
    l.w = lcm_params_matrix(p, out, in, w, "%s.weight", name);
    if (bias) l.b = lcm_params_vector(p, out, b, "%s.bias", name);
    return l;
}

lcm_tensor *lcm_linear_fwd(lcm_tape *t, const lcm_linear *l, lcm_tensor *x) { return lcm_op_linear(t, x, l->w, l->b); }

lcm_norm lcm_norm_new(lcm_params *p, int64_t dim, lcm_norm_style style, const char *name) {
    lcm_norm n = {NULL, NULL, style == LCM_NORM_RMS};
    if (style != LCM_NORM_UNIT) n.w = lcm_params_vector(p, dim, (lcm_init){LCM_INIT_ONE, 0}, "%s.weight", name);
    if (style == LCM_NORM_STANDARD) n.b = lcm_params_vector(p, dim, (lcm_init){LCM_INIT_ZERO, 0}, "%s.bias", name);
    return n;
}

lcm_tensor *lcm_norm_fwd(lcm_tape *t, const lcm_norm *n, lcm_tensor *x) { return lcm_op_norm(t, x, n->w, n->b, n->rms); }

lcm_mha lcm_mha_new(lcm_params *p, const lcm_mha_opts *o, const char *name) {
    lcm_mha m = {.H = o->H, .has_qk_norm = o->qk_norm};
    int64_t kv = o->dim_kv ? o->dim_kv : o->dim_q;
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.q_proj", name);
    m.q = lcm_linear_new(p, o->dim_q, o->dim_q, true, LCM_LINEAR_XAVIER_QKV, sub);
    snprintf(sub, sizeof sub, "%s.k_proj", name);
    m.k = lcm_linear_new(p, kv, o->dim_q, true, LCM_LINEAR_XAVIER_QKV, sub);
    snprintf(sub, sizeof sub, "%s.v_proj", name);
    m.v = lcm_linear_new(p, kv, o->dim_q, true, LCM_LINEAR_XAVIER_QKV, sub);
    snprintf(sub, sizeof sub, "%s.output_proj", name);
    m.o = lcm_linear_new(p, o->dim_q, o->dim_q, o->output_bias, o->output_init, sub);
    if (o->qk_norm) {
        snprintf(sub, sizeof sub, "%s.q_layer_norm", name);
        m.q_norm = lcm_norm_new(p, o->dim_q, o->norm, sub);
        snprintf(sub, sizeof sub, "%s.k_layer_norm", name);
        m.k_norm = lcm_norm_new(p, o->dim_q, o->norm, sub);
    }
    return m;
}

lcm_tensor *lcm_mha_fwd(lcm_tape *t, const lcm_mha *m, lcm_tensor *xq, lcm_tensor *xkv, const lcm_attn_spec *s,
                        const lcm_rope_spec *rope) {
    lcm_tensor *q = lcm_linear_fwd(t, &m->q, xq), *k = lcm_linear_fwd(t, &m->k, xkv), *v = lcm_linear_fwd(t, &m->v, xkv);
    if (m->has_qk_norm && q && k) {
        q = lcm_norm_fwd(t, &m->q_norm, q);
        k = lcm_norm_fwd(t, &m->k_norm, k);
    }
    if (rope) {
        q = lcm_op_rope(t, q, rope->pos_q, m->H, rope->theta);
        k = lcm_op_rope(t, k, rope->pos_k, m->H, rope->theta);
    }
    return lcm_linear_fwd(t, &m->o, lcm_op_attention(t, q, k, v, s));
}

lcm_tensor *lcm_mha_single_key(lcm_tape *t, const lcm_mha *m, lcm_tensor *x) {
    return lcm_linear_fwd(t, &m->o, lcm_linear_fwd(t, &m->v, x));
}

lcm_ffn lcm_ffn_new(lcm_params *p, int64_t dim, int64_t inner, lcm_act act, bool swiglu, bool inner_norm, const char *name) {
    lcm_ffn f = {.act = act, .swiglu = swiglu, .has_inner_norm = inner_norm};
    char sub[LCM_PARAM_NAME];
    if (swiglu) {
        snprintf(sub, sizeof sub, "%s.gate_proj", name);
        f.gate = lcm_linear_new(p, dim, inner, true, LCM_LINEAR_DEFAULT, sub);
    }
    snprintf(sub, sizeof sub, "%s.inner_proj", name);
    f.inner = lcm_linear_new(p, dim, inner, true, LCM_LINEAR_DEFAULT, sub);
    if (inner_norm) {
        snprintf(sub, sizeof sub, "%s.inner_layer_norm", name);
        f.inner_norm = lcm_norm_new(p, inner, LCM_NORM_STANDARD, sub);
    }
    snprintf(sub, sizeof sub, "%s.output_proj", name);
    f.out = lcm_linear_new(p, inner, dim, true, LCM_LINEAR_DEFAULT, sub);
    return f;
}

lcm_tensor *lcm_ffn_fwd(lcm_tape *t, const lcm_ffn *f, lcm_tensor *x) {
    lcm_tensor *h = lcm_linear_fwd(t, &f->inner, x);
    if (f->swiglu) h = lcm_op_mul(t, lcm_op_act(t, lcm_linear_fwd(t, &f->gate, x), LCM_ACT_SILU), h);
    else h = lcm_op_act(t, h, f->act);
    if (f->has_inner_norm && h) h = lcm_norm_fwd(t, &f->inner_norm, h);
    return lcm_linear_fwd(t, &f->out, h);
}

int64_t lcm_swiglu_inner(int64_t ffn_inner_dim) {
    int64_t n = (int64_t)((double)ffn_inner_dim * 2 / 3);
    return (n + 255) / 256 * 256;
}

void lcm_sinusoid_table(real *dst, int64_t first, int64_t n, int64_t C) {
    int64_t half = C / 2;
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)(first + r) * exp(-(double)i * log(10000.0) / (double)(half - 1));
            dst[r * C + i] = (real)sin(angle);
            dst[r * C + half + i] = (real)cos(angle);
        }
}
