/* Products and distances of vectors, added up in double. */
#ifndef LCM_DISTANCE_H
#define LCM_DISTANCE_H

#include "kernels/real.h"

double lcm_dot(const real *a, const real *b, int64_t D);
double lcm_squared_distance(const real *a, const real *b, int64_t D);
double lcm_l2(const real *a, const real *b, int64_t D);     /* ||a - b|| */
double lcm_cosine(const real *a, const real *b, int64_t D); /* |a| |b| below 1e-8 counts as that, as in the reference code */

/* Divides each row of x (n, D) by its norm; one below 1e-8 counts as that. */
void lcm_unit_rows(real *x, int64_t n, int64_t D);

/* y[m,n] = squared distances of rows a[m,D] to rows b[n,D], by |a|² + |b|² - 2ab: the error is about
 * 1e-6 (|a|² + |b|²) in single precision. a2, b2: squared norms of the rows. */
void lcm_squared_distances(real *y, const real *a, const double *a2, int64_t m, const real *b, const double *b2, int64_t n,
                           int64_t D);
void lcm_squared_norms(double *out, const real *x, int64_t n, int64_t D);

#endif
