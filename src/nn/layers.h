/* Layers: structs of parameter handles and a forward function on tensors.
 *
 * Names and initial values follow the reference: linear U(+-1/sqrt(fan_in)) for weight and bias
 * unless stated; attention q, k, v Xavier uniform with gain 2^-1/2 and output Xavier, biases 0. */
#ifndef LCM_LAYERS_H
#define LCM_LAYERS_H

#include "core/ops.h"
#include "nn/params.h"

typedef struct lcm_linear {
    lcm_tensor *w, *b; /* (out, in), (1, out) or NULL */
} lcm_linear;

typedef enum lcm_linear_init {
    LCM_LINEAR_DEFAULT = 0, /* U(+-1/sqrt(in)), weight and bias */
    LCM_LINEAR_XAVIER,      /* U(+-sqrt(6/(in+out))), bias 0 */
    LCM_LINEAR_XAVIER_QKV,  /* the same times sqrt(1/2) */
    LCM_LINEAR_ZERO,        /* weight and bias 0 */
    LCM_LINEAR_NORMAL_02    /* N(0, 0.02), bias 0 */
} lcm_linear_init;

/* Registers NAME.weight and, with bias, NAME.bias. */
lcm_linear lcm_linear_new(lcm_params *p, int64_t in, int64_t out, bool bias, lcm_linear_init init, const char *name);
lcm_tensor *lcm_linear_fwd(lcm_tape *t, const lcm_linear *l, lcm_tensor *x);

typedef enum lcm_norm_style { LCM_NORM_STANDARD = 0, LCM_NORM_RMS, LCM_NORM_NOBIAS /* "fp32" */, LCM_NORM_UNIT } lcm_norm_style;
extern const char *const lcm_norm_style_names[]; /* standard, rms, fp32, unit */

typedef struct lcm_norm {
    lcm_tensor *w, *b;
    bool rms;
} lcm_norm;

lcm_norm lcm_norm_new(lcm_params *p, int64_t dim, lcm_norm_style style, const char *name);
lcm_tensor *lcm_norm_fwd(lcm_tape *t, const lcm_norm *n, lcm_tensor *x);

typedef struct lcm_mha {
    lcm_linear q, k, v, o;
    lcm_norm q_norm, k_norm; /* over the full width, before heads and rotation */
    bool has_qk_norm;
    int64_t H;
} lcm_mha;

typedef struct lcm_mha_opts {
    int64_t H, dim_q, dim_kv; /* dim_kv 0 = dim_q */
    bool output_bias, qk_norm;
    lcm_norm_style norm;
    lcm_linear_init output_init;
} lcm_mha_opts;

/* NAME.{q,k,v,output}_proj, NAME.{q,k}_layer_norm */
lcm_mha lcm_mha_new(lcm_params *p, const lcm_mha_opts *o, const char *name);

typedef struct lcm_rope_spec {
    const int32_t *pos_q, *pos_k; /* NULL spec = no rotation */
    double theta;
} lcm_rope_spec;

/* xq (Tq, dim_q), xkv (Tk, dim_kv) -> (Tq, dim_q) */
lcm_tensor *lcm_mha_fwd(lcm_tape *t, const lcm_mha *m, lcm_tensor *xq, lcm_tensor *xkv, const lcm_attn_spec *s,
                        const lcm_rope_spec *rope);

/* One key per query: softmax over it is 1, so attention is output_proj(v_proj(x)). */
lcm_tensor *lcm_mha_single_key(lcm_tape *t, const lcm_mha *m, lcm_tensor *x);

typedef struct lcm_ffn {
    lcm_linear gate, inner, out; /* gate only for SwiGLU */
    lcm_norm inner_norm;         /* normformer only */
    lcm_act act;
    bool swiglu, has_inner_norm;
} lcm_ffn;

/* SwiGLU: out(silu(gate(x)) * inner(x)); plain: out(act(inner(x))). Biases everywhere.
 * NAME.{gate,inner,output}_proj, NAME.inner_layer_norm */
lcm_ffn lcm_ffn_new(lcm_params *p, int64_t dim, int64_t inner, lcm_act act, bool swiglu, bool inner_norm, const char *name);
lcm_tensor *lcm_ffn_fwd(lcm_tape *t, const lcm_ffn *f, lcm_tensor *x);

/* Inner width of the reference's SwiGLU: 256 ceil(int(2 inner / 3) / 256). */
int64_t lcm_swiglu_inner(int64_t ffn_inner_dim);

/* Sinusoidal table (n, C), first row = position `first`: sines then cosines, frequencies
 * exp(-i ln(10000)/(C/2-1)). C even and >= 4. dst: n*C values. */
void lcm_sinusoid_table(real *dst, int64_t first, int64_t n, int64_t C);

#endif
