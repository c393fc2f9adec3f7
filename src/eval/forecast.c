/* Concept models, and the baselines that need no search. */
#include "eval/forecast.h"

#include <stdlib.h>
#include <string.h>

#include "eval/nearest.h"
#include "kernels/simd.h"
#include "lcm/registry.h"

enum { GROUP = 256, STORE_BLOCK = 4096 };

int64_t lcm_forecast_rows(const lcm_forecast_job *job) {
    int64_t rows = 0;
    for (int64_t d = 0; d < job->n; d++) rows += job->to[d] - job->from[d];
    return rows;
}

void lcm_forecast_noise(void *seed, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    lcm_rng rng = lcm_rng_make(*(const uint64_t *)seed, LCM_RNG_SAMPLE + (doc << 8) + ((uint64_t)index << 40));
    rng.index = (uint64_t)call * 2 * (uint64_t)D;
    for (int64_t i = 0; i < D; i++) out[i] = (real)lcm_rng_normal(&rng);
}

/* ---- concept models: documents of a group advance together, one position per step ---- */

typedef struct group {
    const lcm_forecast_job *job;
    int64_t first, n;      /* documents */
    real *x, *fresh;       /* what is fed; what comes out */
    int32_t *slot, *off;   /* of the documents fed or asked */
    int64_t row[GROUP], index[GROUP];
    uint64_t doc[GROUP];
    lcm_predictor *p;
} group;

static void put_concepts(group *g, int64_t at, int64_t d, int64_t first, int64_t count) {
    int64_t D = g->job->D;
    memcpy(g->x + at * D, g->job->x + (g->job->off[d] + first) * D, (size_t)(count * D) * sizeof *g->x);
}

static lcm_status feed_prefixes(lcm_ctx *ctx, group *g) {
    g->off[0] = 0;
    for (int64_t i = 0; i < g->n; i++) {
        int64_t d = g->first + i;
        put_concepts(g, g->off[i], d, 0, g->job->from[d]);
        g->slot[i] = (int32_t)i;
        g->off[i + 1] = g->off[i] + g->job->from[d];
    }
    return g->p->feed(ctx, g->p, g->x, g->n, g->slot, g->off);
}

/* Asks for position from + step of every document that has it. */
static lcm_status ask(lcm_ctx *ctx, group *g, real *out, int64_t step, uint64_t *seed, int64_t *n) {
    const lcm_forecast_job *job = g->job;
    lcm_concept_noise noise = {lcm_forecast_noise, seed};
    lcm_asked asked = {0, g->slot, g->doc, g->index};
    int64_t D = job->D;
    for (int64_t i = 0; i < g->n; i++) {
        int64_t d = g->first + i;
        if (job->from[d] + step >= job->to[d]) continue;
        g->slot[asked.n] = (int32_t)i;
        g->doc[asked.n] = (uint64_t)d;
        g->index[asked.n++] = job->from[d] + step;
    }
    *n = asked.n;
    if (asked.n == 0) return LCM_OK;
    LCM_TRY(g->p->next(ctx, g->p, g->fresh, &asked, &noise));
    for (int64_t k = 0; k < asked.n; k++)
        memcpy(out + (g->row[g->slot[k]] + step) * D, g->fresh + k * D, (size_t)D * sizeof *out);
    return LCM_OK;
}

static lcm_status feed_step(lcm_ctx *ctx, group *g, int64_t step) {
    const lcm_forecast_job *job = g->job;
    int64_t n = 0;
    for (int64_t i = 0; i < g->n; i++) {
        int64_t d = g->first + i;
        if (job->from[d] + step + 1 >= job->to[d]) continue;
        put_concepts(g, n, d, job->from[d] + step, 1);
        g->off[n] = (int32_t)n;
        g->slot[n++] = (int32_t)i;
    }
    g->off[n] = (int32_t)n;
    return n ? g->p->feed(ctx, g->p, g->x, n, g->slot, g->off) : LCM_OK;
}

