/* Mutual information of a sentence and what comes before it, arXiv 2412.08821 §2.4.1, in nats per token:
 *
 *   MI = ( log p(s | the 10 sentences before) - log p(s) ) / |s|
 *
 * The paper prints the two terms in the other order; its text and its reference code mean this one: positive when the
 * context helps. p is any language model, behind a callback, and |s| counts the tokens that this model makes of s. */
#ifndef LCM_MUTUAL_INFO_H
#define LCM_MUTUAL_INFO_H

#include "base/mem.h"

/* A sentence to be scored twice: behind its context, and behind a line end alone. The line end is read, not scored: a
 * model has no probability for the first token of all. */
typedef struct lcm_scored_text {
    const char *context; /* ends in a line end */
    size_t context_len;  /* 1 at least */
    const char *text;
    size_t len;
    double behind, alone; /* out: natural logarithms, summed over tokens of the text, which are the same both times */
    int64_t tokens;       /* out: their number; 0: the text has no value */
} lcm_scored_text;

/* Fills what comes out of n texts. */
typedef lcm_status (*lcm_score_texts_fn)(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n);

/* A language model that tells likelihoods. */
typedef struct lcm_scorer {
    lcm_score_texts_fn score;
    void *self;
    int64_t too_long; /* grows: documents without a value, for one of their texts is beyond the model's window */
    char failed[512]; /* why it could not go on (LCM_ERR_IO); it is not asked again then */
} lcm_scorer;

typedef struct lcm_mi_item {
    const char *context; /* the whole true text before, sentences parted by '\n'; its last ones are used */
    size_t context_len;
    const char *sentence;
    size_t len;
} lcm_mi_item;

typedef struct lcm_mi_opts {
    int64_t sentences; /* of context, at most; 0: none, and MI is 0 */
    bool compat;       /* as the reference code: a line end behind the sentence is scored, too */
} lcm_mi_opts;

lcm_mi_opts lcm_mi_defaults(void); /* 10 sentences, not compat */

/* mi (n): NAN for a sentence of no token. tokens (n): weights of the mean over a corpus. Sentences of the context are
 * joined by a space. LCM_ERR_NUMERIC, counting items from 1, when a logarithm is not finite or above 0. */
lcm_status lcm_mutual_info(lcm_ctx *ctx, double *mi, double *tokens, lcm_score_texts_fn score, void *self,
                           const lcm_mi_item *items, size_t n, const lcm_mi_opts *opts);

/* The sentences of one document: as above, but all of mi and tokens is NAN and 0 where a text is beyond the model's
 * window, which s->too_long counts, and once the scorer has failed, which s->failed tells: what was measured before would
 * pass for all, and is the caller's to drop. */
lcm_status lcm_mi_document(lcm_ctx *ctx, double *mi, double *tokens, lcm_scorer *s, const lcm_mi_item *items, size_t n,
                           const lcm_mi_opts *opts);

/* The callback for a token-level model: self is its lcm_llama_file. */
lcm_status lcm_mi_score_llama(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n);

#endif
