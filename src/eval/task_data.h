/* The documents of a task, cut into what is given and what is compared with; what could not be used is counted. */
#ifndef LCM_EVAL_TASK_DATA_H
#define LCM_EVAL_TASK_DATA_H

#include "eval/results.h"
#include "eval/sentences.h"
#include "eval/task_file.h"

typedef struct lcm_task_data {
    lcm_sentences given;     /* document i: the context of item i; next: the whole document */
    lcm_sentences reference; /* document i: what truly follows; cloze: right, wrong, and wrong with this story's
                                names if there is one; next: nothing */
    int64_t n;
    int64_t cut_given, cut_reference; /* items that lost sentences to max_given or to `sentences` */
} lcm_task_data;

/* Reads task->data, or `inputs` when n_inputs > 0, into *out and counts into *results: files, documents named
 * FILE:LINE (FILE without its folders), sentences, what was skipped and why. Named files only: .txt has a document
 * per line, .jsonl an object per line, both also .zst; "-" is text.
 * LCM_ERR_ARG: no data, a folder, a line kind that the task cannot use; LCM_ERR_FORMAT: no item is left. */
lcm_status lcm_task_data_read(lcm_ctx *ctx, lcm_task_data *out, lcm_results *results, const lcm_eval_task *task,
                              const char *const *inputs, size_t n_inputs);
void lcm_task_data_free(lcm_task_data *d); /* leaves it empty */

/* Appends sentences first … first+count-1 with one space between. */
lcm_status lcm_sentences_join(lcm_ctx *ctx, lcm_buf *out, const lcm_sentences *s, int64_t first, int64_t count);
/* Appends the sentences of a text as one document, `max` at most (0: all); *cut (may be NULL) grows by those left out. */
lcm_status lcm_sentences_cut(lcm_ctx *ctx, lcm_sentences *out, int64_t *cut, const char *text, size_t len, const char *lang,
                             int64_t max);

#endif
