/* Log-probability of texts under a Llama: what perplexity and mutual information are made of.
 *
 * A text is scored as  <s> context text [</s>]  with context and text tokenised apart, so that the text has
 * the same tokens with any context and without one; the tokeniser's leading space stands between them. */
#ifndef LCM_LLAMA_SCORE_H
#define LCM_LLAMA_SCORE_H

#include "llama/llama_io.h"

typedef struct lcm_llama_text {
    const char *context; /* context_len bytes of UTF-8, read but not scored; NULL = none */
    size_t context_len;
    const char *text;    /* len bytes */
    size_t len;
} lcm_llama_text;

typedef struct lcm_llama_score_opts {
    bool end;             /* </s> behind the text is scored, too */
    int64_t batch_tokens; /* tokens of a batch, 0 = 2048; a longer text is a batch of its own */
} lcm_llama_score_opts;

typedef struct lcm_llama_score {
    double log_prob;   /* natural logarithm, summed over n_tokens; mean perplexity = exp(-log_prob / n_tokens) */
    int64_t n_tokens;  /* scored; 0 for an empty text without `end` */
    int64_t n_dropped; /* tokens from the beginning of the context that the model's window had no room for */
} lcm_llama_score;

/* out [n]. A score does not depend on the other texts, up to rounding. opts NULL = {0}.
 * LCM_ERR_UTF8 and LCM_ERR_LIMIT (a text by itself exceeds the window) name the text, from 1. */
lcm_status lcm_llama_score_texts(lcm_ctx *ctx, lcm_llama_score *out, const lcm_llama_file *f, const lcm_llama_text *texts,
                                 size_t n, const lcm_llama_score_opts *opts);

#endif
