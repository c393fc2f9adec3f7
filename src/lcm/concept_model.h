/* What every concept model has in common, so that trainer, generator and files know none by name.
 *
 * A model is a struct whose first member is lcm_model, and one line of the registry
 * (lcm/registry.h) that gives its name, configuration table and functions. */
#ifndef LCM_CONCEPT_MODEL_H
#define LCM_CONCEPT_MODEL_H

#include "diffusion/schedule.h"
#include "lcm/concept_batch.h"
#include "lcm/criterion.h"
#include "nn/params.h"
#include "quant/rvq.h"
#include "sonar/normalizer.h"

typedef struct lcm_model_type lcm_model_type;

typedef struct lcm_model {
    const lcm_model_type *type;
    const void *config;             /* of type->config_fields, inside the model */
    lcm_params params;              /* what the optimiser and the checkpoint see */
    lcm_normalizer *normalizer;     /* NULL = the model works on raw SONAR vectors */
    const char *normalizer_name;    /* prefix of its tensors in a file; NULL without */
    lcm_schedule *schedule;         /* diffusion models only, else NULL */
    lcm_rvq *rvq;                   /* models that predict units only, else NULL; its codebooks are among params */
    const char *frozen;             /* name prefix of parameters that are data and never trained, or NULL */
    bool has_guidance;              /* was, or is to be, trained with context dropping */
    int64_t embed_dim, max_seq_len; /* D; concepts of the longest document */
} lcm_model;

/* The rows that every model's configuration table begins with. */
#define LCM_MODEL_SIZE_FIELDS(T)                                                         \
    LCM_F_INT(T, sonar_embed_dim, 1, 65536, "size of a concept"),                        \
        LCM_F_INT(T, max_seq_len, 1, 1048576, "concepts of the longest document"),       \
        LCM_F_INT(T, model_dim, 1, 65536, "width")

/* Sizes and normaliser of a model whose parameters are registered next; NULL: no normaliser. What was made goes
 * with lcm_model_clear, after an error, too. */
lcm_status lcm_model_begin(lcm_ctx *ctx, lcm_model *m, int64_t embed_dim, int64_t max_seq_len, const char *normalizer_name);
void lcm_model_clear(lcm_model *m); /* normaliser, schedule, parameters */
int64_t lcm_model_fixed(const lcm_model *m);      /* numbers among its parameters that are data: codebooks */
int64_t lcm_model_parameters(const lcm_model *m); /* those that training moves: all others */

/* Of a loss through the decoder, over the tokens of all sentences asked for. */
typedef struct lcm_said_sums {
    double xent;
    int64_t tokens, hits; /* hits: the right token was the most probable */
} lcm_said_sums;

/* What a loss hands out. Sums are over the counted positions. */
typedef struct lcm_model_loss {
    lcm_tensor *out;     /* (1,1): differentiate this; sum, or mean with reduction "mean" */
    double sum;          /* weighted sum of the losses per position */
    double squared;      /* sum of squared errors, without weight and root */
    double unnormalized; /* sum of losses in SONAR space, without weight; 0 unless asked for */
    int64_t n_targets;   /* counted positions: what gradients are divided by */
    const real *rows;    /* (n_rows) loss per row before weights, in the arena; uncounted rows are 0 */
    const int64_t *t;    /* (n_rows) noise levels or codebooks; NULL for models without */
    bool of_units;       /* losses are cross-entropies of units, and there are no squared errors */
    int64_t n_hits;      /* then: rows whose most probable unit was the right one */
    int64_t n_rows;
    lcm_said_sums said, said_clean; /* what the decoder made of predictions, and of the concepts themselves */
} lcm_model_loss;

/* Normalised copy of raw rows in the tape's arena; with `extra` zero rows behind. NULL when out of memory. */
real *lcm_model_normalize(lcm_tape *t, const lcm_model *m, const real *x, int64_t rows, int64_t extra);

/* Fills sum, squared, out and, when asked, unnormalized, from the prediction p (R,D) and constants
 * target (R,D) and w (R, NULL = 1); counted (R, NULL = all). NULL `out` on failure. */
void lcm_model_loss_finish(lcm_tape *t, lcm_model_loss *loss, const lcm_model *m, lcm_tensor *p,
                           const real *target, const real *w, const uint8_t *counted,
                           const lcm_criterion_config *c);

#endif
