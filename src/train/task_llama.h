/* Training task: next-token prediction on documents (smaLlama).
 *
 * A document is <s> tokens </s>: every token and </s> is predicted once. One longer than the window is
 * cut into windows, each read from position 0; nothing is dropped. */
#ifndef LCM_TASK_LLAMA_H
#define LCM_TASK_LLAMA_H

#include "data/corpus.h"
#include "data/pack.h"
#include "llama/llama_io.h"
#include "train/trainer.h"

typedef struct lcm_task_llama_config {
    int64_t batch_tokens;  /* predicted tokens per micro-batch */
    int64_t window;        /* tokens read at once; 0 = the model's, or batch_tokens if that is less */
    int64_t group;         /* windows grouped by length before batches are cut; 0 = no grouping */
    int64_t valid_batches; /* micro-batches per validation, 0 = all */
    double label_smoothing;
} lcm_task_llama_config;

extern const lcm_field lcm_task_llama_fields[];
lcm_task_llama_config lcm_task_llama_config_default(void);

/* A document per entry of a corpus that was read with `presegmented`. Ids are the tokeniser's. model, tok
 * and corpora are borrowed until lcm_task_llama_free. valid may be NULL. LCM_ERR_ARG: window or budget. */
lcm_status lcm_task_llama_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_llama_config *config, lcm_llama *model,
                              const lcm_tokenizer *tok, const lcm_corpus *train, const lcm_corpus *valid, uint64_t seed);
void lcm_task_llama_free(lcm_task *task);

#endif
