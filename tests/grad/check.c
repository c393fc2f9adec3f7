#include "grad/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t count(const lcm_tensor *x) { return x->rows * x->cols; }

grad_problem grad_problem_make(grad_fn f, void *arg, lcm_tensor **leaf, int n_leaf) {
    grad_problem p = {.f = f, .arg = arg, .leaf = leaf, .n_leaf = n_leaf, .elementwise_up_to = INT64_MAX,
                      .abs_tol = 1e-7, .rel_tol = 1e-5};
    return p;
}

lcm_tensor *grad_leaf_new(int64_t rows, int64_t cols) {
    lcm_tensor *x = calloc(1, sizeof *x);
    if (x == NULL) abort();
    x->rows = rows;
    x->cols = cols;
    x->needs = true;
    x->x = calloc((size_t)(rows * cols) + 1, sizeof *x->x);
    x->g = calloc((size_t)(rows * cols) + 1, sizeof *x->g);
    if (x->x == NULL || x->g == NULL) abort();
    return x;
}

void grad_leaf_free(lcm_tensor *x) {
    if (x == NULL) return;
    free(x->x);
    free(x->g);
    free(x);
}

static lcm_tensor *evaluate(lcm_tape *t, const grad_problem *p) {
    lcm_tensor *y;
    lcm_tape_reset(t, (lcm_tape_opts){.record = true, .train = true});
    lcm_tape_seed(t, 11, 3); /* the same dropout masks at every evaluation */
    y = p->f(t, p->arg);
    if (y == NULL) abort();
    return y;
}

static double objective(lcm_tape *t, const grad_problem *p, const double *upstream) {
    const lcm_tensor *y = evaluate(t, p);
    double s = 0;
    for (int64_t i = 0; i < count(y); i++) s += upstream[i] * y->x[i];
    return s;
}

static double *random_values(lcm_rng *r, int64_t n) {
    double *v = malloc((size_t)n * sizeof *v + 1);
    if (v == NULL) abort();
    for (int64_t i = 0; i < n; i++) v[i] = lcm_rng_normal(r);
    return v;
}

static void complain(grad_report *r, const char *what, int leaf, int64_t at, double analytic, double numeric) {
    if (r->first[0]) return;
    snprintf(r->first, sizeof r->first, "leaf %d, %s %lld: backward gives %.10g, differences give %.10g", leaf, what,
             (long long)at, analytic, numeric);
}

static void compare(grad_report *r, const grad_problem *p, const char *what, int leaf, int64_t at, double a, double n) {
    r->checked++;
    if (fabs(n) >= 1e-6) r->flat[leaf] = false;
    if (fabs(a - n) <= p->abs_tol + p->rel_tol * fabs(n)) return; /* a NaN fails */
    r->bad++;
    complain(r, what, leaf, at, a, n);
}

static void check_elements(lcm_tape *t, const grad_problem *p, grad_report *r, int leaf, const double *up,
                           const double *analytic) {
    lcm_tensor *x = p->leaf[leaf];
    for (int64_t i = 0; i < count(x); i++) {
        double keep = x->x[i], h = 1e-5 * fmax(1, fabs(keep)), hi, lo;
        x->x[i] = keep + h;
        hi = objective(t, p, up);
        x->x[i] = keep - h;
        lo = objective(t, p, up);
        x->x[i] = keep;
        compare(r, p, "element", leaf, i, analytic[i], (hi - lo) / (2 * h));
    }
}

static double along(lcm_tape *t, const grad_problem *p, lcm_tensor *x, const double *keep, const double *dir,
                    double step, const double *up) {
    for (int64_t i = 0; i < count(x); i++) x->x[i] = keep[i] + step * dir[i];
    return objective(t, p, up);
}

static void check_directions(lcm_tape *t, const grad_problem *p, grad_report *r, int leaf, const double *up,
                             const double *analytic, lcm_rng *rng) {
    lcm_tensor *x = p->leaf[leaf];
    int64_t n = count(x);
    double *keep = malloc((size_t)n * sizeof *keep);
    if (keep == NULL) abort();
    memcpy(keep, x->x, (size_t)n * sizeof *keep);
    for (int d = 0; d < p->directions; d++) {
        double *dir = random_values(rng, n), norm = 0, dot = 0, hi, lo, h = 1e-5;
        for (int64_t i = 0; i < n; i++) norm += dir[i] * dir[i];
        for (int64_t i = 0; i < n; i++) dot += (dir[i] /= sqrt(norm)) * analytic[i];
        hi = along(t, p, x, keep, dir, h, up);
        lo = along(t, p, x, keep, dir, -h, up);
        compare(r, p, "direction", leaf, d, dot, (hi - lo) / (2 * h));
        free(dir);
    }
    memcpy(x->x, keep, (size_t)n * sizeof *keep);
    free(keep);
}

/* What one backward pass added to each leaf; NULL for leaves that want nothing. */
static void analytic_gradients(lcm_tape *t, const grad_problem *p, grad_report *r, lcm_rng *rng, const double *up,
                               double **analytic) {
    double *before[GRAD_MAX_LEAVES] = {NULL};
    lcm_tensor *y;
    for (int l = 0; l < p->n_leaf; l++) {
        lcm_tensor *x = p->leaf[l];
        if (x == NULL) continue;
        before[l] = random_values(rng, count(x));
        memcpy(x->g, before[l], (size_t)count(x) * sizeof(double));
    }
    y = evaluate(t, p);
    if (lcm_tape_backward(t, y, up) != LCM_OK) abort();
    for (int l = 0; l < p->n_leaf; l++) {
        lcm_tensor *x = p->leaf[l];
        if (x == NULL) continue;
        if (!x->needs && memcmp(x->g, before[l], (size_t)count(x) * sizeof(double)) != 0) {
            r->bad++;
            complain(r, "frozen but changed", l, 0, NAN, 0);
        }
        if (x->needs) {
            analytic[l] = before[l];
            for (int64_t i = 0; i < count(x); i++) analytic[l][i] = x->g[i] - before[l][i];
        } else {
            free(before[l]);
        }
    }
}

bool grad_check(lcm_tape *t, const grad_problem *p, grad_report *r) {
    lcm_rng rng = lcm_rng_make(20, LCM_RNG_TEST);
    double *analytic[GRAD_MAX_LEAVES] = {NULL}, *up;
    memset(r, 0, sizeof *r);
    if (p->n_leaf > GRAD_MAX_LEAVES) abort();
    up = random_values(&rng, count(evaluate(t, p)));
    analytic_gradients(t, p, r, &rng, up, analytic);
    for (int l = 0; l < p->n_leaf; l++) {
        if (analytic[l] == NULL) continue;
        r->flat[l] = true;
        if (count(p->leaf[l]) <= p->elementwise_up_to) check_elements(t, p, r, l, up, analytic[l]);
        else check_directions(t, p, r, l, up, analytic[l], &rng);
        if (r->flat[l]) {
            r->n_flat++;
            complain(r, "flat", l, 0, 0, 0);
        }
        free(analytic[l]);
    }
    free(up);
    return r->bad == 0 && r->n_flat == 0;
}
