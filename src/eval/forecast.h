/* What predicts the next concept of documents: concept models, and baselines that any model must beat.
 *
 * One row of lcm_baselines each; whoever asks (eval/next_concept.h, eval/cloze.h) knows none by name. */
#ifndef LCM_FORECAST_H
#define LCM_FORECAST_H

#include "data/store.h"
#include "lcm/predictor.h"

/* Documents, packed, in SONAR space. Asked for are the concepts from[d] … to[d]-1 of document d, each
 * predicted from all true concepts before it: 1 <= from[d] <= to[d] <= length + 1. */
typedef struct lcm_forecast_job {
    int64_t n, D;
    const real *x;      /* (off[n], D) */
    const int32_t *off; /* (n+1) */
    const int32_t *from, *to;
} lcm_forecast_job;

int64_t lcm_forecast_rows(const lcm_forecast_job *job); /* predictions asked for */

typedef struct lcm_forecaster lcm_forecaster;
struct lcm_forecaster {
    const char *name, *file;   /* file: NULL for baselines; borrowed */
    int64_t parameters, fixed; /* trained; and data beside them, such as codebooks */
    bool seeded;               /* the seed makes a difference */
    /* out (rows, D), by document and position. */
    lcm_status (*predict)(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed);
    lcm_model *model;          /* of a concept model; borrowed */
    lcm_predict_config config;
    const lcm_store *train;    /* of baselines that learn; borrowed */
    const void *self;          /* of forecasters made elsewhere; borrowed */
};

/* The forecaster of a concept model. Prediction runs through the model's own predictor, as in
 * generation, many documents side by side; noise is a function of (seed, document, position), the
 * same as in lcm_generate. LCM_ERR_LIMIT: a context longer than the model reads. */
lcm_forecaster lcm_forecast_model(const lcm_model *m, const char *file, const lcm_predict_config *config);

typedef struct lcm_baseline {
    const char *name;
    bool needs_train, needs_truth; /* a training store; that the concepts asked for are in the job */
    lcm_status (*predict)(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed);
} lcm_baseline;

/*   truth      the concept itself: what the measures give at best
 *   copy-last  the concept before
 *   mean       mean of the training store
 *   nearest    the successor of the training concept nearest to the concept before; exact, ties go to
 *              the first; the last concept of a document has no successor */
extern const lcm_baseline lcm_baselines[]; /* ends with name = NULL */

lcm_forecaster lcm_forecast_baseline(const lcm_baseline *b, const lcm_store *train);

/* lcm_concept_noise of (seed, document, index, call); user is the seed's address. */
void lcm_forecast_noise(void *seed, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call);

#endif
