/* Training task: the SONAR autoencoder on sentences, or on pairs of sentences and their translations. */
#ifndef LCM_TASK_SONAR_H
#define LCM_TASK_SONAR_H

#include "data/pack.h"
#include "sonar/objective.h"
#include "sonar/sonar_io.h"
#include "train/trainer.h"

typedef struct lcm_task_sonar_config {
    lcm_sonar_objective objective;
    int64_t batch_tokens;   /* tokens per micro-batch, of the longer side of each pair */
    int64_t window;         /* sentences grouped by length before batches are cut; 0 = no grouping */
    int64_t max_pieces;     /* longer sentences are dropped and counted */
    int64_t valid_batches;  /* micro-batches per validation, 0 = all */
    int64_t valid_pieces;   /* validation sentences longer than this are left out, 0 = max_pieces */
} lcm_task_sonar_config;

extern const lcm_field lcm_task_sonar_fields[];
lcm_task_sonar_config lcm_task_sonar_config_default(void);

/* model, tokenizer and what data points to are borrowed until lcm_task_sonar_free. valid may be NULL. space: of
 * the model it started from when the encoder stays as it was, else 0: every checkpoint has its own. */
lcm_status lcm_task_sonar_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_sonar_config *config, lcm_sonar *model,
                              const lcm_tokenizer *tok, const lcm_sonar_data *train, const lcm_sonar_data *valid,
                              uint64_t space, uint64_t seed);
void lcm_task_sonar_free(lcm_task *task);

#endif
