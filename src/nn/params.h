/* Parameters of a model: named tensors in one flat, 64-byte-aligned block.
 *
 * A model registers its tensors in a fixed order, then lcm_params_alloc lays them out; the flat
 * block is what the optimiser, the checkpoint and data-parallel sums see. Names are those of the
 * reference implementations, so files can be exchanged. */
#ifndef LCM_PARAMS_H
#define LCM_PARAMS_H

#include "core/tape.h"

typedef enum lcm_init_kind {
    LCM_INIT_ZERO = 0,
    LCM_INIT_ONE,
    LCM_INIT_CONST,   /* arg */
    LCM_INIT_UNIFORM, /* U(-arg, arg) */
    LCM_INIT_NORMAL   /* N(0, arg^2) */
} lcm_init_kind;

typedef struct lcm_init {
    lcm_init_kind kind;
    double arg;
} lcm_init;

enum { LCM_PARAM_NAME = 128 };

typedef struct lcm_param {
    char name[LCM_PARAM_NAME];
    lcm_tensor t; /* (rows, cols); a vector is (1, cols) */
    bool is_vector;
    lcm_init init;
    int64_t offset; /* in values, within the flat block */
} lcm_param;

typedef struct lcm_params {
    lcm_ctx *ctx;
    lcm_param **items;
    size_t n, cap;
    int64_t count;   /* parameters */
    int64_t n_flat;  /* values in the flat block, including alignment gaps (kept at zero) */
    real *x, *g;     /* flat blocks; g NULL when not training */
    lcm_status status;
} lcm_params;

/* Registration; the returned tensor stays valid until lcm_params_free, its memory appears with
 * lcm_params_alloc. Failure is sticky in p->status and gives NULL. */
lcm_tensor *lcm_params_matrix(lcm_params *p, int64_t rows, int64_t cols, lcm_init init, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
lcm_tensor *lcm_params_vector(lcm_params *p, int64_t cols, lcm_init init, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Lays out and zeroes the block; with_grad adds the gradient block and marks tensors as wanting
 * gradients. LCM_ERR_NOMEM names the size. */
lcm_status lcm_params_alloc(lcm_ctx *ctx, lcm_params *p, bool with_grad);
/* Draws initial values: a function of (seed, parameter index, element). */
void lcm_params_init(lcm_params *p, uint64_t seed);
void lcm_params_free(lcm_params *p);
lcm_param *lcm_params_find(const lcm_params *p, const char *name); /* NULL when absent */
/* Freezes (or thaws) every parameter whose name begins with `prefix`; returns how many. */
int64_t lcm_params_freeze(lcm_params *p, const char *prefix, bool frozen);
/* Values of the parameters whose names begin with `prefix`. */
int64_t lcm_params_count(const lcm_params *p, const char *prefix);
/* Values of the parameters that want a gradient; 0 without gradient blocks. */
int64_t lcm_params_trainable(const lcm_params *p);

#endif
