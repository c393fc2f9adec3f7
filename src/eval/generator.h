/* What continues texts by sentences: concept models, token models, baselines, models behind a URL. One small
 * interface, so that a task knows none by name. */
#ifndef LCM_EVAL_GENERATOR_H
#define LCM_EVAL_GENERATOR_H

#include "data/store.h"
#include "eval/forecast.h"
#include "eval/sentences.h"
#include "eval/task_file.h"
#include "lcm/eval_run.h"
#include "lcm/generate.h"
#include "llama/llama_io.h"
#include "sonar/affixes.h"

typedef struct lcm_generator_job {
    const lcm_sentences *given; /* a context per document, at least one sentence each */
    int64_t sentences;          /* to write at most, of each */
    const lcm_eval_task *task;  /* suffix, and how a language model is asked */
} lcm_generator_job;

typedef struct lcm_generator lcm_generator;
struct lcm_generator {
    const char *name, *kind; /* "stories"; "two_tower", "baseline", "url"; borrowed */
    int64_t parameters;      /* that were trained; 0: none, or not known */
    int64_t fixed;           /* numbers beside them that were not, such as codebooks */
    bool seeded;             /* the seed makes a difference */
    /* Appends one document per context: what follows it; may be empty. `out` ends with whole documents only
     * on success. */
    lcm_status (*go_on)(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed);
    /* NULL for those that cannot tell. out (text->n): natural log-probability per token of each sentence of document d
     * of `text`, by itself behind context d. */
    lcm_status (*likelihood)(lcm_ctx *ctx, double *out, const lcm_generator *g, const lcm_sentences *given, const lcm_sentences *text);
    void *self;
    int64_t k; /* of lead-k */
};

/* ---- baselines ---- */

/* What baselines may need; NULL where there is none. */
typedef struct lcm_baseline_needs {
    lcm_codec *codec;
    const lcm_store *train;
    const lcm_beam_opts *beam;
} lcm_baseline_needs;

/*   copy-last  the last sentence again and again
 *   lead-K     the first K sentences of the context
 *   mean       the mean of the training store, decoded, again and again
 *   nearest    what follows, in its document, the training sentence nearest to the last one given
 * `needs` is borrowed. LCM_ERR_ARG: no such name (the message lists them), or what it needs is missing. */
lcm_status lcm_generator_baseline(lcm_ctx *ctx, lcm_generator *out, const char *name, const lcm_baseline_needs *needs);

/* ---- concept models ---- */

/* All borrowed. The name of the kind is the model's. */
typedef struct lcm_concept_writer {
    lcm_codec *codec;
    const lcm_model *model;
    const real *end; /* (D) end-of-text concept or NULL */
    lcm_generate_config config;
    bool text_feedback;
    lcm_beam_opts beam;
    const lcm_affixes *affixes; /* of an instruction-tuned model, in place of the task's suffix; NULL without */
    int64_t stops[LCM_STOP_REPETITION + 1]; /* grows: why texts ended */
} lcm_concept_writer;

lcm_generator lcm_generator_concept(const char *name, lcm_concept_writer *w);

/* ---- token models ---- */

typedef struct lcm_llama_writer {
    const lcm_llama_file *file; /* borrowed */
    int64_t window_ends;        /* grows: texts that ended because the window was full */
} lcm_llama_writer;

/* Draws when the task's temperature is above 0. A context that fills the window is LCM_ERR_LIMIT. */
lcm_generator lcm_generator_llama(const char *name, lcm_llama_writer *w, const lcm_eval_task *task);

/* ---- language models that somebody else calls ---- */

typedef struct lcm_remote_writer {
    lcm_eval_complete_fn complete;
    void *user;
    int64_t asked, empty, cut; /* grow: requests, answers without text, sentences left out */
} lcm_remote_writer;

lcm_generator lcm_generator_remote(const char *name, lcm_remote_writer *w);

/* ---- as forecasters ---- */

/* Predicts the concept of the one sentence that the generator writes next. `texts` has the sentences of the
 * forecast job's documents, document by document; all is borrowed. */
typedef struct lcm_writer_forecast {
    const lcm_generator *generator;
    const lcm_sentences *texts;
    const lcm_eval_task *task;
    lcm_codec *codec;
} lcm_writer_forecast;

lcm_forecaster lcm_forecast_writer(const lcm_writer_forecast *w);

#endif
