/* chrF2 and chrF2++ (Popović 2015, 2017) with the numbers of sacrebleu 2: character n-grams of 1 to 6 without white
 * space, for ++ also word n-grams of 1 and 2 with one punctuation mark cut off each word; recall weighted by beta 2,
 * orders that have no n-gram left out. */
#ifndef LCM_CHRF_H
#define LCM_CHRF_H

#include "eval/ngram.h"

enum { LCM_CHRF_ORDER = 6, LCM_CHRF_WORD_ORDER = 2 };

typedef struct lcm_chrf { /* sums over sentences; start with {0} */
    lcm_ngram_counts n[LCM_CHRF_ORDER + LCM_CHRF_WORD_ORDER]; /* of characters, then of words */
} lcm_chrf;

/* Adds one pair of valid UTF-8 texts. */
lcm_status lcm_chrf_add(lcm_ctx *ctx, lcm_chrf *c, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len);
double lcm_chrf_score(const lcm_chrf *c);     /* chrF2: 0 … 100 */
double lcm_chrf_pp_score(const lcm_chrf *c);  /* chrF2++ */

#endif
