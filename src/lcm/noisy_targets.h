/* The random part of a diffusion loss, the same for every diffusion model: which rows are predicted,
 * how noisy each of them is, and which must do without their context. */
#ifndef LCM_LCM_NOISY_TARGETS_H
#define LCM_LCM_NOISY_TARGETS_H

#include "lcm/concept_model.h"

/* One row per target concept: all concepts of the batch, or with sources those behind them. In the
 * tape's arena. */
typedef struct lcm_noisy_targets {
    int64_t R;
    const int64_t *level;   /* (R) in 0 … N-1 */
    const uint8_t *dropped; /* (R) rows without context, or NULL */
    const real *noisy;      /* (R,D) sqrt(abar) clean + sqrt(1 - abar) noise, normalised space */
    const real *target;     /* (R,D) what the network is trained towards */
    const real *w;          /* (R) weights */
} lcm_noisy_targets;

/* z (T,D): the batch's concepts, normalised. Levels, noise and dropped rows come from `draws`, or else
 * are functions of its (seed, step). LCM_ERR_ARG: no target, or a given level that the schedule does
 * not have; LCM_ERR_NOMEM. */
lcm_status lcm_noisy_targets_make(lcm_ctx *ctx, lcm_noisy_targets *out, lcm_tape *t, const lcm_model *m,
                                  const real *z, const lcm_concept_batch *b, const lcm_criterion *c,
                                  const lcm_draws *draws);

/* Its parts that know of no schedule. */
int64_t lcm_targets_count(const lcm_concept_batch *b);
/* (R,D) rows of z behind the sources; without sources z itself. */
const real *lcm_targets_rows(lcm_tape *t, const real *z, const lcm_concept_batch *b, int64_t R, int64_t D);
/* (R) rows without context, or NULL when none is to be dropped or out of memory. */
const uint8_t *lcm_targets_dropped(lcm_tape *t, const lcm_concept_batch *b, int64_t R, const lcm_criterion_config *c,
                                   const lcm_draws *draws);

#endif
