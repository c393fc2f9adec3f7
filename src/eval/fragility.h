/* Fragility of sentences (arXiv 2412.08821 §2.5.2, eq. 26 to 28): how little of a sentence is left when its
 * concept is noised and decoded.
 *
 *   x_a = denormalize( sqrt(1-a) normalize(x) + sqrt(a) e ),  e ~ N(0, I)
 *   fragility(w) = - mean over levels a and draws e of score(w, decode(x_a)),  in -1 … 0
 *
 * score: BLEU of the sentence (sacrebleu's, /100) against the text as the tokeniser normalises it; or, with a
 * judge, the cosine of both texts in the space of another encoder. */
#ifndef LCM_FRAGILITY_H
#define LCM_FRAGILITY_H

#include "eval/sentences.h"
#include "sonar/normalizer.h"

typedef struct lcm_fragility_opts {
    const double *levels; /* a, 0 … 1 */
    size_t n_levels;
    int64_t draws;        /* of e at each level */
    uint64_t seed;
    const lcm_normalizer *nz;
    lcm_codec *codec;     /* of the concepts' space */
    const lcm_tokenizer *tok;
    const lcm_beam_opts *beam;
    lcm_codec *judge;     /* another encoder: score is its cosine; NULL: BLEU */
} lcm_fragility_opts;

/* Sentences of `s` with concepts x (s->n, D), numbered from `first` on: the noise of a concept is a function of
 * seed, number, level and draw. out (s->n); level_sum (n_levels) grows by the scores. LCM_ERR_ARG: levels, draws. */
lcm_status lcm_fragility(lcm_ctx *ctx, double *out, double *level_sum, const lcm_sentences *s, const real *x, int64_t first,
                         const lcm_fragility_opts *o);

#endif
