/* What the configurations of training runs have in common, and what the runs read: text through a tokeniser,
 * concept stores. */
#ifndef LCM_RUN_INPUTS_H
#define LCM_RUN_INPUTS_H

#include "data/corpus.h"
#include "data/store.h"
#include "sonar/normalizer.h"
#include "sonar/pairs.h"
#include "train/run.h"

/* A run on one machine: cosine from start_lr over 200 warm-up steps to lr, and down to 1e-5 at step 4000. */
lcm_lr_config lcm_run_lr(double lr, double start_lr);

/* Keys of a configuration that stay JSON (lcm_run_kind). */
extern const char *const lcm_run_no_raw[];
extern const char *const lcm_run_text_lists[]; /* "data", "valid": files to train and to validate on */

/* `langs`: names parted by spaces, 64 at most; *lang is the first one's id, -1 without. */
lcm_status lcm_run_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, int32_t *lang, const char *path, const char *langs);

/* The files listed under `key` of a resolved configuration. No file: an empty corpus, off == NULL. */
lcm_status lcm_run_corpus(lcm_ctx *ctx, lcm_corpus *out, const json_t *resolved, const char *key, const lcm_tokenizer *tok,
                          const lcm_corpus_opts *opts);

/* Sentences of the files listed under `key`, or pairs of them; `data` looks into either. No file: data.target->n is 0.
 * The structure must stay where it is. Free with lcm_run_sentences_free, after an error, too. */
typedef struct lcm_run_sentences {
    lcm_corpus text;
    lcm_bitext pairs;
    lcm_sonar_data data;
} lcm_run_sentences;

/* parallel: the files hold pairs, which need a tokeniser with languages. lang: of sentences, -1 for none. */
lcm_status lcm_run_sentences_read(lcm_ctx *ctx, lcm_run_sentences *out, const json_t *resolved, const char *key,
                                  const lcm_tokenizer *tok, int32_t lang, const lcm_corpus_opts *opts, bool parallel);
void lcm_run_sentences_free(lcm_run_sentences *s);

/* Two stores of one space; valid_path "": none. What was opened is the caller's to close, after an error, too. */
typedef struct lcm_run_stores {
    lcm_store *train, *valid; /* valid: or NULL */
    uint64_t space;
} lcm_run_stores;

lcm_status lcm_run_stores_open(lcm_ctx *ctx, lcm_run_stores *s, const char *train_path, const char *valid_path);
void lcm_run_stores_close(lcm_run_stores *s);

/* Fits `nz` to all concepts of the store; everything of `config` but dim is taken over. */
lcm_status lcm_run_fit_normalizer(lcm_ctx *ctx, lcm_normalizer *nz, const lcm_normalizer_config *config, lcm_store *store);

#endif
