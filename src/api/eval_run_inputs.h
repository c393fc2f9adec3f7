/* What lcm_eval_run reads before it runs anything: the task and its documents, the reference autoencoder, the models
 * that measure. */
#ifndef LCM_EVAL_RUN_INPUTS_H
#define LCM_EVAL_RUN_INPUTS_H

#include "api/eval_int.h"
#include "eval/generator.h"
#include "eval/task_score.h"
#include "lcm/eval_run.h"

/* Must stay where it is. */
typedef struct lcm_eval_inputs {
    const lcm_eval_run_opts *o;
    lcm_eval_task task;
    lcm_task_data data;
    lcm_bundle *first;         /* of the first concept model */
    size_t first_at;
    lcm_coder coder;           /* when o->sonar names it */
    lcm_codec *own_codec;      /* of `first`, when nothing else is the reference */
    lcm_codec *codec;          /* of baselines and vector measures; NULL: there is none */
    lcm_beam_opts beam;
    uint64_t space;            /* of `codec`, 0 without */
    lcm_store *train;
    lcm_coherence *coherence;
    lcm_fluency fluency;       /* file.model NULL: none */
    lcm_eval_scoring scoring;
} lcm_eval_inputs;

/* *in: zeros before; to be closed after a failure, too. *results, likewise, receives name, documents and what is to be
 * told of the measuring models. Also checks that every system can be opened. */
lcm_status lcm_eval_inputs_open(lcm_ctx *ctx, lcm_eval_inputs *in, lcm_results *results, const lcm_eval_run_opts *o);
void lcm_eval_inputs_close(lcm_eval_inputs *in);

bool lcm_eval_on_vectors(const lcm_eval_inputs *in); /* the task asks for concepts, not texts */

/* Baseline of a task on vectors. LCM_ERR_ARG: unknown, or not for this task. */
lcm_status lcm_eval_find_forecaster(lcm_ctx *ctx, const lcm_baseline **out, const lcm_eval_inputs *in, const char *name);

lcm_status lcm_eval_is_llama(lcm_ctx *ctx, bool *out, const char *path); /* a model file of that kind; folders are bundles */
lcm_status lcm_eval_open_model(lcm_ctx *ctx, lcm_bundle **out, const lcm_eval_model *m);

#endif
