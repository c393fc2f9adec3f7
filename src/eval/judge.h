/* A language model as judge: it is asked for a mark, and the first number of its answer is the mark. */
#ifndef LCM_EVAL_JUDGE_H
#define LCM_EVAL_JUDGE_H

#include "eval/task_score.h"
#include "lcm/eval_run.h"

typedef struct lcm_judge_count { /* sums over calls; start with {0} */
    int64_t asked, unreadable;   /* answers without a number in lo … hi: these documents have no mark */
} lcm_judge_count;

/* values (documents). A text that is empty is not shown to the judge: it has no mark. LCM_ERR_ARG: the prompt lacks
 * {text}, or lo >= hi; LCM_ERR_IO: the judge does not answer. */
lcm_status lcm_judge_texts(lcm_ctx *ctx, double *values, lcm_judge_count *count, const lcm_eval_judge *judge, const lcm_written *w);

/* The first number of an answer such as "Score: 4.5 of 5"; false when there is none in lo … hi. */
bool lcm_judge_mark(double *mark, const char *answer, double lo, double hi);

#endif
