/* Two-tower diffusion model (arXiv 2412.08821 §2.3.4): a causal contextualiser reads the clean
 * concepts once, a denoiser turns noise into the next concept and looks at the context by
 * cross-attention. Shapes, formulas and deviations: docs/models/two_tower.md. */
#ifndef LCM_LCM_TWO_TOWER_H
#define LCM_LCM_TWO_TOWER_H

#include "lcm/concept_model.h"
#include "lcm/denoiser.h"

typedef struct lcm_two_tower_config {
    int64_t sonar_embed_dim, max_seq_len, model_dim;
    lcm_frontend_config frontend;
    lcm_transformer_config context_encoder;
    lcm_schedule_config noise_scheduler;
    lcm_denoiser_config denoiser;
    bool trained_with_cf_guidance;
} lcm_two_tower_config;

extern const lcm_field lcm_two_tower_fields[];
lcm_two_tower_config lcm_two_tower_config_default(void);

typedef struct lcm_two_tower {
    lcm_model model;
    lcm_two_tower_config config;
    lcm_frontend frontend;
    lcm_stack context;
    lcm_denoiser denoiser;
} lcm_two_tower;

/* LCM_ERR_SHAPE, LCM_ERR_ARG, LCM_ERR_UNSUPPORTED name the field that does not fit. Registers
 * parameters without memory (lcm_model_create goes on); the normaliser is the identity. */
lcm_status lcm_two_tower_new(lcm_ctx *ctx, lcm_two_tower **out, const lcm_two_tower_config *config);
void lcm_two_tower_free(lcm_two_tower *m); /* NULL is allowed */

/* normalised concepts (T,D), packed -> context (T,M), after the final norm */
lcm_tensor *lcm_two_tower_encode(lcm_tape *t, const lcm_two_tower *m, lcm_tensor *z, const lcm_packed *p);

/* Which context each target row sees. Keys of document d: the zero vector, then its concepts. */
typedef struct lcm_two_tower_mask {
    int64_t n_docs, R, n_keys;    /* documents, target rows, keys in all */
    const int32_t *q_off, *k_off; /* (n_docs+1) */
    const int32_t *limit;         /* (R) keys seen; 1 = the zero vector only */
    const int32_t *kv_row;        /* (T + n_docs) rows of the context, -1 = the zero vector */
} lcm_two_tower_mask;

/* source_len as in the batch; dropped (R) or NULL. limit is NULL when out of memory. */
lcm_two_tower_mask lcm_two_tower_mask_make(lcm_tape *t, const lcm_concept_batch *b, const uint8_t *dropped);

/* noisy (R,D) at levels t (R), context (T,M) -> network output (R,D) */
lcm_tensor *lcm_two_tower_denoise(lcm_tape *t, const lcm_two_tower *m, lcm_tensor *noisy,
                                  const int64_t *level, lcm_tensor *context, const lcm_two_tower_mask *mask);

/* Counted: every target position, the first one (which sees the zero vector only) included.
 * With sources only the concepts behind them are targets; they see the whole source. */
lcm_status lcm_two_tower_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_two_tower *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);

#endif
