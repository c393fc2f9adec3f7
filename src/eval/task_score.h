/* Scores of one system on one task, document by document, into a row of results (eval/results.h). */
#ifndef LCM_EVAL_TASK_SCORE_H
#define LCM_EVAL_TASK_SCORE_H

#include "eval/fluency.h"
#include "eval/mutual_info.h"
#include "eval/next_concept.h"
#include "eval/task_data.h"
#include "lcm/coherence.h"

/* What a system wrote, beside what it was given and what truly follows: documents by the same number. */
typedef struct lcm_written {
    const lcm_sentences *given, *reference, *text;
    lcm_codec *codec;               /* of `coherence`; NULL without */
    const lcm_coherence *coherence; /* or NULL */
    const lcm_fluency *fluency;     /* or NULL */
    lcm_scorer *scorer;             /* or NULL */
} lcm_written;

typedef enum lcm_needs { LCM_NEEDS_NOTHING = 0, LCM_NEEDS_COHERENCE = 1, LCM_NEEDS_FLUENCY = 2, LCM_NEEDS_SCORER = 4 } lcm_needs;

/* One measure of written text. */
typedef struct lcm_text_metric {
    const char *name;
    lcm_better better;
    lcm_needs needs;
    bool weighted;
    /* values (documents), NAN where nothing can be said; weights likewise, NULL unless `weighted`. */
    lcm_status (*score)(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w);
} lcm_text_metric;

extern const lcm_text_metric lcm_text_metrics[]; /* ends with name = NULL */

/* LCM_ERR_ARG: the task names a metric that its kind does not have (the message lists them), or one that needs a
 * model that is not among those there are (lcm_needs, or-ed). */
lcm_status lcm_task_check_metrics(lcm_ctx *ctx, const lcm_eval_task *task, unsigned there);
bool lcm_task_wants(const lcm_eval_task *task, const char *metric); /* all, when the task names none */

lcm_status lcm_task_score_texts(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_written *w);

/* *p (heap; lcm_forecast_rows(job), D): all that is asked for. LCM_ERR_NUMERIC: a value is not finite. */
lcm_status lcm_task_predict(lcm_ctx *ctx, real **p, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed);

/* Measures as lcm_next_evaluate does: document values are means over its predictions, weighted by their number. */
lcm_status lcm_task_score_next(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_forecast_job *job,
                               const real *p, const lcm_next_opts *opts);

/* accuracy: 1 where the right ending is nearer to the prediction p (documents, D) than the wrong one, 1/2 for a tie;
 * hard_accuracy: the same with the wrong ending that has this story's names, on the items with one.
 * ends (reference->n, D): the concepts of the endings. */
lcm_status lcm_task_score_cloze(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_sentences *reference,
                                const real *ends, const real *p, int64_t D);
/* The same for likelihoods (reference->n) of the endings: the likelier one is chosen. */
lcm_status lcm_task_score_choice(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_sentences *reference,
                                 const double *likelihood);

#endif
