/* Corpus BLEU (Papineni et al. 2002) with the numbers of sacrebleu 2: tokenizer 13a, case kept, one
 * reference, n-grams of 1 to 4, exponential smoothing ("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"). */
#ifndef LCM_BLEU_H
#define LCM_BLEU_H

#include "eval/ngram.h"

enum { LCM_BLEU_ORDER = 4 };

typedef struct lcm_bleu { /* sums over sentences; start with {0} */
    lcm_ngram_counts n[LCM_BLEU_ORDER];
} lcm_bleu;

/* Adds one pair of valid UTF-8 texts. */
lcm_status lcm_bleu_add(lcm_ctx *ctx, lcm_bleu *b, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len);
double lcm_bleu_score(const lcm_bleu *b); /* 0 … 100 */

/* The tokens that BLEU compares, each followed by one space, appended to *out. */
lcm_status lcm_bleu_tokenize(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len);

#endif
