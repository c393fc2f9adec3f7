/* A language model behind the caller's own means, such as a URL, that tells how likely given texts are: for the metric
 * "mi" of lcm_eval_run and lcm_eval_next. The library opens no connection. */
#ifndef LCM_EVAL_SCORER_H
#define LCM_EVAL_SCORER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Takes one token of a prompt: its text, and the natural logarithm of its probability behind all before it, NAN where
 * the model has none. Other than 0 when out of memory: no more is wanted then. */
typedef int (*lcm_eval_token_fn)(void *to, const char *text, double log_prob);

typedef struct lcm_eval_scorer {
    const char *url, *model; /* for reports, read when they are written; model may be NULL */
    /* Calls `token` with the tokens of `prompt` (UTF-8), in order, and with none beside. Returns 0, or anything else and
     * one sentence in `error` (cap bytes). Repeats, deadlines and keys are the caller's business. */
    int (*score)(void *user, const char *prompt, lcm_eval_token_fn token, void *to, char *error, size_t cap);
    void *user;
} lcm_eval_scorer;

#ifdef __cplusplus
}
#endif
#endif
