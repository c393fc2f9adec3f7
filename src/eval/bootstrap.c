/* Bootstrap over documents. */
#include "eval/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { R = LCM_RESAMPLES };

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

lcm_status lcm_bootstrap_means(lcm_ctx *ctx, double *means, const lcm_series *s, size_t k, int64_t n, uint64_t seed) {
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_SAMPLE);
    uint32_t *times;
    LCM_TRY(lcm_calloc(ctx, &times, (size_t)n, sizeof *times));
    for (int r = 0; r < R; r++) {
        memset(times, 0, (size_t)n * sizeof *times);
        for (int64_t i = 0; i < n; i++) times[lcm_rng_below(&rng, (uint64_t)n)]++;
        for (size_t i = 0; i < k; i++) means[i * R + (size_t)r] = mean_of(&s[i], times, n);
    }
    free(times);
    return LCM_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Drops the NAN, sorts the rest, and interpolates between order statistics. */
static void percentiles(double *v, double *low, double *high) {
    static const double q[2] = {0.025, 0.975};
    double *out[2] = {low, high};
    size_t n = 0;
    for (size_t i = 0; i < R; i++)
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
    LCM_TRY(lcm_calloc(ctx, &means, k * R, sizeof *means));
    st = lcm_bootstrap_means(ctx, means, s, k, n, seed);
    for (size_t i = 0; st == LCM_OK && i < k; i++) {
        out[i] = (lcm_interval){.mean = lcm_series_mean(&s[i], n)};
        for (int64_t d = 0; d < n; d++) out[i].n += !isnan(s[i].value[d]);
        percentiles(means + i * R, &out[i].low, &out[i].high);
    }
    free(means);
    return st;
}

/* The documents that both have, one after the other: value a, weight a, value b, weight b. */
static int64_t keep_common(double *kept, const lcm_series *a, const lcm_series *b, int64_t n) {
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(a->value[i]) || isnan(b->value[i])) continue;
        kept[m] = a->value[i];
        kept[n + m] = a->weight ? a->weight[i] : 1;
        kept[2 * n + m] = b->value[i];
        kept[3 * n + m++] = b->weight ? b->weight[i] : 1;
    }
    return m;
}

lcm_status lcm_bootstrap_paired(lcm_ctx *ctx, lcm_paired *out, const lcm_series *a, const lcm_series *b, int64_t n,
                                uint64_t seed) {
    double *kept, *means = NULL;
    lcm_status st;
    int64_t below = 0, above = 0;
    *out = (lcm_paired){NAN, NAN, NAN, NAN, NAN, NAN, 0};
    LCM_TRY(lcm_calloc(ctx, &kept, (size_t)n * 4, sizeof *kept));
    st = lcm_calloc(ctx, &means, 2 * R, sizeof *means);
    if (st == LCM_OK) {
        lcm_series both[2] = {{kept, kept + n}, {kept + 2 * n, kept + 3 * n}};
        out->n = keep_common(kept, a, b, n);
        st = lcm_bootstrap_means(ctx, means, both, 2, out->n, seed);
        out->a = lcm_series_mean(&both[0], out->n);
        out->b = lcm_series_mean(&both[1], out->n);
        out->diff = out->b - out->a;
    }
    if (st == LCM_OK && !isnan(out->diff)) {
        for (int r = 0; r < R; r++) {
            means[r] = means[R + r] - means[r];
            below += means[r] <= 0;
            above += means[r] >= 0;
        }
        out->p = fmin(1, 2.0 * (double)(1 + (below < above ? below : above)) / (R + 1));
        percentiles(means, &out->low, &out->high);
    }
    free(means);
    free(kept);
    return st;
}
