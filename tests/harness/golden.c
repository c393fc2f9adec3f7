#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    lcm_ctx *ctx;
    lcm_st *st;
    void **arrays;
    size_t n, cap;
};

golden *golden_open(const char *name) {
    char path[LCM_PATH_MAX];
    golden *g = calloc(1, sizeof *g);
    assert_non_null(g);
    g->ctx = lcm_ctx_new();
    assert_non_null(g->ctx);
    snprintf(path, sizeof path, "%s/golden/%s%s.safetensors", TEST_DATA, strchr(name, '/') ? "" : "lcm/", name);
    if (lcm_st_open(g->ctx, &g->st, path) != LCM_OK) fail_msg("%s", lcm_ctx_message(g->ctx));
    return g;
}

void golden_close(golden *g) {
    if (g == NULL) return;
    for (size_t i = 0; i < g->n; i++) free(g->arrays[i]);
    free(g->arrays);
    lcm_st_close(g->st);
    lcm_ctx_free(g->ctx);
    free(g);
}

static const lcm_st_tensor *find(golden *g, int64_t *dims, const char *fmt, va_list ap) {
    char name[LCM_ST_MAX_NAME + 1];
    const lcm_st_tensor *t;
    vsnprintf(name, sizeof name, fmt, ap);
    if (lcm_st_require(g->ctx, &t, g->st, name, NULL, 0) != LCM_OK) fail_msg("golden: %s", lcm_ctx_message(g->ctx));
    if (dims) memcpy(dims, t->dims, sizeof t->dims);
    return t;
}

static void *new_array(golden *g, const lcm_st_tensor *t, size_t size) {
    void *p = calloc((size_t)lcm_st_elements(t) + 1, size);
    assert_non_null(p);
    assert_int_equal(lcm_grow(g->ctx, &g->arrays, &g->cap, g->n + 1, sizeof *g->arrays), LCM_OK);
    g->arrays[g->n++] = p;
    return p;
}

real *golden_real(golden *g, int64_t *dims, const char *fmt, ...) {
    va_list ap;
    const lcm_st_tensor *t;
    real *p;
    va_start(ap, fmt);
    t = find(g, dims, fmt, ap);
    va_end(ap);
    p = new_array(g, t, sizeof *p);
    if (lcm_st_read_real(g->ctx, p, t, lcm_st_elements(t)) != LCM_OK) fail_msg("golden: %s", lcm_ctx_message(g->ctx));
    return p;
}

int64_t *golden_i64(golden *g, int64_t *dims, const char *fmt, ...) {
    va_list ap;
    const lcm_st_tensor *t;
    int64_t *p;
    va_start(ap, fmt);
    t = find(g, dims, fmt, ap);
    va_end(ap);
    p = new_array(g, t, sizeof *p);
    if (lcm_st_read_i64(g->ctx, p, t, lcm_st_elements(t)) != LCM_OK) fail_msg("golden: %s", lcm_ctx_message(g->ctx));
    return p;
}

double *golden_f64(golden *g, int64_t *dims, const char *fmt, ...) {
    va_list ap;
    const lcm_st_tensor *t;
    double *p;
    va_start(ap, fmt);
    t = find(g, dims, fmt, ap);
    va_end(ap);
    if (t->dtype != LCM_DT_F64) fail_msg("golden: '%s' is %s, expected F64", t->name, lcm_dtype_name(t->dtype));
    p = new_array(g, t, sizeof *p);
    memcpy(p, t->data, t->nbytes);
    return p;
}

const char *golden_meta(golden *g, const char *key) {
    const char *value = lcm_st_meta(g->st, key);
    if (value == NULL) fail_msg("golden: no metadata '%s'", key);
    return value;
}

const lcm_st *golden_st(golden *g) { return g->st; }

static double max_abs(const real *b, int64_t n) {
    double m = 0;
    for (int64_t i = 0; i < n; i++) m = fmax(m, fabs((double)b[i])); /* skips NaN: the caller looks for it */
    return m;
}

double max_rel_error(const real *a, const real *b, int64_t n) {
    double scale = max_abs(b, n), worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);
        if (isnan(e)) return NAN;
        worst = fmax(worst, e);
    }
    return worst == 0 ? 0 : worst / scale;
}

void assert_close_at(const real *a, const real *b, int64_t n, double tol, const char *what, const char *file, int line) {
    double scale = max_abs(b, n), worst = 0;
    int64_t at = -1;
    for (int64_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);
        if (e <= tol * scale || e <= worst) continue; /* both false for a NaN */
        worst = e;
        at = i;
        if (isnan(e)) break;
    }
    if (at < 0) return;
    print_error("%s[%lld] is %.9g, expected %.9g: off by %.3g of max|b| = %.9g, tolerance %.3g\n", what, (long long)at,
                   (double)a[at], (double)b[at], worst / scale, scale, tol);
    _fail(file, line);
}
