/* A scorer (eval/mutual_info.h) that the caller reaches, token by token of whatever tokens it has.
 *
 * Nothing is known of its tokeniser, so the tokens of a text are found by comparison: behind a line end alone they are
 * all but those that come before the text, the first one without a probability among them; behind a context they are
 * the last ones, and must be the same. Servers' text_offset would not do: it counts characters or bytes, with or
 * without the beginning of sequence and the space that a tokeniser puts before a prompt. */
#ifndef LCM_REMOTE_SCORER_H
#define LCM_REMOTE_SCORER_H

#include "eval/mutual_info.h"
#include "lcm/eval_scorer.h"

typedef struct lcm_remote_scorer {
    const lcm_eval_scorer *model;
    int64_t requests;
    int64_t unmatched; /* texts without a value, for they have other tokens behind their context than alone */
} lcm_remote_scorer;

/* lcm_score_texts_fn; self is a lcm_remote_scorer. LCM_ERR_IO: the model does not answer, or not with logarithms. */
lcm_status lcm_mi_score_remote(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n);

/* Asks for one sentence. LCM_ERR_IO, also when what comes back makes no sense as tokens of it. */
lcm_status lcm_remote_scorer_probe(lcm_ctx *ctx, const lcm_eval_scorer *model);

#endif
