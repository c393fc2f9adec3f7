/* How likely a text is under a vector: teacher-forced log-probabilities. */
#ifndef LCM_LIKELIHOOD_H
#define LCM_LIKELIHOOD_H

#include "sonar/sonar_io.h"

/* logp[i] = sum of ln p over the tokens after the first of `</s> [lang] pieces </s>` given concept i (n, input_dim), and
 * tokens[i] their number; what a beam search reports for the same tokens is logp / tokens. lang: id of a language
 * token, -1 for the file's default. LCM_ERR_LIMIT: a text longer than the decoder's window; LCM_ERR_UTF8; both name it (from 1). */
lcm_status lcm_sonar_score(lcm_ctx *ctx, double *logp, int64_t *tokens, const lcm_sonar_file *f, const real *concepts,
                           const char *const *text, const size_t *len, size_t n, int32_t lang);

#endif
