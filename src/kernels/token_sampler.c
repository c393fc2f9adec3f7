/* Temperature, top-k, top-p. */
#include "kernels/token_sampler.h"

#include <math.h>
#include <stdlib.h>

static int32_t largest(const real *x, int64_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best] || isnan((double)x[best])) best = i;
    return best;
}

/* More likely first, then the smaller id. */
static int compare(const lcm_candidate *a, const lcm_candidate *b) {
    if (a->p != b->p) return a->p > b->p ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int compare_void(const void *a, const void *b) { return compare(a, b); }

/* Moves the k first by `compare` to the front, in any order (Hoare's selection, middle pivot). */
static void select_first(lcm_candidate *c, int64_t n, int64_t k) {
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        lcm_candidate pivot = c[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (compare(&c[i], &pivot) < 0) i++;
            while (compare(&c[j], &pivot) > 0) j--;
            if (i <= j) {
                lcm_candidate t = c[i];
                c[i++] = c[j];
                c[j--] = t;
            }
        }
        if (k - 1 <= j) hi = j;
        else if (k - 1 >= i) lo = i;
        else return;
    }
}

static double total(const lcm_candidate *c, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += c[i].p;
    return s;
}

/* Tokens less likely than (1-p)/n have less than 1-p together, so the nucleus needs none of them: what
 * is left to sort is short. */
static int64_t nucleus(lcm_candidate *c, int64_t n, double p) {
    double all = total(c, n), floor = (1 - p) / (double)n * all, sum = 0;
    int64_t kept = 0, i = 0;
    for (int64_t k = 0; k < n; k++)
        if (c[k].p >= floor) c[kept++] = c[k];
    qsort(c, (size_t)kept, sizeof *c, compare_void);
    while (i < kept && sum < p * all) sum += c[i++].p;
    return i;
}

int32_t lcm_sample_token(const real *logits, int64_t n, const lcm_sampler_opts *o, double u, lcm_candidate *scratch) {
    int32_t best = largest(logits, n);
    double at;
    if (o->temperature <= 0 || o->top_k == 1 || !isfinite((double)logits[best])) return best;
    for (int32_t i = 0; i < n; i++) {
        double p = exp(((double)logits[i] - (double)logits[best]) / o->temperature);
        scratch[i] = (lcm_candidate){p >= 0 ? p : 0, i}; /* NaN is not */
    }
    if (o->top_k > 0 && o->top_k < n) {
        select_first(scratch, n, o->top_k);
        n = o->top_k;
    }
    if (o->top_p > 0 && o->top_p < 1) n = nucleus(scratch, n, o->top_p);
    at = u * total(scratch, n);
    for (int64_t i = 0; i < n; i++) {
        at -= scratch[i].p;
        if (at < 0) return scratch[i].id;
    }
    return best; /* the sum was rounded up */
}
