/* An evaluation task as a small JSON file: what is read, what is given, what is asked for, what is measured.
 * The keys are described in docs/evaluation.md; examples/tasks has one file of each kind. */
#ifndef LCM_EVAL_TASK_FILE_H
#define LCM_EVAL_TASK_FILE_H

#include "base/config.h"
#include "base/mem.h"

typedef enum lcm_eval_kind {
    LCM_EVAL_NEXT = 0,   /* every sentence of a document from the true ones before it */
    LCM_EVAL_CLOZE,      /* the right ending or a wrong one */
    LCM_EVAL_COMPLETION, /* the first part given, the rest written */
    LCM_EVAL_SUMMARISE   /* a document given, a summary written */
} lcm_eval_kind;

extern const char *const lcm_eval_kind_names[]; /* ends with NULL */

enum { LCM_EVAL_TASK_FORMAT = 1, LCM_EVAL_TEMPLATE = 2048 };

typedef struct lcm_eval_task {
    int64_t format;
    int kind; /* lcm_eval_kind */
    char name[64], lang[32];
    char text_key[64], reference_key[64];  /* of JSON lines */
    int64_t given;                         /* completion: sentences of the prompt */
    int64_t sentences;                     /* written at most; references are cut to as many */
    int64_t max_given;                     /* longer contexts lose their beginning (summarise: their end); 0: never */
    int64_t max_documents;                 /* the first so many that can be used; 0: all */
    char suffix[256];                      /* sentence behind the context, for concept models; "": none */
    char prompt[LCM_EVAL_TEMPLATE];        /* what a language model continues; {text} is the context */
    char chat_prompt[LCM_EVAL_TEMPLATE];   /* what a chat model is asked */
    int64_t max_tokens;                    /* of a language model per sentence asked for */
    double temperature;                    /* of language models */
    int64_t contrast_documents, round_trips; /* next: as lcm_next_opts */
    const char **data, **metrics;          /* (n_data), (n_metrics); data is as given, not resolved */
    size_t n_data, n_metrics;
    json_t *root;                          /* what the two lists, and `where`, point into */
    json_t *where;                         /* borrowed: object of key and text that a JSON line must have; NULL: none */
    char dir[4096];                        /* folder of the task file: relative data are looked up there */
} lcm_eval_task;

/* LCM_ERR_ARG names a key that is unknown, of another type or out of range, or that the kind has no use for;
 * LCM_ERR_FORMAT for what is no JSON object, or has no "format" or "kind"; LCM_ERR_VERSION. */
lcm_status lcm_eval_task_load(lcm_ctx *ctx, lcm_eval_task *out, const char *path);
lcm_status lcm_eval_task_parse(lcm_ctx *ctx, lcm_eval_task *out, const char *text, size_t len, const char *path);
void lcm_eval_task_free(lcm_eval_task *t); /* leaves it empty */

/* Everything that changes the numbers, as JSON; NULL when out of memory. */
json_t *lcm_eval_task_facts(const lcm_eval_task *t);

/* Appends `template` with every slot replaced; what is put in is not looked at again. */
typedef struct lcm_eval_slot {
    const char *name; /* "{text}" */
    const char *text;
    size_t len;
} lcm_eval_slot;
lcm_status lcm_eval_fill(lcm_ctx *ctx, lcm_buf *out, const char *template, const lcm_eval_slot *slots, size_t n);

#endif
