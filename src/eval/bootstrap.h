/* How sure a mean over documents is: percentile bootstrap (Efron 1979), for one row and for two rows paired.
 *
 * Documents are drawn with replacement, `resamples` times; every series of one call sees the same draws, which are a
 * function of (seed, n). */
#ifndef LCM_BOOTSTRAP_H
#define LCM_BOOTSTRAP_H

#include "base/ctx_int.h"

enum { LCM_RESAMPLES = 2000, LCM_PAIRED_RESAMPLES = 10000 };

/* One value per document, NAN where nothing was measured. weight NULL: 1 each. The mean is Σ w v / Σ w over the
 * documents that have a value: with weights = sentences, or tokens, it is the mean over these. */
typedef struct lcm_series {
    const double *value, *weight;
} lcm_series;

double lcm_series_mean(const lcm_series *s, int64_t n); /* NAN when there is no value or no weight */

/* means (k, resamples): the mean of series i in each resample, NAN in one without a value. n <= 2^32. */
lcm_status lcm_bootstrap_means(lcm_ctx *ctx, double *means, const lcm_series *s, size_t k, int64_t n, int resamples,
                               uint64_t seed);

typedef struct lcm_interval {
    double mean, low, high; /* 95 %; NAN without a value */
    int64_t n;              /* documents with a value */
} lcm_interval;

/* out (k). */
lcm_status lcm_bootstrap(lcm_ctx *ctx, lcm_interval *out, const lcm_series *s, size_t k, int64_t n, uint64_t seed);

typedef struct lcm_paired {
    double a, b;           /* means over the documents that both have */
    double diff, low, high; /* b - a and its 95 % interval */
    double p;              /* two-sided: twice the share of resamples on the other side of 0, at least 2 / (resamples + 1) */
    int64_t n;             /* documents with both values */
} lcm_paired;

/* out (k): series a[i] against series b[i] of the same n documents. */
lcm_status lcm_bootstrap_paired(lcm_ctx *ctx, lcm_paired *out, const lcm_series *a, const lcm_series *b, size_t k, int64_t n,
                                uint64_t seed);

#endif
