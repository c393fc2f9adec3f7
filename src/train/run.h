/* A training run from one JSON configuration.
 *
 * Common keys: "kind" (what is trained), "train" (lcm_trainer_config). The rest belongs to the kind;
 * `lcm train --show-config FILE` prints every key and its default. */
#ifndef LCM_RUN_H
#define LCM_RUN_H

#include "base/config.h"
#include "train/trainer.h"

typedef struct lcm_run_hooks {
    lcm_train_progress_fn progress;
    void *user;
    int64_t check_grad; /* > 0: check gradients in so many directions per tensor instead of training */
    double worst;       /* out, of the check */
    char worst_name[LCM_PARAM_NAME];
} lcm_run_hooks;

/* One row per trainable kind. Its configuration is a struct of `size` bytes, which `defaults` fills when all is zero
 * and which `fields` reads and writes. */
typedef struct lcm_run_kind {
    const char *name, *help;
    size_t size;
    void (*defaults)(void *config);
    const lcm_field *fields;
    const char *const *raw; /* more keys, which stay JSON (ends with NULL); a missing one becomes an empty list */
    /* Checks what was read, and completes the keys of `raw` in *resolved; or NULL. */
    lcm_status (*complete)(lcm_ctx *ctx, json_t *resolved, const void *config, const json_t *given);
    /* config: of this run, to change at will. */
    lcm_status (*run)(lcm_ctx *ctx, void *config, const json_t *resolved, lcm_run_hooks *hooks);
} lcm_run_kind;

extern const lcm_run_kind *const lcm_run_kinds[]; /* ends with NULL */

/* LCM_ERR_ARG when the kind is missing or unknown. */
lcm_status lcm_run_find(lcm_ctx *ctx, const lcm_run_kind **out, const json_t *given);

/* The full configuration, with defaults for everything that `given` does not set. */
lcm_status lcm_run_resolve(lcm_ctx *ctx, json_t **out, const lcm_run_kind *kind, const json_t *given);
lcm_status lcm_run_start(lcm_ctx *ctx, const lcm_run_kind *kind, const json_t *resolved, lcm_run_hooks *hooks);

/* Trains, or checks gradients if the hooks say so. */
lcm_status lcm_run_task(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                        lcm_run_hooks *hooks);

extern const lcm_run_kind lcm_run_sonar, lcm_run_base, lcm_run_one_tower, lcm_run_two_tower;
extern const lcm_run_kind lcm_run_rvq, lcm_run_quant_c, lcm_run_quant_d;
extern const lcm_run_kind lcm_run_llama;
extern const lcm_run_kind lcm_run_coherence;
extern const lcm_run_kind lcm_run_distill;

#endif
