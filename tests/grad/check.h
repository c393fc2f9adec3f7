/* Gradient check in double precision: what backward adds to each leaf against central differences.
 *
 * A leaf is a tensor the test owns, with values and a gradient buffer. Before backward the buffer
 * holds random values, so a pass that overwrites instead of adding is caught; a leaf with
 * needs = false must keep them to the bit. */
#ifndef TEST_GRAD_CHECK_H
#define TEST_GRAD_CHECK_H

#include "core/ops.h"

/* The function under test, of any output shape; NULL is a failure. Must be pure in the leaves. */
typedef lcm_tensor *(*grad_fn)(lcm_tape *t, void *arg);

enum { GRAD_MAX_LEAVES = 256 };

typedef struct grad_problem {
    grad_fn f;
    void *arg;
    lcm_tensor **leaf; /* entries may be NULL */
    int n_leaf;
    int64_t elementwise_up_to; /* larger leaves are checked along random directions */
    int directions;
    double abs_tol, rel_tol;   /* |analytic - numeric| <= abs_tol + rel_tol |numeric|, sign included */
} grad_problem;

typedef struct grad_report {
    int64_t checked, bad;
    int n_flat;                   /* leaves where every |numeric| < 1e-6: the check would say nothing */
    bool flat[GRAD_MAX_LEAVES];
    char first[160];              /* the first mismatch or flat leaf, for people */
} grad_report;

/* Sets the tolerances 1e-7 + 1e-5 |n|: with steps of 1e-5 max(1,|x|) the central difference of an
 * O(1) function in double is wrong by about 1e-10 from rounding and 1e-10 from the third derivative. */
grad_problem grad_problem_make(grad_fn f, void *arg, lcm_tensor **leaf, int n_leaf);

/* The upstream gradient is random. False when anything mismatched or was flat. */
bool grad_check(lcm_tape *t, const grad_problem *p, grad_report *report);

/* Leaf on the heap with its gradient buffer. */
lcm_tensor *grad_leaf_new(int64_t rows, int64_t cols);
void grad_leaf_free(lcm_tensor *x); /* NULL is allowed */

#endif
