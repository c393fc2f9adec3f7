/* Corpus BLEU (Papineni et al. 2002) with the numbers of sacrebleu 2: tokenizer 13a, case kept, one
 * reference, n-grams of 1 to 4, exponential smoothing ("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"). */
#ifndef LCM_BLEU_H
#define LCM_BLEU_H

#include "eval/symbols.h"

enum { LCM_BLEU_ORDER = 4 };

typedef struct lcm_bleu { /* sums over sentences; start with {0} */
    lcm_ngram_counts n[LCM_BLEU_ORDER];
} lcm_bleu;

/* Adds one pair of valid UTF-8 texts. */
lcm_status lcm_bleu_add(lcm_ctx *ctx, lcm_bleu *b, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len);
double lcm_bleu_score(const lcm_bleu *b); /* 0 … 100 */
/* BLEU of a single pair: orders longer than the hypothesis are left out of the mean instead of making it 0
 * ("eff:yes", sacrebleu's sentence BLEU). */
double lcm_bleu_sentence_score(const lcm_bleu *b);

/* The tokens that BLEU compares, each followed by one space, appended to *out. */
lcm_status lcm_bleu_tokenize(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len);

#endif
