/* ROUGE (Lin 2004) with the numbers of google's rouge_score 0.1: words are runs of a-z 0-9 of the lower-cased text, so a
 * text of another script has none and scores 0.
 *
 *   r1, r2  n-grams, as multisets
 *   l       longest common subsequence of the whole texts
 *   lsum    union of the longest common subsequences of each target line with every predicted line, words counted as
 *           often as both sides have them: put one sentence on a line. Without line ends it is l, but for words that
 *           are counted more often than they are there */
#ifndef LCM_ROUGE_H
#define LCM_ROUGE_H

#include "base/mem.h"

typedef struct lcm_prf {
    double precision, recall, f; /* 0 … 1; 0 where a side is empty */
} lcm_prf;

enum { LCM_ROUGE_1 = 0, LCM_ROUGE_2, LCM_ROUGE_L, LCM_ROUGE_LSUM, LCM_ROUGE_KINDS };
extern const char *const lcm_rouge_names[LCM_ROUGE_KINDS]; /* "rouge1", "rouge2", "rougeL", "rougeLsum" */

/* Texts are valid UTF-8. stem: words of more than three letters by Porter's stemmer (eval/porter.h).
 * Time: words x words; memory: an eighth of that. */
lcm_status lcm_rouge(lcm_ctx *ctx, lcm_prf out[LCM_ROUGE_KINDS], const char *predicted, size_t n_predicted, const char *target,
                     size_t n_target, bool stem);

/* Several targets: for every kind the one of the larger f, the first of equals. Start with a score. */
void lcm_rouge_best(lcm_prf best[LCM_ROUGE_KINDS], const lcm_prf next[LCM_ROUGE_KINDS]);

#endif
