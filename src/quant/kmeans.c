/* k-means. */
#include "quant/kmeans.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/distance.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"

enum { ROWS = 128, COLUMNS = 64, EXTRA_ROUNDS = 16 };

/* ---- search ---- */

int64_t lcm_kmeans_scratch(int64_t units) { return units * (1 + (int64_t)omp_get_max_threads() * ROWS); }

LCM_CLONES static real half_square(const real *c, int64_t D) {
    real s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t i = 0; i < D; i++) s += c[i] * c[i];
    return s / 2;
}

/* First of the smallest s[u] + half[u]; s is overwritten with the sums. */
LCM_CLONES static int32_t smallest(real *s, const real *half, int64_t U) {
    real low = INFINITY;
    int32_t u = 0;
    LCM_PRAGMA(omp simd reduction(min : low))
    for (int64_t i = 0; i < U; i++) {
        s[i] += half[i];
        low = s[i] < low ? s[i] : low;
    }
    while (u < U - 1 && s[u] != low) u++; /* ends with a NaN, too */
    return u;
}

/* |x - c|^2 / 2 is |c|^2 / 2 - x.c up to a term of x alone. */
static void search(int32_t *unit, double *error, const real *x, int64_t n, const real *c, const real *half, int64_t U,
                   int64_t D, real *scores) {
    lcm_k_gemm(false, true, n, U, D, -1, x, D, c, D, 0, scores, U);
    for (int64_t r = 0; r < n; r++) {
        unit[r] = smallest(scores + r * U, half, U);
        if (error) error[r] = lcm_squared_distance(x + r * D, c + unit[r] * D, D);
    }
}

/* Every block is a product of one thread, so its bits do not depend on how many there are. */
void lcm_kmeans_nearest(int32_t *unit, double *error, const real *x, int64_t n, const real *c, int64_t U, int64_t D,
                        real *scratch) {
    real *half = scratch + (lcm_kmeans_scratch(U) - U);
    for (int64_t u = 0; u < U; u++) half[u] = half_square(c + u * D, D);
    LCM_PARALLEL_FOR_IF(n > ROWS)
    for (int64_t r = 0; r < n; r += ROWS)
        search(unit + r, error ? error + r : NULL, x + r * D, lcm_min_i(ROWS, n - r), c, half, U, D,
               scratch + omp_get_thread_num() * ROWS * U);
}

/* ---- fit ---- */

typedef struct fit {
    lcm_kmeans_config config;
    real *c;
    const real *x;
    int32_t *unit;
    double *error, *sum; /* (n), (U,D) */
    int64_t *count;      /* (U) */
    real *scratch;
    int64_t n, U, D;
    lcm_rng rng;
} fit;

static lcm_status begin(lcm_ctx *ctx, fit *f) {
    int64_t *order;
    LCM_TRY(lcm_calloc(ctx, &order, (size_t)f->n, sizeof *order));
    for (int64_t i = 0; i < f->n; i++) order[i] = i;
    lcm_rng_shuffle(&f->rng, order, f->n);
    for (int64_t u = 0; u < f->U; u++) memcpy(f->c + u * f->D, f->x + order[u] * f->D, (size_t)f->D * sizeof *f->c);
    free(order);
    return LCM_OK;
}

static double assign(fit *f) {
    double total = 0;
    lcm_kmeans_nearest(f->unit, f->error, f->x, f->n, f->c, f->U, f->D, f->scratch);
    memset(f->count, 0, (size_t)f->U * sizeof *f->count);
    for (int64_t r = 0; r < f->n; r++) {
        f->count[f->unit[r]]++;
        total += f->error[r];
    }
    return total;
}

LCM_CLONES static void add_columns(double *sum, const real *x, const int32_t *unit, int64_t n, int64_t D, int64_t c0,
                                   int64_t c1) {
    for (int64_t r = 0; r < n; r++) {
        double *s = sum + unit[r] * D;
        LCM_SIMD
        for (int64_t c = c0; c < c1; c++) s[c] += (double)x[r * D + c];
    }
}

