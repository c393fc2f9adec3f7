/* The tape. */
#include "core/tape.h"

#include <stdlib.h>
#include <string.h>

struct lcm_tape {
    lcm_ctx *ctx;
    lcm_arena *arena;
    lcm_node *last;
    lcm_tape_opts opts;
    lcm_bf16 *half;
    lcm_status status;
    lcm_rng dropout;
    double flops;
    lcm_op_kind mutant;
    real mutant_factor;
    int mutant_drop;
};

const char *const lcm_op_names[LCM_OP_COUNT] = {
#define X(name) #name,
#include "core/ops.def"
#undef X
};

lcm_tape *lcm_tape_new(lcm_ctx *ctx, size_t first_chunk) {
    lcm_tape *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->ctx = ctx;
    t->arena = lcm_arena_new(first_chunk);
    t->mutant = LCM_OP_COUNT;
    if (t->arena == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void lcm_tape_free(lcm_tape *t) {
    if (t == NULL) return;
    lcm_arena_free(t->arena);
    free(t);
}

void lcm_tape_reset(lcm_tape *t, lcm_tape_opts opts) {
    lcm_arena_reset(t->arena);
    t->last = NULL;
    t->opts = opts;
    t->status = LCM_OK;
}

lcm_status lcm_tape_status(const lcm_tape *t) { return t->status; }
bool lcm_tape_recording(const lcm_tape *t) { return t->opts.record; }
bool lcm_tape_training(const lcm_tape *t) { return t->opts.train; }
void lcm_tape_set_bf16(lcm_tape *t, lcm_bf16 *half) { t->half = half; }
lcm_bf16 *lcm_tape_bf16(const lcm_tape *t) { return t->half; }
lcm_arena *lcm_tape_arena(lcm_tape *t) { return t->arena; }
double lcm_tape_flops(const lcm_tape *t) { return t->flops; }
void lcm_op_count(lcm_tape *t, double flops) { t->flops += flops; }

void lcm_tape_seed(lcm_tape *t, uint64_t seed, uint64_t step) {
    t->dropout = lcm_rng_make(seed, LCM_RNG_DROPOUT + (step << 8));
}

void lcm_tape_set_mutant(lcm_tape *t, lcm_op_kind kind, real factor, int drop) {
    t->mutant = kind;
    t->mutant_factor = factor;
    t->mutant_drop = drop;
}

void *lcm_tape_alloc(lcm_tape *t, size_t bytes) {
    void *p = t->status == LCM_OK ? lcm_arena_alloc(t->arena, bytes) : NULL;
    if (p == NULL && t->status == LCM_OK)
        t->status = lcm_fail(t->ctx, LCM_ERR_NOMEM, "out of memory: step arena holds %zu bytes, %zu more are needed",
                             lcm_arena_used(t->arena), bytes);
    return p;
}

lcm_tensor *lcm_tensor_new(lcm_tape *t, int64_t rows, int64_t cols) {
    lcm_tensor *y = lcm_tape_alloc(t, sizeof *y);
    if (y == NULL) return NULL;
    y->rows = rows;
    y->cols = cols;
    y->g = NULL;
    y->needs = false;
    y->x = lcm_tape_alloc(t, (size_t)(rows * cols) * sizeof(real));
    return y->x ? y : NULL;
}

lcm_tensor *lcm_tensor_const(lcm_tape *t, const real *x, int64_t rows, int64_t cols) {
    lcm_tensor *y = lcm_tape_alloc(t, sizeof *y);
    if (y == NULL) return NULL;
    y->rows = rows;
    y->cols = cols;
    y->g = NULL;
    y->needs = false;
    y->x = (real *)(uintptr_t)x;
    return y;
}

lcm_tensor *lcm_op_begin(lcm_tape *t, lcm_node **node, lcm_op_kind kind, lcm_backward_fn backward, int64_t rows,
                         int64_t cols, lcm_tensor *const *in, int n_in, size_t saved_size) {
    lcm_tensor *y;
    lcm_node *n;
    bool needs = false;
    *node = NULL;
    LCM_ASSERT(n_in <= LCM_MAX_INPUTS);
    for (int i = 0; i < n_in; i++) needs |= in[i] != NULL && in[i]->needs;
    y = lcm_tensor_new(t, rows, cols);
    if (y == NULL || !t->opts.record || !needs) return y;
    n = lcm_tape_alloc(t, sizeof *n);
    if (n == NULL) return NULL;
    memset(n, 0, sizeof *n);
    if (saved_size && (n->saved = lcm_tape_alloc(t, saved_size)) == NULL) return NULL;
    y->needs = true;
    n->kind = kind;
    n->backward = backward;
    n->out = y;
    for (int i = 0; i < n_in; i++) n->in[i] = in[i];
    n->prev = t->last;
    t->last = n;
    *node = n;
    return y;
}

static bool ensure_grad(lcm_tape *t, lcm_tensor *x) {
    size_t bytes = (size_t)(x->rows * x->cols) * sizeof(real);
    if (x->g) return true;
    x->g = lcm_tape_alloc(t, bytes);
    if (x->g) memset(x->g, 0, bytes);
    return x->g != NULL;
}

static lcm_status run_mutant(lcm_tape *t, lcm_node *n) {
    int64_t size = n->out->rows * n->out->cols;
    lcm_tensor *victim = t->mutant_drop >= 0 && t->mutant_drop < LCM_MAX_INPUTS ? n->in[t->mutant_drop] : NULL;
    real *before = NULL;
    size_t bytes = 0;
    for (int64_t i = 0; i < size; i++) n->out->g[i] *= t->mutant_factor;
    if (lcm_grad(victim)) {
        bytes = (size_t)(victim->rows * victim->cols) * sizeof(real);
        before = lcm_tape_alloc(t, bytes);
        if (before == NULL) return t->status;
        memcpy(before, victim->g, bytes);
    }
    n->backward(n);
    if (before) memcpy(victim->g, before, bytes);
    return LCM_OK;
}

lcm_status lcm_tape_backward(lcm_tape *t, lcm_tensor *out, const real *upstream) {
    if (t->status) return t->status;
    LCM_ASSERT(t->opts.record && out != NULL);
    if (!out->needs) return LCM_OK;
    if (!ensure_grad(t, out)) return t->status;
    for (int64_t i = 0; i < out->rows * out->cols; i++) out->g[i] += upstream ? upstream[i] : 1;
    for (lcm_node *n = t->last; n; n = n->prev) {
        if (n->out->g == NULL) continue; /* does not lead to `out` */
        for (int i = 0; i < LCM_MAX_INPUTS; i++)
            if (n->in[i] && n->in[i]->needs && !ensure_grad(t, n->in[i])) return t->status;
        if (n->kind == t->mutant) LCM_TRY(run_mutant(t, n));
        else n->backward(n);
    }
    return t->status;
}

uint64_t lcm_tape_next_dropout(lcm_tape *t, uint64_t *seed) {
    *seed = t->dropout.seed;
    return t->dropout.stream ^ (++t->dropout.index << 40);
}
