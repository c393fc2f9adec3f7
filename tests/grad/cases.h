/* One entry per line of core/ops.def, each with its variants: what the gradient checks, the
 * mutants and the freezing checks run on. */
#ifndef TEST_GRAD_CASES_H
#define TEST_GRAD_CASES_H

#include "grad/check.h"

enum { SPREAD = 1 }; /* distinct values, all far from 0 and from each other: for kinks and ties */

typedef struct op_variant {
    const char *name;
    /* in[i] is the tensor that the op records as its input i (mutants drop by that number) */
    lcm_tensor *(*run)(lcm_tape *t, lcm_tensor *const *in, int arg);
    int arg;
    int64_t in[LCM_MAX_INPUTS][3]; /* rows, cols, how it is filled; rows 0: absent */
} op_variant;

typedef struct op_case {
    const op_variant *variants;
    int n;
} op_case;

extern const op_case op_cases[LCM_OP_COUNT];

/* A variant with its inputs drawn. */
typedef struct op_problem {
    const op_variant *variant;
    lcm_tensor *in[LCM_MAX_INPUTS];
    grad_problem check;
} op_problem;

void op_problem_init(op_problem *p, const op_variant *v); /* p must stay where it is */
void op_problem_free(op_problem *p);

#endif
