/* Training: every model from one JSON configuration.
 *
 * The configuration names a "kind" and a run folder ("train.run"); the folder receives
 * checkpoints, of which the newest always loads, and metrics.jsonl with one object per step. Calling
 * again with the same folder resumes, with the same bits as a run that was never stopped,
 * but for the seconds that the model file says it took. */
#ifndef LCM_TRAIN_H
#define LCM_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_train_status {
    int64_t step, max_steps;
    int64_t skipped;          /* steps left out because of a non-finite gradient */
    double loss, lr, grad_norm;
    double items, items_per_second; /* of `unit`, over the run and now */
    double seconds_left;
    const char *unit;         /* "tokens" or "concepts" */
    const char *note;         /* the last validation in words; "" before the first */
} lcm_train_status;

/* Called after every step. Return 0 to stop: a checkpoint is written and the call returns
 * LCM_ERR_CANCELLED. */
typedef int (*lcm_train_fn)(void *user, const lcm_train_status *status);

typedef struct lcm_train_opts {
    lcm_train_fn progress; /* may be NULL */
    void *user;
    /* > 0: instead of training, compare the gradients of the first batch with central differences in
     * so many random directions per tensor. Meaningful in the double-precision build. */
    int64_t check_grad;
    double worst;          /* out: largest relative error of that check */
    char worst_name[128];  /* out: its tensor */
} lcm_train_opts;

/* The i-th trainable kind and what it is; NULL past the end. */
LCM_API const char *lcm_train_kind(size_t i, const char **help);

/* Full configuration: `config` (JSON text) after `n` overrides "a.b=value", with every default
 * filled in. *out is heap memory: free it with lcm_free. LCM_ERR_FORMAT, LCM_ERR_ARG. */
LCM_API lcm_status lcm_train_resolve(lcm_ctx *ctx, char **out, const char *config, const char *const *overrides, size_t n);

/* Trains by a configuration as lcm_train_resolve gives it.
 * LCM_ERR_CANCELLED, LCM_ERR_NUMERIC (names the tensor), LCM_ERR_BUSY (the folder is in use). */
LCM_API lcm_status lcm_train(lcm_ctx *ctx, const char *config, lcm_train_opts *opts);

LCM_API void lcm_free(void *p); /* memory that a function of this library handed over; NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
