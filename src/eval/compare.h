/* Two rows of result tables beside each other, document by document: is the difference real? */
#ifndef LCM_COMPARE_H
#define LCM_COMPARE_H

#include "eval/bootstrap.h"
#include "eval/results.h"

enum { LCM_COMPARE_MIN = 20 }; /* documents; with fewer a bootstrap is too sure of itself */

typedef enum lcm_verdict {
    LCM_VERDICT_CORPUS,  /* a number of the whole corpus: no document tells how sure it is */
    LCM_VERDICT_FEW,     /* fewer than LCM_COMPARE_MIN documents have both values */
    LCM_VERDICT_SAME,    /* no document differs in the mean */
    LCM_VERDICT_CHANCE,  /* p_adjusted is .05 or more */
    LCM_VERDICT_REAL
} lcm_verdict;

typedef struct lcm_compared {
    const char *name;    /* borrowed from a */
    lcm_better better;
    lcm_paired paired;   /* over the documents common to both; only a, b and diff for a number of the corpus */
    double p_adjusted;   /* p times the tests not yet decided, by Holm (1979): among twenty metrics one would
                            otherwise look real by chance */
    lcm_verdict verdict;
} lcm_compared;

/* Metrics that both rows have, in the order of a. *out is to be freed with free(). LCM_ERR_ARG: the tables are of
 * different tasks, have no document in common, or the rows no metric. */
lcm_status lcm_compare_rows(lcm_ctx *ctx, lcm_compared **out, size_t *n, const lcm_results *a, size_t row_a,
                            const lcm_results *b, size_t row_b, uint64_t seed);

/* "real: b is better", in words for `a` and `b`; cut to cap. */
void lcm_compared_words(char *dst, size_t cap, const lcm_compared *c, const char *a, const char *b);

#endif
