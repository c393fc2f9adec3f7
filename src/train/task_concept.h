/* Training task: any concept model of the registry on a concept store. */
#ifndef LCM_TASK_CONCEPT_H
#define LCM_TASK_CONCEPT_H

#include "data/pack.h"
#include "data/store.h"
#include "lcm/registry.h"
#include "train/trainer.h"

typedef struct lcm_task_concept_config {
    int64_t batch_concepts; /* concepts per micro-batch */
    int64_t window;         /* documents grouped by length before batches are cut; 0 = none */
    int64_t max_len;        /* longer documents are wrapped into chunks of so many concepts */
    int64_t min_len;        /* shorter chunks are left out and counted */
    int64_t valid_batches;  /* micro-batches per validation, 0 = all */
} lcm_task_concept_config;

extern const lcm_field lcm_task_concept_fields[];
lcm_task_concept_config lcm_task_concept_config_default(void);

/* Documents of a store as chunks, each document ended by the end-of-text concept if there is one. */
typedef struct lcm_chunks {
    const lcm_store *store;
    const real *eot;    /* (D) or NULL */
    int64_t *first;     /* (n) first concept in the store */
    int64_t *lengths;   /* (n) concepts, the end-of-text one included */
    uint8_t *ends;      /* (n) the chunk is the last of its document */
    int64_t n, n_short; /* chunks; left out */
} lcm_chunks;

lcm_status lcm_chunks_make(lcm_ctx *ctx, lcm_chunks *out, const lcm_store *store, const real *eot,
                           const lcm_task_concept_config *config);
void lcm_chunks_free(lcm_chunks *c);
/* Concepts of chunk i to dst (lengths[i], D). */
lcm_status lcm_chunks_read(lcm_ctx *ctx, real *dst, const lcm_chunks *c, int64_t i);

/* Everything is borrowed. valid may be NULL. */
lcm_status lcm_task_concept_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_concept_config *config, lcm_model *model,
                                const lcm_criterion *criterion, const lcm_chunks *train, const lcm_chunks *valid,
                                lcm_status (*write_model)(lcm_ctx *ctx, void *user, const real *x, lcm_buf *out),
                                void *user, uint64_t seed);
void lcm_task_concept_free(lcm_task *task);

#endif
