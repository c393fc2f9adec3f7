/* Tensors and the tape: define-by-run reverse-mode differentiation over an arena.
 *
 * A tensor is a dense row-major matrix (rows, cols); a vector is (1, cols). An op allocates its
 * output in the tape's arena, computes it at once and, when recording, leaves a node that knows
 * how to push the output's gradient to its inputs. lcm_tape_backward walks the nodes in reverse.
 * Nothing is freed one by one: lcm_tape_reset returns the arena to its start, and a step of the
 * same size allocates nothing.
 *
 * Failure is sticky: when memory runs out an op returns NULL, every op given a NULL returns NULL,
 * and lcm_tape_status tells. Shapes are invariants of the models, so ops assert them. */
#ifndef LCM_TAPE_H
#define LCM_TAPE_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/act.h"
#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "kernels/real.h"
#include "kernels/rows.h"

typedef struct lcm_tensor {
    int64_t rows, cols;
    real *x;    /* values */
    real *g;    /* gradient; NULL until the backward pass needs it (parameters: always there) */
    bool needs; /* whether a gradient is wanted */
} lcm_tensor;

typedef enum lcm_op_kind {
#define X(name) LCM_OP_##name,
#include "core/ops.def"
#undef X
    LCM_OP_COUNT
} lcm_op_kind;

extern const char *const lcm_op_names[LCM_OP_COUNT];

typedef struct lcm_tape lcm_tape;

typedef struct lcm_tape_opts {
    bool record; /* keep nodes for backward */
    bool train;  /* dropout active */
} lcm_tape_opts;

lcm_tape *lcm_tape_new(lcm_ctx *ctx, size_t first_chunk); /* NULL when out of memory */
void lcm_tape_free(lcm_tape *t);
void lcm_tape_reset(lcm_tape *t, lcm_tape_opts opts);
lcm_status lcm_tape_status(const lcm_tape *t); /* LCM_OK or LCM_ERR_NOMEM, with message in ctx */
bool lcm_tape_recording(const lcm_tape *t);
bool lcm_tape_training(const lcm_tape *t);
lcm_arena *lcm_tape_arena(lcm_tape *t);
/* Position of the dropout stream: a function of (seed, step), so that resume is exact. */
void lcm_tape_seed(lcm_tape *t, uint64_t seed, uint64_t step);

/* Products of the ops that follow run in the precision of `half` (borrowed); NULL, the default, is f32. */
void lcm_tape_set_bf16(lcm_tape *t, lcm_bf16 *half);
lcm_bf16 *lcm_tape_bf16(const lcm_tape *t);

/* Scratch in the step arena; sets the sticky status on failure. */
void *lcm_tape_alloc(lcm_tape *t, size_t bytes);

/* Floating-point operations of matrix products since the tape was made (a reset keeps the count): multiply and add
 * are two. Forward passes as computed, backward passes as recorded: a product for every operand that wants a
 * gradient. What attention computes again in its backward pass does not count. */
double lcm_tape_flops(const lcm_tape *t);

/* New uninitialised tensor; a constant over caller memory; a copy of caller data. */
lcm_tensor *lcm_tensor_new(lcm_tape *t, int64_t rows, int64_t cols);
lcm_tensor *lcm_tensor_const(lcm_tape *t, const real *x, int64_t rows, int64_t cols); /* borrowed until reset */

/* Seeds d(loss)/d(out) = `upstream` (NULL = ones) and accumulates into every tensor that needs it. */
lcm_status lcm_tape_backward(lcm_tape *t, lcm_tensor *out, const real *upstream);

/* For the tests of the gradient checker itself: damages the backward pass of one kind of op.
 * factor scales the gradient that reaches the node; drop >= 0 throws away what it adds to that
 * input. kind = LCM_OP_COUNT switches it off. */
void lcm_tape_set_mutant(lcm_tape *t, lcm_op_kind kind, real factor, int drop);

/* ---- used by ops ---- */
enum { LCM_MAX_INPUTS = 5 };
typedef struct lcm_node lcm_node;
typedef void (*lcm_backward_fn)(lcm_node *n);
struct lcm_node {
    lcm_op_kind kind;
    lcm_backward_fn backward;
    lcm_node *prev;
    lcm_tensor *out, *in[LCM_MAX_INPUTS];
    void *saved; /* op-specific, in the arena */
};
/* Output tensor (needs = any input needs) and, when recording and needed, its node; *node is NULL
 * when no gradient is wanted. `saved_size` bytes are put at node->saved. */
lcm_tensor *lcm_op_begin(lcm_tape *t, lcm_node **node, lcm_op_kind kind, lcm_backward_fn backward, int64_t rows,
                         int64_t cols, lcm_tensor *const *in, int n_in, size_t saved_size);
void lcm_op_count(lcm_tape *t, double flops); /* adds to lcm_tape_flops */
/* 1 for an input whose gradient the node will push, else 0: each costs a product more. */
static inline int lcm_pushes(const lcm_node *n, const lcm_tensor *x) { return n && x->needs; }
/* Gradient buffer of an input that needs one, else NULL. Always allocated before backward runs. */
static inline real *lcm_grad(const lcm_tensor *x) { return x && x->needs ? x->g : NULL; }


/* Seed and stream of the next dropout op: one stream per op and step. */
uint64_t lcm_tape_next_dropout(lcm_tape *t, uint64_t *seed);

#endif
