/* Measuring models. Every function answers with a report as JSON text, made for tables:
 *
 *   { "task": "…", …facts…, "rows": [ {…}, … ] }
 *
 * A fact is a number, a text or an object of numbers. All rows of a list have the same keys. A value
 * of a row is a number, a text, null where nothing could be measured, or an object with "mean" and
 * either "sd" (over seeds) or "low" and "high" (95 % confidence). The numbers are a function of files,
 * options and seeds, except those that end in "_per_second".
 *
 * *report is heap memory: free it with lcm_free (lcm/train.h). */
#ifndef LCM_EVAL_H
#define LCM_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_eval_reconstruct_opts {
    const char *sonar;         /* model file */
    const char *const *inputs; /* text: .txt, .jsonl, each also .zst; folders of these; "-" */
    size_t n_inputs;
    bool presegmented;         /* one sentence per line */
    const char *lang;          /* of the segmenter */
    int64_t max_tokens;        /* longer sentences are left out and counted; 0 = no limit */
    int64_t max_sentences;     /* the first so many; 0 = all */
    const double *noise;       /* levels of eq. 27 of arXiv 2412.08821, 0 … 1; one row each */
    size_t n_noise;
    int64_t beam, seed;
} lcm_eval_reconstruct_opts;

/* 40 tokens, all sentences, one level of no noise, beam 1, seed 1. */
LCM_API lcm_eval_reconstruct_opts lcm_eval_reconstruct_defaults(void);

/* Sentences through encoder and decoder: exact match with the text as the tokeniser normalises it,
 * BLEU (sacrebleu's 13a, exp), chrF2, ||encode(decode(x)) - x||. */
LCM_API lcm_status lcm_eval_reconstruct(lcm_ctx *ctx, char **report, const lcm_eval_reconstruct_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
