/* The task harness: any number of systems on one task, each of them with the same documents and the same measures.
 *
 * A task is a small JSON file (docs/evaluation.md): next-concept prediction, story cloze, story completion or
 * summarisation. A system is a model of this library, a baseline, or a language model that the caller reaches
 * (the library opens no connection). Results keep every document's value, so that two runs can be compared
 * document by document. */
#ifndef LCM_EVAL_RUN_H
#define LCM_EVAL_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"
#include "lcm/eval_scorer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a language model is asked: it continues `prompt`, or answers `chat`. */
typedef struct lcm_eval_request {
    const char *prompt, *chat; /* UTF-8 */
    int64_t max_tokens, seed;
    double temperature;
} lcm_eval_request;

/* Returns 0 and *text on the heap (malloc; the library frees it), or anything else and one sentence in `error`
 * (cap bytes). Repeats, deadlines and keys are the caller's business. */
typedef int (*lcm_eval_complete_fn)(void *user, char **text, const lcm_eval_request *request, char *error, size_t cap);

typedef struct lcm_eval_model {
    const char *name, *path; /* name: in reports, unique; path: bundle folder, or a model file of kind "llama" */
} lcm_eval_model;

typedef struct lcm_eval_remote {
    const char *name;
    lcm_eval_complete_fn complete;
    void *user;
} lcm_eval_remote;

/* A language model that marks what a system wrote. `prompt` holds {context} and {text}, which are replaced;
 * the mark is the first number of the answer, which must lie in lo … hi. */
typedef struct lcm_eval_judge {
    const char *name; /* the metric is called judge:NAME */
    const char *prompt;
    double lo, hi;
    lcm_eval_complete_fn complete;
    void *user;
} lcm_eval_judge;

typedef struct lcm_eval_run_opts {
    const char *task;                  /* file */
    const char *const *data;           /* files in place of those that the task names */
    size_t n_data;
    const lcm_eval_model *models;
    size_t n_models;
    const char *const *baselines;      /* copy-last, lead-K, mean, nearest; next and cloze: as lcm_eval_next */
    size_t n_baselines;
    const lcm_eval_remote *remotes;
    size_t n_remotes;
    const lcm_eval_judge *judges;      /* completion and summarise */
    size_t n_judges;
    const char *sonar;                 /* autoencoder of baselines and vector measures; NULL: the first model's */
    const char *train_store;           /* of the baselines mean and nearest */
    const char *coherence;             /* discriminator for the metric "coherence"; NULL: without */
    const char *fluency;               /* calibration for the metric "fluency" (lcm_eval_fluency); NULL: without */
    const char *scorer;                /* file of kind "llama" for the metrics "mi" and "mi_compat"; NULL: without */
    const lcm_eval_scorer *remote_scorer; /* in its place; NULL: none */
    const int64_t *seeds;              /* one evaluation each, of systems that draw */
    size_t n_seeds;
    int64_t max_documents;             /* in place of the task's; 0: the task's */
    const char *out;                   /* folder for results.json, texts.jsonl, report.md and report.html; NULL: none */
} lcm_eval_run_opts;

/* Seed 1, nothing else. */
LCM_API lcm_eval_run_opts lcm_eval_run_defaults(void);

/* *results (lcm_free) is the text of results.json, *report (lcm_free; may be NULL) that of report.md. A remote system that fails is left out and named under "failed";
 * *n_failed counts them, and a remote scorer that fails on the way ("scorer"), whose metrics are null then. LCM_ERR_IO: one
 * that does not answer from the beginning. LCM_ERR_ARG: a task or a system that cannot be run, before any work is done where that can
 * be known; LCM_ERR_FORMAT, LCM_ERR_NOTFOUND, LCM_ERR_LIMIT: a context that a model cannot read. */
LCM_API lcm_status lcm_eval_run(lcm_ctx *ctx, char **results, char **report, size_t *n_failed, const lcm_eval_run_opts *opts);

/* Calibrates the token model `model` (a file of kind "llama") to tell acceptable sentences: `pairs` has BLiMP's, an object
 * with "good", "bad" and "uid" a line. Half of the phenomena are fitted on, the others measured on. max_pairs: about so
 * many, evenly spread; 0: all. Writes the file `out`; *report (lcm_free) is JSON with the fit, its accuracy, and "warning"
 * (logged, too) when that is no better than chance. */
LCM_API lcm_status lcm_eval_fluency(lcm_ctx *ctx, char **report, const char *model, const char *pairs, int64_t max_pairs,
                                    const char *out);

#ifdef __cplusplus
}
#endif
#endif
