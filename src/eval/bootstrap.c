/* Bootstrap over documents. */
#include "eval/bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* times: how often each document was drawn, NULL: once. */
static double mean_of(const lcm_series *s, const uint32_t *times, int64_t n) {
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < n; i++) {
        double w = (s->weight ? s->weight[i] : 1) * (times ? times[i] : 1);
        if (isnan(s->value[i])) continue;
        sum += w * s->value[i];
        weight += w;
    }
    return weight > 0 ? sum / weight : NAN;
}

double lcm_series_mean(const lcm_series *s, int64_t n) { return mean_of(s, NULL, n); }

lcm_status lcm_bootstrap_means(lcm_ctx *ctx, double *means, const lcm_series *s, size_t k, int64_t n, int resamples,
                               uint64_t seed) {
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_SAMPLE);
    uint32_t *times;
    LCM_TRY(lcm_calloc(ctx, &times, (size_t)n, sizeof *times));
    for (int r = 0; r < resamples; r++) {
        memset(times, 0, (size_t)n * sizeof *times);
        for (int64_t i = 0; i < n; i++) times[lcm_rng_below(&rng, (uint64_t)n)]++;
        for (size_t i = 0; i < k; i++) means[i * (size_t)resamples + (size_t)r] = mean_of(&s[i], times, n);
    }
    free(times);
    return LCM_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Drops the NAN, sorts the rest, and interpolates between order statistics. */
static void percentiles(double *v, size_t count, double *low, double *high) {
    static const double q[2] = {0.025, 0.975};
    double *out[2] = {low, high};
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(v[i])) v[n++] = v[i];
    *low = *high = NAN;
    if (n == 0) return;
    qsort(v, n, sizeof *v, by_value);
    for (int i = 0; i < 2; i++) {
        double at = q[i] * (double)(n - 1), down = floor(at);
        size_t k = (size_t)down;
        *out[i] = k + 1 < n ? v[k] + (at - down) * (v[k + 1] - v[k]) : v[k];
    }
}

lcm_status lcm_bootstrap(lcm_ctx *ctx, lcm_interval *out, const lcm_series *s, size_t k, int64_t n, uint64_t seed) {
    double *means;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &means, k * LCM_RESAMPLES, sizeof *means));
    st = lcm_bootstrap_means(ctx, means, s, k, n, LCM_RESAMPLES, seed);
    for (size_t i = 0; st == LCM_OK && i < k; i++) {
        out[i] = (lcm_interval){.mean = lcm_series_mean(&s[i], n)};
        for (int64_t d = 0; d < n; d++) out[i].n += !isnan(s[i].value[d]);
        percentiles(means + i * LCM_RESAMPLES, LCM_RESAMPLES, &out[i].low, &out[i].high);
    }
    free(means);
    return st;
}

/* kept (2, n): the values of documents that both series have, else NAN. */
static lcm_paired keep_common(double *kept, const lcm_series *a, const lcm_series *b, int64_t n) {
    lcm_paired p = {.low = NAN, .high = NAN, .p = NAN};
    for (int64_t i = 0; i < n; i++) {
        bool both = !isnan(a->value[i]) && !isnan(b->value[i]);
        kept[i] = both ? a->value[i] : NAN;
        kept[n + i] = both ? b->value[i] : NAN;
        p.n += both;
    }
    p.a = lcm_series_mean(&(lcm_series){kept, a->weight}, n);
    p.b = lcm_series_mean(&(lcm_series){kept + n, b->weight}, n);
    p.diff = p.b - p.a;
    return p;
}

/* means (2, R) of the resamples. */
static void judge(lcm_paired *p, double *means) {
    enum { R = LCM_PAIRED_RESAMPLES };
    int below = 0, above = 0;
    if (isnan(p->diff)) return;
    for (int r = 0; r < R; r++) {
        means[r] = means[R + r] - means[r];
        below += means[r] <= 0;
        above += means[r] >= 0;
    }
    p->p = fmin(1, 2.0 * (1 + (below < above ? below : above)) / (R + 1));
    percentiles(means, R, &p->low, &p->high);
}

lcm_status lcm_bootstrap_paired(lcm_ctx *ctx, lcm_paired *out, const lcm_series *a, const lcm_series *b, size_t k, int64_t n,
                                uint64_t seed) {
    double *kept, *means = NULL;
    lcm_series *both = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &kept, 2 * k * (size_t)n, sizeof *kept));
    st = lcm_calloc(ctx, &means, 2 * k * LCM_PAIRED_RESAMPLES, sizeof *means);
    if (st == LCM_OK) st = lcm_calloc(ctx, &both, 2 * k, sizeof *both);
    for (size_t i = 0; st == LCM_OK && i < k; i++) {
        double *v = kept + 2 * i * (size_t)n;
        out[i] = keep_common(v, &a[i], &b[i], n);
        both[2 * i] = (lcm_series){v, a[i].weight};
        both[2 * i + 1] = (lcm_series){v + n, b[i].weight};
    }
    if (st == LCM_OK) st = lcm_bootstrap_means(ctx, means, both, 2 * k, n, LCM_PAIRED_RESAMPLES, seed);
    for (size_t i = 0; st == LCM_OK && i < k; i++) judge(&out[i], means + 2 * i * LCM_PAIRED_RESAMPLES);
    free(both);
    free(means);
    free(kept);
    return st;
}
