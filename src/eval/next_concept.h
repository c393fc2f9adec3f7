/* Teacher-forced prediction of the next concept, measured as arXiv 2412.08821 §2.4.1 does. */
#ifndef LCM_NEXT_CONCEPT_H
#define LCM_NEXT_CONCEPT_H

#include "eval/forecast.h"
#include "eval/mutual_info.h"
#include "eval/results.h"
#include "eval/sentences.h"

typedef struct lcm_next_opts {
    int64_t batch_docs;  /* consecutive documents whose concepts are the contrastive accuracy's batch */
    int64_t round_trips; /* predictions that are decoded, evenly spread; 0 = all */
    lcm_codec *codec;    /* NULL: nothing is decoded */
    lcm_beam_opts beam;
    lcm_scorer *scorer;         /* of `mi`, with codec and texts; NULL: without */
    const lcm_sentences *texts; /* sentence i is that of concept i of the job; needed with a scorer */
} lcm_next_opts;

/* Predictions p (rows, D) of the concepts that a job asks for, all of which are in the job. */
typedef struct lcm_next_result {
    const lcm_forecast_job *job;
    const real *p;
    int64_t rows;
    const int32_t *doc, *pos; /* (rows) */
    /* the predictions that were decoded, and what they say; made by the first measure that asks */
    lcm_sentences said;
    int64_t *picked; /* (said.n) rows, ascending; NULL: not yet */
} lcm_next_result;

void lcm_next_result_free(lcm_next_result *r); /* `said` and `picked` */

/* One row per measure: out (rows), NAN where it is not defined; weights (rows) come as 1.
 *
 *   l2    ||p - x||, x the true concept
 *   l2_r  ||encode(decode(p)) - x||
 *   mi    mutual information of decode(p) and the true sentences before it (eval/mutual_info.h), weighted by its
 *         tokens
 *   ca    share of the true concepts of the batch, without x and its neighbours in the document, that
 *         are farther from p than x is. Ties within the rounding of single precision do not count
 *   par   max cos(p, x_m) / max cos(x, x_m) over the concepts x_m before x; undefined where the
 *         divisor is not positive
 *   cos   cos(p, x)
 *   ca_compat  ca as the reference code has it: the concepts of all other documents of the batch, and no others;
 *         undefined in a batch of one document */
typedef struct lcm_next_measure {
    const char *name;
    lcm_better better;
    bool needs_scorer; /* left out without one */
    lcm_status (*score)(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o);
} lcm_next_measure;

extern const lcm_next_measure lcm_next_measures[]; /* ends with name = NULL */
enum { LCM_NEXT_MEASURES = 7 };

/* Calls m->score after setting weights to 1. */
lcm_status lcm_next_score(lcm_ctx *ctx, double *out, double *weights, const lcm_next_measure *m, lcm_next_result *r,
                          const lcm_next_opts *o);

typedef struct lcm_next_scores {
    double mean[LCM_NEXT_MEASURES]; /* weighted; NAN when nothing was measured */
    int64_t n[LCM_NEXT_MEASURES];   /* predictions measured */
} lcm_next_scores;

/* Predicts with one seed and measures. LCM_ERR_NUMERIC when a prediction is not finite. */
lcm_status lcm_next_evaluate(lcm_ctx *ctx, lcm_next_scores *out, const lcm_forecaster *f, const lcm_forecast_job *job,
                             uint64_t seed, const lcm_next_opts *opts);

#endif
