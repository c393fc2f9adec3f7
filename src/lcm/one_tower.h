/* One-tower diffusion model (arXiv 2412.08821 §2.3.3): one causal Transformer that reads the clean
 * concepts of a document and turns noise into the next one. Each concept has a clean row, which later
 * rows attend to, and a noisy row, which predicts it and which nobody attends to but itself.
 * Shapes, mask, and what was chosen where the paper is silent: docs/models/one_tower.md. */
#ifndef LCM_LCM_ONE_TOWER_H
#define LCM_LCM_ONE_TOWER_H

#include "lcm/level_embed.h"
#include "lcm/noisy_targets.h"
#include "lcm/transformer.h"

typedef struct lcm_one_tower_config {
    int64_t sonar_embed_dim, max_seq_len, model_dim;
    int64_t timestep_embed_dim; /* E: concatenated to every concept */
    lcm_frontend_config frontend;
    lcm_transformer_config tower;
    lcm_projection_config postnet;
    lcm_schedule_config noise_scheduler;
    bool trained_with_cf_guidance;
} lcm_one_tower_config;

extern const lcm_field lcm_one_tower_fields[];
lcm_one_tower_config lcm_one_tower_config_default(void);

typedef struct lcm_one_tower {
    lcm_model model;
    lcm_one_tower_config config;
    lcm_level_embed embed_time;
    lcm_frontend frontend; /* (D + E) -> M */
    lcm_stack tower;
    lcm_projection postnet;
    int64_t n_levels; /* levels of rows that predict: 0 … n_levels - 1 */
} lcm_one_tower;

/* The layers of m->config with `out` values per predicting row, for models that are a one-tower network with
 * another end (lcm/quant.h). Registers parameters; the functions below then need nothing but these,
 * n_levels and model.embed_dim. The caller checked the configuration and frees with the stack's and front end's
 * own functions. */
lcm_status lcm_one_tower_register(lcm_ctx *ctx, lcm_one_tower *m, int64_t out, const char *embed_name);
void lcm_one_tower_clear(lcm_one_tower *m); /* all but m itself */

/* LCM_ERR_SHAPE, LCM_ERR_ARG name the field that does not fit. Registers parameters without memory
 * (lcm_model_create goes on); the normaliser is the identity. */
lcm_status lcm_one_tower_new(lcm_ctx *ctx, lcm_one_tower **out, const lcm_one_tower_config *config);
void lcm_one_tower_free(lcm_one_tower *m); /* NULL is allowed */

/* What the tower is told as time: clean concepts are at 0, noise level t = 0 … N-1 at t + 1. */
static inline int64_t lcm_one_tower_time(int64_t level) { return level + 1; }

/* Rows of a training pass, per document first the clean ones, then the noisy ones. The last concept's
 * clean row has no reader and is left out. */
typedef struct lcm_one_tower_rows {
    lcm_packed packed;    /* T rows: position = index of the concept, and the mask */
    int64_t R;            /* noisy rows */
    const real *x;        /* (T,D) concepts, normalised */
    const int64_t *time;  /* (T) */
    const int32_t *noisy; /* (R) row of the tower that target r has; NULL when out of memory */
} lcm_one_tower_rows;

/* z (off[n_docs], D): the batch's concepts, normalised; of the targets level, dropped, noisy and R. */
lcm_one_tower_rows lcm_one_tower_rows_make(lcm_tape *t, const lcm_concept_batch *b, const real *z, int64_t D,
                                           const lcm_noisy_targets *g);

/* x (T,D) with the time embeddings e (n,E), row time[i] of them for row i; pos (T) -> (T,M) */
lcm_tensor *lcm_one_tower_embed(lcm_tape *t, const lcm_one_tower *m, lcm_tensor *x, lcm_tensor *e,
                                const int32_t *time, const int32_t *pos);

/* network output of the noisy rows, (R, width of the postnet) */
lcm_tensor *lcm_one_tower_fwd(lcm_tape *t, const lcm_one_tower *m, const lcm_one_tower_rows *rows);

/* Counted: every target position, the first one (which sees nothing but itself) included. With sources
 * only the concepts behind them are targets; they see the whole source. */
lcm_status lcm_one_tower_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_one_tower *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);

#endif
