/* An output beside its source or reference: what of it is copied, repeated, changed.
 *
 * Words are those of eval/words.h, numbers among them; characters are code points. Texts are valid UTF-8. */
#ifndef LCM_OVERLAP_H
#define LCM_OVERLAP_H

#include "base/ctx_int.h"

typedef struct lcm_overlap {
    double ovl3;       /* share of the source's distinct word 3-grams that are in the output: as arXiv 2412.08821 §3.2
                          describes OVL-3 */
    double rep4;       /* share of the output's word 4-grams that are there already: REP-4 as described */
    double ovl_compat; /* what the paper's reference code computes and its tables show: characters, n = 1 … 4, all sets */
    double rep_compat; /* in one: |common| / |source|; and n-grams / distinct ones - 1, which grows with the text and
                          may exceed 1. An empty output has 0 and -1, as there */
    double word_ratio; /* WR: words of the output / words of the source */
} lcm_overlap;         /* NAN where a divisor is 0, but for compat */

lcm_status lcm_overlap_measure(lcm_ctx *ctx, lcm_overlap *out, const char *output, size_t n_output, const char *source,
                               size_t n_source);

/* Distinct / all word n-grams of a text; NAN when it has none. n >= 1. */
lcm_status lcm_distinct(lcm_ctx *ctx, double *out, const char *text, size_t len, size_t n);

typedef struct lcm_edits {
    int64_t distance;     /* Levenshtein: insertions, deletions, replacements */
    int64_t common;       /* length of the longest run that both have */
    int64_t longer;       /* length of the longer text: distance / longer is 0 … 1 */
} lcm_edits;

/* In words, or in characters with white space. Time: product of the lengths. */
lcm_status lcm_edit_words(lcm_ctx *ctx, lcm_edits *out, const char *a, size_t n_a, const char *b, size_t n_b);
lcm_status lcm_edit_chars(lcm_ctx *ctx, lcm_edits *out, const char *a, size_t n_a, const char *b, size_t n_b);

#endif