static void move_to_means(fit *f) {
    memset(f->sum, 0, (size_t)(f->U * f->D) * sizeof *f->sum);
    LCM_PARALLEL_FOR
    for (int64_t c = 0; c < f->D; c += COLUMNS)
        add_columns(f->sum, f->x, f->unit, f->n, f->D, c, lcm_min_i(c + COLUMNS, f->D));
    for (int64_t u = 0; u < f->U; u++)
        for (int64_t c = 0; c < f->D && f->count[u]; c++)
            f->c[u * f->D + c] = (real)(f->sum[u * f->D + c] / (double)f->count[u]);
}

/* A row drawn in proportion to its error, which is then spent; -1 when no row has any. */
static int64_t draw_row(fit *f) {
    double total = 0, at;
    int64_t last = -1;
    for (int64_t r = 0; r < f->n; r++) total += f->error[r];
    at = lcm_rng_uniform(&f->rng) * total;
    for (int64_t r = 0; r < f->n; r++) {
        if (f->error[r] == 0) continue;
        last = r;
        at -= f->error[r];
        if (at < 0) break;
    }
    if (last >= 0) f->error[last] = 0;
    return last;
}

static int64_t revive(fit *f) {
    int64_t n = 0;
    for (int64_t u = 0; u < f->U; u++) {
        int64_t r = f->count[u] ? -1 : draw_row(f);
        if (r < 0) continue;
        memcpy(f->c + u * f->D, f->x + r * f->D, (size_t)f->D * sizeof *f->c);
        n++;
    }
    return n;
}

static int64_t count_empty(const fit *f) {
    int64_t n = 0;
    for (int64_t u = 0; u < f->U; u++) n += f->count[u] == 0;
    return n;
}

static lcm_status iterate(lcm_ctx *ctx, fit *f, lcm_kmeans_report *out, lcm_kmeans_watch watch, void *user) {
    double before, e = assign(f);
    int64_t most = f->config.iterations, revived;
    do {
        before = e;
        move_to_means(f);
        revived = revive(f);
        e = assign(f);
        out->revived += revived;
        out->iterations++;
        if (watch && !watch(user, out->iterations, e)) LCM_FAIL(ctx, LCM_ERR_CANCELLED, "stopped");
    } while (out->iterations < most && (revived || before - e > f->config.tolerance * before));
    /* A unit revived last can rob another of its only row: move dead units alone until none is left. */
    for (int i = 0; i < EXTRA_ROUNDS && count_empty(f); i++) {
        revived = revive(f);
        if (revived == 0) break;
        out->revived += revived;
        e = assign(f);
    }
    out->error = e;
    out->empty = count_empty(f);
    return LCM_OK;
}

lcm_status lcm_kmeans_fit(lcm_ctx *ctx, lcm_kmeans_report *out, real *c, int32_t *unit, double *error, const real *x,
                          int64_t n, int64_t U, int64_t D, const lcm_kmeans_config *config, lcm_kmeans_watch watch,
                          void *user) {
    fit f = {.config = *config, .c = c, .x = x, .unit = unit, .error = error, .n = n, .U = U, .D = D,
             .rng = lcm_rng_make(config->seed, config->stream)};
    lcm_status st;
    memset(out, 0, sizeof *out);
    if (n < U) LCM_FAIL(ctx, LCM_ERR_ARG, "%lld rows for %lld units: every unit needs one", (long long)n, (long long)U);
    st = lcm_calloc(ctx, &f.sum, (size_t)(U * D), sizeof *f.sum);
    if (st == LCM_OK) st = lcm_calloc(ctx, &f.count, (size_t)U, sizeof *f.count);
    if (st == LCM_OK) st = lcm_calloc(ctx, &f.scratch, (size_t)lcm_kmeans_scratch(U), sizeof *f.scratch);
    if (st == LCM_OK) st = begin(ctx, &f);
    if (st == LCM_OK) st = iterate(ctx, &f, out, watch, user);
    free(f.sum);
    free(f.count);
    free(f.scratch);
    return st;
}
