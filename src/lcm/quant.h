/* Quant-LCM (arXiv 2412.08821 §2.3.5): the next concept as a sum of centroids, one codebook after the other.
 *
 * The one-tower network (lcm/one_tower.h) with another input and another end: what was a noisy concept is
 * s_k, the sum of the centroids chosen from the first k codebooks, and what was a noise level is k.
 *
 *   quant_d   predicts unit u_k by softmax over the units
 *   quant_c   predicts the concept itself; its units are drawn by their distance to what s_k still lacks
 *
 * The codebooks are part of the model and its file, as tensors quantizer.codebooks.{k}, and never trained.
 * Formulas, and what was chosen where the paper is silent: docs/models/quant.md. */
#ifndef LCM_LCM_QUANT_H
#define LCM_LCM_QUANT_H

#include "lcm/one_tower.h"

typedef struct lcm_quant_config {
    int64_t sonar_embed_dim, max_seq_len, model_dim;
    int64_t codebooks, units;       /* K, U */
    int64_t codebook_embed_dim;     /* E: of the codebook's index, concatenated to every row */
    lcm_frontend_config frontend;
    lcm_transformer_config tower;
    lcm_projection_config postnet;
    bool trained_with_cf_guidance;
} lcm_quant_config;

typedef struct lcm_quant {
    union {
        lcm_model model;
        lcm_one_tower net; /* predicting rows: (R,D) of quant_c, (R,M) of quant_d */
    };
    lcm_quant_config config;
    lcm_rvq rvq;
    lcm_tensor *units; /* (U,M) of quant_d: logits are its rows times the network's output; else NULL */
} lcm_quant;

/* LCM_ERR_SHAPE names the sizes that do not fit. Registers parameters without memory; codebooks are zero and the
 * normaliser is the identity until a codebook file or a model file fills them. */
lcm_status lcm_quant_new(lcm_ctx *ctx, lcm_quant **out, const lcm_quant_config *config, bool discrete);
void lcm_quant_free(lcm_quant *m); /* NULL is allowed */

/* Rows of a training pass: for target r the codebook level[r], the sum of the centroids before it, and the unit
 * that quantises what is left. */
typedef struct lcm_quant_targets {
    lcm_noisy_targets g; /* level = codebook, noisy = s_k, target = the concept, w = the concepts' weights */
    const int32_t *unit; /* (R) */
} lcm_quant_targets;

/* z (T,D): the batch's concepts, normalised. Codebooks come from draws->t, or else are a function of its (seed,
 * step), uniform. LCM_ERR_ARG: no target, or a codebook that there is not; LCM_ERR_NOMEM. */
lcm_status lcm_quant_targets_make(lcm_ctx *ctx, lcm_quant_targets *out, lcm_tape *t, const lcm_quant *m, const real *z,
                                  const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);

/* Counted: every target position, as of the one-tower model. */
lcm_status lcm_quant_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_quant *m, const lcm_concept_batch *b,
                          const lcm_criterion *c, const lcm_draws *draws);

/* logit (n,U): scores of the units of a codebook, whose softmax over temperature is what units are drawn from. out
 * (n, width) of the network and sum (n,D) = s_k. quant_d: out E^T; quant_c: -|c - (out - s_k)|. */
void lcm_quant_logits(real *logit, const lcm_quant *m, int64_t codebook, const real *out, const real *sum, int64_t n);

/* The registry's two names for one model. */
typedef lcm_quant lcm_quant_c, lcm_quant_d;
typedef lcm_quant_config lcm_quant_c_config, lcm_quant_d_config;
extern const lcm_field lcm_quant_fields[];
lcm_quant_config lcm_quant_config_default(void); /* 64 codebooks of 8192 units */
#define lcm_quant_c_fields lcm_quant_fields
#define lcm_quant_d_fields lcm_quant_fields
#define lcm_quant_c_config_default lcm_quant_config_default
#define lcm_quant_d_config_default lcm_quant_config_default
#define lcm_quant_c_new(ctx, out, c) lcm_quant_new(ctx, out, c, false)
#define lcm_quant_d_new(ctx, out, c) lcm_quant_new(ctx, out, c, true)
#define lcm_quant_c_free lcm_quant_free
#define lcm_quant_d_free lcm_quant_free
#define lcm_quant_c_loss lcm_quant_loss
#define lcm_quant_d_loss lcm_quant_loss
#define lcm_quant_c_predictor_new lcm_quant_predictor_new
#define lcm_quant_d_predictor_new lcm_quant_predictor_new

#endif
