/* The causal Transformer decoder of Base-LCM and of the two-tower contextualiser.
 *
 * Source: reference code of arXiv 2412.08821; names of fields and parameters are its own. Norms add
 * 1e-5 inside the root. Layer, by norm_order_style (r = residual_scale or 1):
 *
 *   pre         h = x + Drop(A(N1(x)));           y = r h + Drop(F(N2(h)))
 *   post        h = N1(x + Drop(A(x)));           y = N2(r h + Drop(F(h)))
 *   normformer  h = x + Drop(N3(A(N1(x))));       y = r h + Drop(F'(N2(h)))
 *
 * F' has a standard norm after the activation (plain FFN only). The stack ends in a norm unless the
 * final order is "post"; final dropout follows it. */
#ifndef LCM_LCM_TRANSFORMER_H
#define LCM_LCM_TRANSFORMER_H

#include "lcm/concept_batch.h"
#include "lcm/frontend.h"

typedef enum lcm_norm_order { LCM_ORDER_PRE = 0, LCM_ORDER_POST, LCM_ORDER_NORMFORMER } lcm_norm_order;
/* The final order has one more value: as the layers. */
enum { LCM_ORDER_FINAL_SAME = 0, LCM_ORDER_FINAL_PRE, LCM_ORDER_FINAL_POST, LCM_ORDER_FINAL_NORMFORMER };

typedef struct lcm_transformer_config {
    int64_t num_layers, num_attn_heads;
    double dropout_p, final_dropout_p, attention_dropout_p;
    int64_t ffn_inner_dim; /* SwiGLU: inner width is 256 ceil(int(2/3 of it) / 256) */
    bool use_swiglu;
    int ffn_inner_activation_name; /* lcm_act; plain FFN only */
    int pos_embedding_style;       /* lcm_pos_style */
    double rope_theta;
    int layer_normalization_style; /* lcm_norm_style */
    int norm_order_style;          /* lcm_norm_order */
    int final_norm_order_style;    /* LCM_ORDER_FINAL_… */
    bool enable_qk_layernorm, mha_output_proj_bias;
    double scale_residual; /* initial value of residual_scale; 0 = no such parameter */
    int attention_output_init_fn;
} lcm_transformer_config;

/* Rows of a field table, for structs whose first member is a lcm_transformer_config. */
#define LCM_TRANSFORMER_FIELDS                                                                               \
    LCM_F_INT(lcm_transformer_config, num_layers, 1, 1024, "layers"),                                        \
        LCM_F_INT(lcm_transformer_config, num_attn_heads, 1, 1024, "attention heads"),                       \
        LCM_F_REAL(lcm_transformer_config, dropout_p, 0, 0.9, "dropout after attention and feed-forward"),   \
        LCM_F_REAL(lcm_transformer_config, final_dropout_p, 0, 0.9, "dropout after the final norm"),         \
        LCM_F_REAL(lcm_transformer_config, attention_dropout_p, 0, 0,                                        \
                   "dropout of attention weights: not implemented, 0"),                                      \
        LCM_F_INT(lcm_transformer_config, ffn_inner_dim, 1, 1048576,                                         \
                  "feed-forward width, before the SwiGLU rule"),                                             \
        LCM_F_BOOL(lcm_transformer_config, use_swiglu, "SwiGLU feed-forward"),                               \
        LCM_F_ENUM(lcm_transformer_config, ffn_inner_activation_name, lcm_act_names,                         \
                   "activation of the plain feed-forward"),                                                  \
        LCM_F_ENUM(lcm_transformer_config, pos_embedding_style, lcm_pos_style_names, "positions"),           \
        LCM_F_REAL(lcm_transformer_config, rope_theta, 1, 1e9, "base of the rotary angles"),                 \
        LCM_F_ENUM(lcm_transformer_config, layer_normalization_style, lcm_norm_style_names, "kind of norm"), \
        LCM_F_ENUM(lcm_transformer_config, norm_order_style, lcm_norm_order_names, "where the norms stand"), \
        LCM_F_ENUM(lcm_transformer_config, final_norm_order_style, lcm_final_order_names,                    \
                   "\"post\" leaves the final norm out"),                                                    \
        LCM_F_BOOL(lcm_transformer_config, enable_qk_layernorm,                                              \
                   "norm of queries and keys, before heads and rotation"),                                   \
        LCM_F_BOOL(lcm_transformer_config, mha_output_proj_bias, "bias of the attention output"),            \
        LCM_F_REAL(lcm_transformer_config, scale_residual, 0, 100, "initial residual_scale, 0 = none"),      \
        LCM_F_ENUM(lcm_transformer_config, attention_output_init_fn, lcm_init_fn_names,                      \
                   "initial values of the attention output")

extern const char *const lcm_norm_order_names[];  /* pre, post, normformer */
extern const char *const lcm_final_order_names[]; /* same, pre, post, normformer */
extern const lcm_field lcm_transformer_fields[];
lcm_transformer_config lcm_transformer_config_default(void); /* the reference's */
/* `where` is the path of the struct, for the message. LCM_ERR_SHAPE. */
lcm_status lcm_transformer_config_check(lcm_ctx *ctx, const lcm_transformer_config *c, int64_t model_dim,
                                        const char *where);
int64_t lcm_transformer_ffn_inner(const lcm_transformer_config *c);

typedef struct lcm_block {
    lcm_norm attn_norm, attn_out_norm, ffn_norm; /* attn_out_norm: normformer */
    lcm_mha attn;
    lcm_ffn ffn;
    lcm_tensor *residual_scale; /* (1,M) or NULL */
} lcm_block;

typedef struct lcm_stack {
    lcm_transformer_config config;
    int64_t M;
    lcm_block *blocks;
    lcm_norm norm;
    bool has_norm;
} lcm_stack;

/* NAME.layers.{i}…, NAME.layer_norm. The configuration was checked. */
lcm_status lcm_stack_new(lcm_ctx *ctx, lcm_stack *out, lcm_params *p, const lcm_transformer_config *c,
                         int64_t M, const char *name);
void lcm_stack_free(lcm_stack *s);

/* (T,M) -> (T,M) over packed documents. */
lcm_tensor *lcm_stack_fwd(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, const lcm_packed *p);

/* The same with another way to attend: `attend` maps the input of layer i's attention to its
 * output, after the output projection. Full and incremental passes differ in nothing else. */
typedef lcm_tensor *(*lcm_attend_fn)(lcm_tape *t, void *user, int64_t layer, const lcm_mha *m, lcm_tensor *h);
lcm_tensor *lcm_stack_run(lcm_tape *t, const lcm_stack *s, lcm_tensor *x, lcm_attend_fn attend, void *user);

#endif
