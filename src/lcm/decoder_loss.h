/* Cross-entropy of the true sentence under the frozen decoder, given the predicted concept: what SONAR-LLM
 * (arXiv 2508.05305) trains its model with, here a term beside the squared error. A mean of two sentences is near to both
 * and says neither; the decoder knows that.
 *
 *     loss of a row + weight * sum over the tokens of its sentence of -log p(token | tokens before, predicted concept)
 *
 * For a diffusion model the predicted concept is its x0 at whatever level the row has. The term has the row's weight. */
#ifndef LCM_LCM_DECODER_LOSS_H
#define LCM_LCM_DECODER_LOSS_H

#include "base/config.h"
#include "core/tape.h"
#include "sonar/batch.h"

typedef struct lcm_decoder_loss_config {
    double weight; /* 0: off */
    double share;  /* of the rows, drawn anew in each step and weighed so much more: each costs a pass of the decoder */
    double clean;  /* share of the rows that are said from their own concept as well: for a decoder that is trained itself */
} lcm_decoder_loss_config;

extern const lcm_field lcm_decoder_loss_fields[];

struct lcm_model;
struct lcm_model_loss;
struct lcm_criterion;
struct lcm_concept_batch;
struct lcm_draws;

/* LCM_ERR_ARG: `m` does not predict concepts, or has a normaliser with FFT or clipping. */
lcm_status lcm_decoder_loss_check(lcm_ctx *ctx, const struct lcm_model *m);

/* (R) sentences of the target rows, those behind the sources, as lcm_targets_rows; NULL if the batch has none. */
const lcm_pieces *lcm_targets_text(lcm_tape *t, const struct lcm_concept_batch *b, int64_t R);

/* Adds the term to `loss`, which lcm_model_loss_finish has filled. p (R,D) normalised predictions, target (R,D) what
 * they should be, text (R) their sentences, w (R) weights, NULL = 1. Nothing happens without a weight, text or decoder. LCM_ERR_SHAPE: a decoder that reads
 * vectors of another size; LCM_ERR_LIMIT: a sentence beyond its window. */
lcm_status lcm_decoder_loss_add(lcm_ctx *ctx, struct lcm_model_loss *loss, lcm_tape *t, const struct lcm_model *m, lcm_tensor *p,
                                const real *target, const lcm_pieces *text, const real *w, const struct lcm_criterion *c, const struct lcm_draws *draws);

#endif
