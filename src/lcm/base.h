/* Base-LCM (arXiv 2412.08821 §2.3.1): a causal Transformer that predicts the next concept by squared
 * error. concepts -> normalise -> front end -> stack -> postnet -> denormalise. docs/models/base.md */
#ifndef LCM_LCM_BASE_H
#define LCM_LCM_BASE_H

#include "lcm/concept_model.h"
#include "lcm/transformer.h"

typedef struct lcm_base_config {
    int64_t sonar_embed_dim, max_seq_len, model_dim;
    bool sonar_normalizer; /* the model works on normalised concepts */
    lcm_frontend_config frontend;
    lcm_transformer_config lcm;
    lcm_projection_config postnet;
} lcm_base_config;

extern const lcm_field lcm_base_fields[];
lcm_base_config lcm_base_config_default(void);

typedef struct lcm_base {
    lcm_model model;
    lcm_base_config config;
    lcm_frontend frontend;
    lcm_stack stack;
    lcm_projection postnet;
} lcm_base;

/* LCM_ERR_SHAPE names the sizes that do not fit. Registers parameters without memory
 * (lcm_model_create goes on); the normaliser is the identity. */
lcm_status lcm_base_new(lcm_ctx *ctx, lcm_base **out, const lcm_base_config *config);
void lcm_base_free(lcm_base *m); /* NULL is allowed */

/* normalised concepts (T,D), packed -> predictions (T,D): row i is the concept after row i */
lcm_tensor *lcm_base_fwd(lcm_tape *t, const lcm_base *m, lcm_tensor *z, const lcm_packed *p);

/* Counted: positions k >= min_context_size of every document, or with sources those behind the
 * source (k >= 1 in any case: nothing predicts the first concept). `draws` is not used.
 * LCM_ERR_ARG when a batch has no counted position. */
lcm_status lcm_base_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_base *m,
                         const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);

#endif
