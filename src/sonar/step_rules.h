/* What the next token of a sentence may be, whoever chooses it: beam search (sonar/beam.h) or a draw (sonar/draw.h). */
#ifndef LCM_STEP_RULES_H
#define LCM_STEP_RULES_H

#include "sonar/beam.h"

/* Checks the options and gives the least and the largest length, prompt and end token included; window: the model's.
 * LCM_ERR_ARG. */
lcm_status lcm_step_lengths(lcm_ctx *ctx, int64_t *min_len, int64_t *max_len, const lcm_beam_opts *o, int64_t n_prompt,
                            int64_t window);

/* Sets to -infinity, in the log-probabilities lp (V), what must not follow seq[0 … n-1]. */
void lcm_step_rules(real *lp, int64_t V, const int32_t *seq, int64_t n, const lcm_beam_opts *o, int64_t min_len, int64_t max_len);

#endif
