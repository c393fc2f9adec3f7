/* Parameter sets. */
#include "nn/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lcm_tensor *add(lcm_params *p, int64_t rows, int64_t cols, bool is_vector, lcm_init init, const char *fmt, va_list ap) {
    lcm_param *q;
    if (p->status) return NULL;
    q = calloc(1, sizeof *q);
    if (q == NULL || lcm_grow(p->ctx, &p->items, &p->cap, p->n + 1, sizeof *p->items) != LCM_OK) {
        free(q);
        p->status = lcm_fail(p->ctx, LCM_ERR_NOMEM, "out of memory: parameter %zu", p->n);
        return NULL;
    }
    vsnprintf(q->name, sizeof q->name, fmt, ap);
    q->t.rows = rows;
    q->t.cols = cols;
    q->is_vector = is_vector;
    q->init = init;
    q->offset = p->n_flat;
    p->count += rows * cols;
    p->n_flat += (rows * cols + 15) / 16 * 16;
    p->items[p->n++] = q;
    return &q->t;
}

lcm_tensor *lcm_params_matrix(lcm_params *p, int64_t rows, int64_t cols, lcm_init init, const char *fmt, ...) {
    va_list ap;
    lcm_tensor *t;
    va_start(ap, fmt);
    t = add(p, rows, cols, false, init, fmt, ap);
    va_end(ap);
    return t;
}

lcm_tensor *lcm_params_vector(lcm_params *p, int64_t cols, lcm_init init, const char *fmt, ...) {
    va_list ap;
    lcm_tensor *t;
    va_start(ap, fmt);
    t = add(p, 1, cols, true, init, fmt, ap);
    va_end(ap);
    return t;
}

static real *flat_new(int64_t n) {
    size_t bytes = (size_t)n * sizeof(real);
    real *x = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (x) memset(x, 0, bytes);
    return x;
}

lcm_status lcm_params_alloc(lcm_ctx *ctx, lcm_params *p, bool with_grad) {
    if (p->status) return p->status;
    p->x = flat_new(p->n_flat);
    p->g = with_grad ? flat_new(p->n_flat) : NULL;
    if (p->x == NULL || (with_grad && p->g == NULL))
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %lld parameters need %.1f GB", (long long)p->count,
                 (double)p->n_flat * sizeof(real) * (with_grad ? 2 : 1) / 1e9);
    for (size_t i = 0; i < p->n; i++) {
        lcm_param *q = p->items[i];
        q->t.x = p->x + q->offset;
        q->t.g = with_grad ? p->g + q->offset : NULL;
        q->t.needs = with_grad;
    }
    return LCM_OK;
}

void lcm_params_init(lcm_params *p, uint64_t seed) {
    for (size_t i = 0; i < p->n; i++) {
        lcm_param *q = p->items[i];
        lcm_rng r = lcm_rng_make(seed, LCM_RNG_INIT + ((uint64_t)(i + 1) << 8));
        int64_t n = q->t.rows * q->t.cols;
        for (int64_t k = 0; k < n; k++) {
            double v = 0;
            switch (q->init.kind) {
            case LCM_INIT_ZERO: break;
            case LCM_INIT_ONE: v = 1; break;
            case LCM_INIT_CONST: v = q->init.arg; break;
            case LCM_INIT_UNIFORM: v = (2 * lcm_rng_uniform(&r) - 1) * q->init.arg; break;
            case LCM_INIT_NORMAL: v = lcm_rng_normal(&r) * q->init.arg; break;
            }
            q->t.x[k] = (real)v;
        }
    }
}

void lcm_params_free(lcm_params *p) {
    for (size_t i = 0; i < p->n; i++) free(p->items[i]);
    free(p->items);
    free(p->x);
    free(p->g);
    memset(p, 0, sizeof *p);
}

lcm_param *lcm_params_find(const lcm_params *p, const char *name) {
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->items[i]->name, name) == 0) return p->items[i];
    return NULL;
}

int64_t lcm_params_freeze(lcm_params *p, const char *prefix, bool frozen) {
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (strncmp(p->items[i]->name, prefix, strlen(prefix)) == 0) {
            p->items[i]->t.needs = !frozen && p->g != NULL;
            n++;
        }
    return n;
}

int64_t lcm_params_count(const lcm_params *p, const char *prefix) {
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (strncmp(p->items[i]->name, prefix, strlen(prefix)) == 0) n += p->items[i]->t.rows * p->items[i]->t.cols;
    return n;
}

int64_t lcm_params_trainable(const lcm_params *p) {
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i]->t.needs) n += p->items[i]->t.rows * p->items[i]->t.cols;
    return n;
}
