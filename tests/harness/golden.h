/* Golden tests: arrays of tests/data/golden by name, and comparison with a stated tolerance. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include "harness/test.h"
#include "modelfile/safetensors.h"

typedef struct golden golden;

/* "01_norms" is tests/data/golden/lcm/01_norms.safetensors; a name with a slash is taken from
 * tests/data/golden ("sonar/golden"). Fails the running test when it cannot be read. */
golden *golden_open(const char *name);
void golden_close(golden *g); /* frees every array it handed out; NULL is allowed */

/* A copy of a tensor, which must exist; `dims` (8 values, rest 0) may be NULL. The name is a
 * format: golden_real(g, dims, "w.layers.%d.bias", i). */
real *golden_real(golden *g, int64_t *dims, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int64_t *golden_i64(golden *g, int64_t *dims, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
double *golden_f64(golden *g, int64_t *dims, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

const char *golden_meta(golden *g, const char *key); /* must exist */
const lcm_st *golden_st(golden *g);

/* |a-b| ≤ tol * max|b| for each of n elements, else the test fails and the worst is printed. A NaN
 * on either side fails; where b is all zero, a must be too. */
#define assert_close(a, b, n, tol) assert_close_at((a), (b), (n), (tol), #a, __FILE__, __LINE__)
void assert_close_at(const real *a, const real *b, int64_t n, double tol, const char *what, const char *file, int line);

/* max|a-b| / max|b|, to print or to bound; NaN when either holds one. */
double max_rel_error(const real *a, const real *b, int64_t n);

#endif
