/* How well the autoencoder gives back a sentence, clean and with noise on its concept.
 *
 * Noise level a decodes denormalize(sqrt(1-a) normalize(x) + sqrt(a) e), e ~ N(0,1): eq. 27 of arXiv
 * 2412.08821, with medians and quartiles of the very vectors that are tested. Exact match, BLEU and
 * chrF compare with the text as the tokeniser normalises it, which is all a decoder can give back. */
#ifndef LCM_RECONSTRUCT_H
#define LCM_RECONSTRUCT_H

#include "eval/sentences.h"

typedef struct lcm_reconstruction { /* one row: all sentences at one noise level */
    double noise;
    int64_t sentences, exact;
    double bleu, chrf;
    double mean_tokens;      /* pieces of the decoded text */
    double l2;               /* mean ||encode(decode(x)) - x||, x without noise */
    double decode_per_second;
} lcm_reconstruction;

/* x (s->n, D): the concepts of `s`, encoded by the caller. Row i of *out is levels[i], 0 … 1. The noise
 * of sentence k is a function of (seed, k), the same at every level. */
lcm_status lcm_reconstruct(lcm_ctx *ctx, lcm_reconstruction *out, lcm_codec *codec, const lcm_tokenizer *tok,
                           const lcm_sentences *s, const real *x, const double *levels, size_t n_levels,
                           const lcm_beam_opts *beam, uint64_t seed);

/* One row for vectors y (s->n, D) that stand for the concepts x: what is decoded is y. */
lcm_status lcm_reconstruct_vectors(lcm_ctx *ctx, lcm_reconstruction *out, lcm_codec *codec, const lcm_tokenizer *tok,
                                   const lcm_sentences *s, const real *x, const real *y, const lcm_beam_opts *beam);

#endif
