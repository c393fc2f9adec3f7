/* k-means (Lloyd) that leaves no unit without a row, and the nearest-centroid search it is made of.
 *
 * The same seed gives the same bits with any number of threads: rows are searched in blocks of fixed
 * bounds, sums are split by columns and run over the rows in order. */
#ifndef LCM_KMEANS_H
#define LCM_KMEANS_H

#include <stdbool.h>

#include "base/ctx_int.h"
#include "kernels/real.h"

/* Values that lcm_kmeans_nearest needs as scratch for this many units. */
int64_t lcm_kmeans_scratch(int64_t units);

/* For rows x (n,D): the nearest of the centroids c (U,D), the first of equals, and error (n, may be
 * NULL) = squared distance to it. */
void lcm_kmeans_nearest(int32_t *unit, double *error, const real *x, int64_t n, const real *c, int64_t U, int64_t D,
                        real *scratch);

typedef struct lcm_kmeans_config {
    int64_t iterations; /* at most */
    double tolerance;   /* stop when an iteration lowers the error by no more than this part of it */
    uint64_t seed, stream;
} lcm_kmeans_config;

typedef struct lcm_kmeans_report {
    int64_t iterations, revived; /* rounds of search and update; units that had lost all rows and got one */
    int64_t empty;               /* units without a row at the end: only when rows repeat */
    double error;                /* sum of squared distances */
} lcm_kmeans_report;

/* After each iteration; false stops with LCM_ERR_CANCELLED. */
typedef bool (*lcm_kmeans_watch)(void *user, int64_t iteration, double error);

/* Fits c (U,D) to n >= U rows x (n,D), starting from U rows drawn without replacement. A unit that
 * no row is nearest to takes the place of a row, drawn with probability proportional to its error
 * (D^2 sampling, as k-means++ seeds), which sends dead units where the error is.
 * unit (n) and error (n): nearest centroid and squared distance of every row, for the returned c.
 * LCM_ERR_ARG when n < U. watch may be NULL. */
lcm_status lcm_kmeans_fit(lcm_ctx *ctx, lcm_kmeans_report *out, real *c, int32_t *unit, double *error, const real *x,
                          int64_t n, int64_t U, int64_t D, const lcm_kmeans_config *config, lcm_kmeans_watch watch,
                          void *user);

#endif
