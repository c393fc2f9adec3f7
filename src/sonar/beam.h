/* Beam search over the SONAR decoder, by the rules of fairseq2's standard search:
 *
 * Candidates are the 2B best of cumulative + log p over all beams. End tokens among the first B of
 * them finish a hypothesis, the first B others live on; a sentence ends when B hypotheses are
 * finished, or at the length limit, where the end token is forced. No comparison of live with
 * finished. score = S / (length - 1)^len_penalty, where the length counts prompt and end token and
 * S the log-probabilities of the prompt after its first token too. <unk> is never produced.
 * Ties go to the lower beam, then the lower token. Beam 1 is greedy search. */
#ifndef LCM_BEAM_H
#define LCM_BEAM_H

#include "kernels/token_sampler.h"
#include "sonar/decoder.h"

typedef struct lcm_token_seq {
    const int32_t *ids;
    int64_t n;
} lcm_token_seq;

typedef struct lcm_draw_opts { /* of sonar/draw.h */
    lcm_sampler_opts sampler; /* temperature 0: the likeliest token, probabilities as of 1 */
    uint64_t seed, first;     /* sentence i of a call is a function of its concept, seed and first + i */
} lcm_draw_opts;

typedef struct lcm_beam_opts {
    int64_t beam_size;   /* 5 */
    int64_t max_seq_len; /* prompt and end token included; 0 = the model's */
    int64_t min_gen_len, max_gen_len; /* tokens after the prompt; 1, 1152 (= 1024 + 128, the reference's for vectors) */
    bool normalize_scores; /* true */
    double len_penalty, temperature; /* 1, 1 */
    double unk_penalty;  /* no effect: <unk> is banned; kept for the reference's interface */
    bool echo_prompt;
    int64_t ngram_block; /* no n-gram twice; 0 = off */
    const lcm_token_seq *banned;
    int64_t n_banned;
    const uint8_t *not_twice; /* [vocab] 1: this token does not follow itself; NULL: all may */
    bool predicted;           /* for lcm_codec_decode: the concepts are a model's, so the codec's voice says them */
    bool block_doubles;       /* for lcm_codec_decode: not_twice are the pieces that begin a word ("the the") */
    /* For lcm_codec_decode: > 0 takes, of all hypotheses, the one whose own encoding is nearest to the concept x. In
     * round r = 1, 2, … the decoder reads x + r/2 (x - y) where the nearest encoding y so far is not x. */
    int64_t nearest_rounds;
    lcm_draw_opts draw; /* what lcm_draw does; with a temperature above 0, lcm_codec_decode draws and does not search */
} lcm_beam_opts;

enum { LCM_NEAREST_ROUNDS = 4 }; /* a good number: docs/results.md */
lcm_beam_opts lcm_beam_opts_default(void);

typedef struct lcm_hypothesis {
    int32_t *ids;       /* generated tokens and </s>; with echo_prompt the prompt first */
    real *step_scores;  /* same length; the first is cumulative */
    int64_t n;
    double score;
} lcm_hypothesis;

typedef struct lcm_hypotheses {
    lcm_hypothesis *items; /* best first */
    int64_t n;
} lcm_hypotheses;

/* Decodes concepts (n, input_dim) after a prompt of n_prompt tokens, which all sentences share.
 * out: n lists, to be freed with lcm_hypotheses_free each.
 * LCM_ERR_ARG: prompt not shorter than the length limit, options out of range.
 * LCM_ERR_NUMERIC: a logit is NaN, naming the sentence. */
lcm_status lcm_beam_search(lcm_ctx *ctx, lcm_hypotheses *out, const lcm_sonar_net *net, const real *concepts, int64_t n,
                           const int32_t *prompt, int64_t n_prompt, const lcm_beam_opts *opts);
void lcm_hypotheses_free(lcm_hypotheses *h);

#endif
