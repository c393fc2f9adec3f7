/* Sentences drawn from the decoder token by token, by the rules of fairseq2's sampling generator:
 *
 * Each token is drawn from softmax(logits / temperature), of its k likeliest tokens and its nucleus, after what sonar/step_rules.h
 * forbids. step_scores are probabilities, not logarithms, before top_k and top_p; score = (sum of their logarithms, those of
 * the prompt after its first token among them) / (length - 1)^len_penalty. */
#ifndef LCM_DRAW_H
#define LCM_DRAW_H

#include "sonar/beam.h"

/* As the reference's: temperature .6, nucleus .9. */
lcm_draw_opts lcm_draw_opts_default(void);

/* One hypothesis for each of the concepts (n, input_dim). Of `opts`, beam_size, temperature and what is said to be
 * lcm_codec_decode's are without effect. Errors as lcm_beam_search. */
lcm_status lcm_draw(lcm_ctx *ctx, lcm_hypotheses *out, const lcm_sonar_net *net, const real *concepts, int64_t n, const int32_t *prompt,
                    int64_t n_prompt, const lcm_beam_opts *opts);

#endif
