/* The training loop: knows optimiser, schedule, clipping, averaging, checkpoints and logs, and no
 * model by name. What is trained is a task; everything random in a step is a function of
 * (seed, step), so a resumed run gives the bits of an uninterrupted one.
 *
 *   RUN/config.json     the configuration as resolved
 *   RUN/metrics.jsonl   one JSON object per step; after a resume the lines beyond it are cut off
 *   RUN/step_N/         model.safetensors (usable as it is) and trainer.safetensors */
#ifndef LCM_TRAINER_H
#define LCM_TRAINER_H

#include <jansson.h>

#include "modelfile/train_record.h"
#include "nn/params.h"
#include "train/adamw.h"
#include "train/lr_schedule.h"

enum lcm_precision { LCM_PRECISION_F32, LCM_PRECISION_BF16 };

typedef struct lcm_trainer_config {
    char run[1024];            /* run folder */
    int64_t seed;
    lcm_adamw_config adamw;
    lcm_lr_config lr;          /* max_steps is here */
    int precision;             /* of matrix products: enum lcm_precision */
    int64_t accumulate;        /* micro-batches per step */
    double max_grad_norm;      /* 0 = no clipping */
    double ema_decay;          /* 0 = none; the saved model is the average when on */
    int64_t validate_every, checkpoint_every, keep_last, log_every;
    int64_t max_skipped;       /* steps with a non-finite loss or gradient before giving up */
} lcm_trainer_config;

extern const lcm_field lcm_trainer_fields[];
lcm_trainer_config lcm_trainer_config_default(void);

enum { LCM_TASK_METRICS = 8, LCM_TASK_STATE = 4 };

typedef struct lcm_metric {
    const char *name;
    double sum, weight; /* reported: sum / weight */
} lcm_metric;

typedef struct lcm_task_loss {
    lcm_tensor *out;   /* (1,1), the sum over targets */
    double sum, count; /* gradients are divided by the step's count; reported loss is sum/count */
    double items;      /* unit of speed: tokens or concepts read */
    int n_metrics;
    lcm_metric metrics[LCM_TASK_METRICS];
} lcm_task_loss;

typedef struct lcm_task {
    void *self;
    lcm_params *params;
    const char *unit; /* "tokens", "concepts" */
    /* Loss of the next micro-batch, on a tape that was just reset. draw = step * accumulate + micro. */
    lcm_status (*loss)(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out);
    /* Fills metrics (names prefixed "valid_" by the trainer); the tape is free to use. */
    lcm_status (*validate)(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out);
    /* Writes the model with the parameter values `x` (flat block, may differ from params->x). */
    lcm_status (*write_model)(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out);
    /* Position in the data. */
    void (*tell)(void *self, int64_t state[LCM_TASK_STATE]);
    lcm_status (*seek)(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]);
    lcm_train_record record; /* the run so far, kept by the trainer; write_model puts it into the file */
} lcm_task;

typedef struct lcm_train_report {
    int64_t step, max_steps, skipped;
    double loss, lr, grad_norm, items_per_second, seconds_left;
    double items; /* since the beginning of the run */
    const char *unit;
    const char *note; /* e.g. the last validation, "" at first */
} lcm_train_report;

/* Return false to stop: a checkpoint is written and LCM_ERR_CANCELLED returned. */
typedef bool (*lcm_train_progress_fn)(void *user, const lcm_train_report *r);

/* Runs to max_steps, from the newest checkpoint of the run folder if there is one.
 * LCM_ERR_NUMERIC names the first tensor that is not finite; LCM_ERR_BUSY when another process
 * trains in the folder; LCM_ERR_ARG when the folder holds a run of another configuration. */
lcm_status lcm_train_loop(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                          lcm_train_progress_fn progress, void *user);

/* Directional derivatives of the task's first batch against central differences, one random
 * direction per parameter tensor; returns the worst relative error. Meant for the f64 build. */
lcm_status lcm_train_check_grad(lcm_ctx *ctx, lcm_task *task, uint64_t seed, int64_t directions, double *worst,
                                char *worst_name, size_t cap);

#endif
