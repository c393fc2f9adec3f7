/* Drawing the next token, or unit of a codebook, from logits.
 *
 * In this order, as Hugging Face: temperature, the k largest, the nucleus (the smallest set of most likely
 * tokens whose probability reaches p). Ties go to the smaller id, so that top_k = 1 is greedy. */
#ifndef LCM_TOKEN_SAMPLER_H
#define LCM_TOKEN_SAMPLER_H

#include "base/mem.h"
#include "kernels/real.h"

typedef struct lcm_sampler_opts {
    double temperature; /* 0 = the most likely token */
    int64_t top_k;      /* 0 = all */
    double top_p;       /* 0 and 1 = all */
} lcm_sampler_opts;

typedef struct lcm_candidate {
    double p; /* probability, up to a factor */
    int32_t id;
} lcm_candidate;

/* One of 0 … n-1. u: uniform on [0, 1); scratch: n entries. A NaN among the logits counts as -inf. */
int32_t lcm_sample_token(const real *logits, int64_t n, const lcm_sampler_opts *o, double u, lcm_candidate *scratch);

#endif
