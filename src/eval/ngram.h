/* n-grams of two symbol sequences, as multisets. */
#ifndef LCM_NGRAM_H
#define LCM_NGRAM_H

#include "base/mem.h"

typedef struct lcm_ngram_counts {
    int64_t hyp, ref; /* n-grams of each side */
    int64_t match;    /* of the hypothesis' that are in the reference, each as often as it is there */
} lcm_ngram_counts;

/* Adds the counts of one pair to *sum. n >= 1. */
lcm_status lcm_ngram_add(lcm_ctx *ctx, lcm_ngram_counts *sum, const uint32_t *hyp, size_t n_hyp,
                         const uint32_t *ref, size_t n_ref, size_t n);

/* n-grams of two sequences, as sets. */
typedef struct lcm_ngram_sets {
    int64_t a, a_distinct, b, b_distinct;
    int64_t common; /* distinct ones that both have */
} lcm_ngram_sets;

/* Adds to *sum: over several n of the same sequences, the set of all these n-grams. */
lcm_status lcm_ngram_sets_add(lcm_ctx *ctx, lcm_ngram_sets *sum, const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b,
                              size_t n);

#endif
