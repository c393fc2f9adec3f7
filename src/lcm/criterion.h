/* How a concept model is trained: options of the loss, and its random draws. */
#ifndef LCM_LCM_CRITERION_H
#define LCM_LCM_CRITERION_H

#include "diffusion/step_sampler.h"
#include "lcm/decoder_loss.h"
#include "lcm/fragility_weight.h"

typedef enum lcm_reduction { LCM_REDUCE_SUM = 0, LCM_REDUCE_MEAN } lcm_reduction;

/* cf_guidance_probability: share of target rows whose context is hidden, so that the model also
 * learns the unconditional distribution.
 * Default: every row of every document is dropped independently with this probability.
 * compat_guidance_rows: as the reference code, floor((S-1) p) rows of 1 … S-1, S the longest target
 * of the batch, one draw for the whole batch (per document when there are sources). Documents of
 * up to 7 concepts are then never trained unconditionally at p = .15, nor is any first row. */
typedef struct lcm_criterion_config {
    int reduction;            /* lcm_reduction */
    bool compute_rmse;        /* root of the squared error (+ 1e-5) per position */
    bool log_unnormalized;    /* also measure the loss in SONAR space */
    int64_t min_context_size; /* Base-LCM: first counted position without sources */
    double cf_guidance_probability;
    bool compat_guidance_rows;
    lcm_step_sampler_config step_sampling;
    lcm_fragility_weight fragility; /* of concepts; who feeds batches computes the weights */
    lcm_decoder_loss_config decoder;
} lcm_criterion_config;

extern const lcm_field lcm_criterion_fields[];
/* Sum of squared errors, uniform unweighted levels, no dropping: the recipes of the reference but
 * for cf_guidance_probability, which is .15 there. */
lcm_criterion_config lcm_criterion_config_default(void);

typedef struct lcm_criterion {
    lcm_criterion_config config;
    lcm_step_sampler *steps; /* models with a schedule */
    const struct lcm_sonar *decoder; /* frozen, borrowed; set by the owner when the decoder loss has a weight */
    int32_t lang;                    /* its language token, -1 for none */
} lcm_criterion;

struct lcm_model;
/* LCM_ERR_ARG: cf_guidance_probability > 0 for a diffusion or quant model that is not trained_with_cf_guidance,
 * or 0 for one that is: such a file would promise what its weights never learned. A decoder loss for a model that
 * does not predict a concept in one piece, or whose normaliser is more than a shift and a scale. */
lcm_status lcm_criterion_new(lcm_ctx *ctx, lcm_criterion **out, const struct lcm_model *m,
                             const lcm_criterion_config *c);
void lcm_criterion_free(lcm_criterion *c); /* NULL is allowed */

/* Random numbers of one loss: a function of (seed, step) unless given. Target rows are counted over
 * the packed batch: all concepts, or with sources the concepts behind them. */
typedef struct lcm_draws {
    uint64_t seed, step;
    const int64_t *t;       /* (R) noise levels, or NULL */
    const real *noise;      /* (R, D) standard normal, or NULL */
    const uint8_t *dropped; /* (R) rows without context, or NULL */
} lcm_draws;

#endif
