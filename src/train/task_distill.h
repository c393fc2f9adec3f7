/* Training task: an encoder that gives sentences the concepts of another one, the teacher. */
#ifndef LCM_TASK_DISTILL_H
#define LCM_TASK_DISTILL_H

#include "data/pack.h"
#include "sonar/codec.h"
#include "sonar/pairs.h"
#include "train/trainer.h"

typedef struct lcm_task_distill_config {
    int64_t batch_tokens;  /* tokens per micro-batch, of the longer side of each pair */
    int64_t window;        /* items grouped by length before batches are cut; 0 = no grouping */
    int64_t max_pieces;    /* longer sentences are dropped and counted */
    int64_t valid_batches; /* micro-batches per validation, 0 = all */
} lcm_task_distill_config;

extern const lcm_field lcm_task_distill_fields[];
lcm_task_distill_config lcm_task_distill_config_default(void);

/* The student reads sources, the teacher targets; both have the teacher's tokeniser. Minimised is the mean over sentences
 * of |student - teacher|² / s², s² the mean of |teacher|² over the first 256 items: squared error in units of the space.
 * What points elsewhere is borrowed until lcm_task_distill_free; valid may be NULL. The student's final norm is set to the
 * scale of the space. teacher_path goes into the files' provenance. */
lcm_status lcm_task_distill_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_distill_config *config, lcm_sonar *student,
                                const lcm_sonar_file *teacher, const char *teacher_path, const lcm_sonar_data *train,
                                const lcm_sonar_data *valid, uint64_t seed);
void lcm_task_distill_free(lcm_task *task); /* NULL is allowed */

#endif
