/* What the evaluations of src/api share: the autoencoder, concept models of its space, options. */
#ifndef LCM_EVAL_INT_H
#define LCM_EVAL_INT_H

#include "api/bundle_int.h"
#include "eval/eval_report.h"
#include "eval/fluency.h"
#include "eval/remote_scorer.h"
#include "eval/sentences.h"
#include "lcm/eval.h"
#include "lcm/model_io.h"
#include "llama/llama_io.h"

typedef struct lcm_coder {
    lcm_sonar_file file;
    lcm_codec *codec; /* NULL: not open */
    lcm_beam_opts beam;
} lcm_coder;

lcm_status lcm_coder_open(lcm_ctx *ctx, lcm_coder *c, const char *path, int64_t beam);
void lcm_coder_close(lcm_coder *c);

/* Texts are of this language from now on. Nothing happens when it is NULL or the model has none. */
lcm_status lcm_coder_set_lang(lcm_ctx *ctx, lcm_coder *c, const char *lang);

/* Object with task, autoencoder and beam; NULL when out of memory. */
json_t *lcm_eval_report_new(const char *task, const char *sonar, const lcm_coder *c);
json_t *lcm_eval_seeds(const int64_t *seeds, size_t n);
json_t *lcm_eval_counts(const lcm_sentences_report *r);

/* A concept model, which must speak the coder's space. meta is the caller's to free. */
lcm_status lcm_eval_load_model(lcm_ctx *ctx, lcm_model **out, lcm_model_meta *meta, const char *path, const lcm_coder *c);

/* The language model behind `mi`: of a file, or one that the caller reaches. Must stay where it was opened. */
typedef struct lcm_eval_scoring {
    const char *path;
    lcm_llama_file file;
    lcm_remote_scorer remote;
    lcm_scorer scorer;
} lcm_eval_scoring;

/* *s: zeros before. Of path and remote at most one is not NULL. A remote model is asked for one sentence. */
lcm_status lcm_eval_scoring_open(lcm_ctx *ctx, lcm_eval_scoring *s, const char *path, const lcm_eval_scorer *remote);
void lcm_eval_scoring_close(lcm_eval_scoring *s);
lcm_scorer *lcm_eval_scoring_scorer(lcm_eval_scoring *s); /* NULL: neither was given */
json_t *lcm_eval_scoring_facts(const lcm_eval_scoring *s); /* who it is, and counts of what has no value */

/* Checked, and in the words of the layers below. */
lcm_status lcm_eval_generation(lcm_ctx *ctx, lcm_generate_config *out, const lcm_generation *g);
json_t *lcm_eval_sampling(const lcm_generation *g);

/* A calibration; warns of one that tells little. NULL when out of memory. */
json_t *lcm_eval_fluency_json(lcm_ctx *ctx, const lcm_fluency_fit *fit);

#endif
