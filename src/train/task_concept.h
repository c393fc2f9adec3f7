/* Training task: any concept model of the registry on a concept store. */
#ifndef LCM_TASK_CONCEPT_H
#define LCM_TASK_CONCEPT_H

#include "data/pack.h"
#include "lcm/registry.h"
#include "train/chunks.h"
#include "train/trainer.h"

typedef struct lcm_task_concept_config {
    int64_t batch_concepts; /* concepts per micro-batch */
    int64_t window;         /* documents grouped by length before batches are cut; 0 = none */
    int64_t max_len;        /* longer documents are wrapped into chunks of so many concepts, pairs left out */
    int64_t min_len;        /* shorter chunks are left out and counted */
    bool supervised;        /* loss on the targets of pairs only */
    int64_t valid_batches;  /* micro-batches per validation, 0 = all */
} lcm_task_concept_config;

extern const lcm_field lcm_task_concept_fields[];
lcm_task_concept_config lcm_task_concept_config_default(void);

/* Everything is borrowed. valid may be NULL. */
lcm_status lcm_task_concept_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_concept_config *config, lcm_model *model,
                                const lcm_criterion *criterion, const lcm_chunks *train, const lcm_chunks *valid,
                                lcm_status (*write_model)(lcm_ctx *ctx, void *user, const real *x, lcm_buf *out),
                                void *user, uint64_t seed);
void lcm_task_concept_free(lcm_task *task);

#endif
