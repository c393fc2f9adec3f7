/* What stands before and after a Transformer: the map from concepts to the model's width, with
 * positions, and the map back. The (de)normalisation of concepts is not part of either: the losses
 * and the generators do it, as in the reference code (and unlike figure 4 of arXiv 2412.08821). */
#ifndef LCM_LCM_FRONTEND_H
#define LCM_LCM_FRONTEND_H

#include "base/config.h"
#include "nn/layers.h"

typedef enum lcm_pos_style { LCM_POS_ROPE = 0, LCM_POS_SINE, LCM_POS_LEARNED, LCM_POS_NONE } lcm_pos_style;
extern const char *const lcm_pos_style_names[]; /* rope, sine, learned, none */

/* Initialisers that a configuration can name. "kaiming_uniform" and "none" are both the default of
 * a linear layer, U(+-1/sqrt(fan_in)). */
extern const char *const lcm_init_fn_names[]; /* kaiming_uniform, xavier, zero, none */
enum { LCM_INIT_FN_KAIMING = 0, LCM_INIT_FN_XAVIER, LCM_INIT_FN_ZERO, LCM_INIT_FN_NONE };
lcm_linear_init lcm_init_fn_kind(int init_fn);

typedef struct lcm_frontend_config {
    double dropout_p;
    bool pre_linear_bias;
    int pre_linear_init_fn;
    bool scale_embeddings; /* input times sqrt(model_dim); Base-LCM only */
    double embedding_std;  /* of learned positions */
} lcm_frontend_config;

extern const lcm_field lcm_frontend_fields[];         /* Base-LCM */
extern const lcm_field lcm_encoder_frontend_fields[]; /* the same without scale_embeddings */

typedef struct lcm_frontend {
    lcm_linear pre;
    lcm_tensor *learned; /* (max_seq_len, M) or NULL */
    lcm_tensor sine;     /* constant (max_seq_len, M); x NULL when not used */
    real scale;
    double dropout_p;
} lcm_frontend;

/* NAME.pre_linear, NAME.pos_encoder.weight (learned). pos_style rope needs nothing here. The sine
 * table is on the heap, see lcm_frontend_free. */
lcm_status lcm_frontend_new(lcm_ctx *ctx, lcm_frontend *out, lcm_params *p, const lcm_frontend_config *c,
                            int64_t D, int64_t M, int64_t max_seq_len, lcm_pos_style pos_style,
                            const char *name);
void lcm_frontend_free(lcm_frontend *f);

/* normalised concepts (T, D), positions (T) -> (T, M) */
lcm_tensor *lcm_frontend_fwd(lcm_tape *t, const lcm_frontend *f, lcm_tensor *z, const int32_t *pos);

typedef struct lcm_projection_config {
    bool linear_bias;
    int linear_init_fn;
    int activation_name; /* lcm_act, after the linear map */
} lcm_projection_config;

extern const lcm_field lcm_projection_fields[];
lcm_projection_config lcm_projection_config_default(void);

typedef struct lcm_projection {
    lcm_linear fc;
    lcm_act act;
} lcm_projection;

lcm_projection lcm_projection_new(lcm_params *p, const lcm_projection_config *c, int64_t in, int64_t out,
                                  const char *name);
lcm_tensor *lcm_projection_fwd(lcm_tape *t, const lcm_projection *p, lcm_tensor *x);

#endif