static lcm_status run_group(lcm_ctx *ctx, group *g, real *out, const lcm_forecaster *f, uint64_t seed) {
    int64_t cap = 0, room = 0, left = 1;
    lcm_status st;
    for (int64_t d = g->first; d < g->first + g->n; d++) {
        cap = lcm_max_i(cap, g->job->to[d] - 1);
        room += g->job->from[d];
    }
    if (cap > f->model->max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "a context of %lld concepts, '%s' reads %lld", (long long)cap, f->name,
                 (long long)f->model->max_seq_len);
    st = lcm_calloc(ctx, &g->x, (size_t)(room * g->job->D), sizeof *g->x);
    if (st == LCM_OK) st = lcm_calloc(ctx, &g->fresh, (size_t)(g->n * g->job->D), sizeof *g->fresh);
    if (st == LCM_OK) st = lcm_calloc(ctx, &g->slot, (size_t)g->n, sizeof *g->slot);
    if (st == LCM_OK) st = lcm_calloc(ctx, &g->off, (size_t)g->n + 1, sizeof *g->off);
    if (st == LCM_OK) st = f->model->type->predictor_new(ctx, &g->p, f->model, &f->config, g->n, cap);
    if (st == LCM_OK) st = feed_prefixes(ctx, g);
    for (int64_t step = 0; st == LCM_OK && left > 0; step++) {
        st = ask(ctx, g, out, step, &seed, &left);
        if (st == LCM_OK) st = feed_step(ctx, g, step);
    }
    if (g->p) g->p->free(g->p);
    free(g->x);
    free(g->fresh);
    free(g->slot);
    free(g->off);
    return st;
}

static lcm_status predict_model(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    int64_t row = 0;
    if (job->D != f->model->embed_dim)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "vectors of %lld, '%s' reads %lld", (long long)job->D, f->name,
                 (long long)f->model->embed_dim);
    for (int64_t d = 0; d < job->n; d += GROUP) {
        group g = {.job = job, .first = d, .n = lcm_min_i(GROUP, job->n - d)};
        for (int64_t i = 0; i < g.n; row += job->to[d + i] - job->from[d + i], i++) g.row[i] = row;
        LCM_TRY(run_group(ctx, &g, out, f, seed));
    }
    return LCM_OK;
}

lcm_forecaster lcm_forecast_model(const lcm_model *m, const char *file, const lcm_predict_config *config) {
    lcm_forecaster f = {.name = m->type->name, .file = file, .parameters = lcm_model_parameters(m),
                        .fixed = lcm_model_fixed(m), .predict = predict_model,
                        .model = (lcm_model *)(uintptr_t)m, .config = *config};
    f.seeded = m->schedule != NULL || config->temperature > 0;
    return f;
}

/* ---- baselines ---- */

/* Copies the concept `shift` before the one asked for. */
static void copy_true(real *out, const lcm_forecast_job *job, int64_t shift) {
    int64_t row = 0, D = job->D;
    for (int64_t d = 0; d < job->n; d++)
        for (int64_t t = job->from[d]; t < job->to[d]; t++, row++)
            memcpy(out + row * D, job->x + (job->off[d] + t - shift) * D, (size_t)D * sizeof *out);
}

static lcm_status predict_truth(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    (void)ctx;
    (void)f;
    (void)seed;
    copy_true(out, job, 0);
    return LCM_OK;
}

static lcm_status predict_last(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    (void)ctx;
    (void)f;
    (void)seed;
    copy_true(out, job, 1);
    return LCM_OK;
}

static lcm_status store_mean(lcm_ctx *ctx, double *mean, real *block, const lcm_store *s) {
    int64_t n = lcm_store_n_concepts(s), D = lcm_store_dim(s);
    for (int64_t i = 0; i < n; i += STORE_BLOCK) {
        int64_t count = lcm_min_i(STORE_BLOCK, n - i);
        LCM_TRY(lcm_store_vectors(ctx, block, s, i, count));
        for (int64_t k = 0; k < count * D; k++) mean[k % D] += (double)block[k];
    }
    for (int64_t k = 0; k < D; k++) mean[k] /= (double)n;
    return LCM_OK;
}

static lcm_status predict_mean(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    int64_t D = job->D, rows = lcm_forecast_rows(job);
    double *mean = NULL;
    real *block = NULL;
    lcm_status st = lcm_calloc(ctx, &mean, (size_t)D, sizeof *mean);
    (void)seed;
    if (st == LCM_OK) st = lcm_calloc(ctx, &block, (size_t)(STORE_BLOCK * D), sizeof *block);
    if (st == LCM_OK) st = store_mean(ctx, mean, block, f->train);
    for (int64_t k = 0; st == LCM_OK && k < rows * D; k++) out[k] = (real)mean[k % D];
    free(mean);
    free(block);
    return st;
}

static lcm_status predict_nearest(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job,
                                  uint64_t seed) {
    (void)seed;
    copy_true(out, job, 1);
    return lcm_nearest_successor(ctx, out, lcm_forecast_rows(job), f->train);
}

const lcm_baseline lcm_baselines[] = {{"truth", false, true, predict_truth},
                                      {"copy-last", false, false, predict_last},
                                      {"mean", true, false, predict_mean},
                                      {"nearest", true, false, predict_nearest},
                                      {0}};

lcm_forecaster lcm_forecast_baseline(const lcm_baseline *b, const lcm_store *train) {
    return (lcm_forecaster){.name = b->name, .predict = b->predict, .train = train};
}
