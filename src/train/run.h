/* A training run from one JSON configuration.
 *
 * Common keys: "kind" (what is trained), "train" (lcm_trainer_config). The rest belongs to the kind;
 * every key and its default is printed by `lcm train --show-config KIND`. */
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

/* One row per trainable kind. */
typedef struct lcm_run_kind {
    const char *name, *help;
    /* The full configuration with defaults for everything that `given` does not set. */
    lcm_status (*resolve)(lcm_ctx *ctx, json_t **out, const json_t *given);
    lcm_status (*run)(lcm_ctx *ctx, const json_t *resolved, lcm_run_hooks *hooks);
} lcm_run_kind;

extern const lcm_run_kind *const lcm_run_kinds[]; /* ends with NULL */

/* LCM_ERR_ARG when the kind is missing or unknown. */
lcm_status lcm_run_find(lcm_ctx *ctx, const lcm_run_kind **out, const json_t *given);

/* Reads `given` over the defaults in *config; the keys of `raw` (ends with NULL) are not the table's. */
lcm_status lcm_run_config(lcm_ctx *ctx, void *config, const lcm_field *fields, const json_t *given, const char *const *raw);

/* Trains, or checks gradients if the hooks say so. */
lcm_status lcm_run_task(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                        lcm_run_hooks *hooks);

extern const lcm_run_kind lcm_run_sonar, lcm_run_base, lcm_run_one_tower, lcm_run_two_tower;
extern const lcm_run_kind lcm_run_rvq, lcm_run_quant_c, lcm_run_quant_d;
extern const lcm_run_kind lcm_run_llama;
extern const lcm_run_kind lcm_run_coherence;
extern const lcm_run_kind lcm_run_distill;

#endif
