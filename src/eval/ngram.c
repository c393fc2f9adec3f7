/* n-gram matches by sorting both sides. */
#include "eval/ngram.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b, void *n) {
    return memcmp(*(const uint32_t *const *)a, *(const uint32_t *const *)b, *(const size_t *)n * sizeof(uint32_t));
}

static size_t sorted(const uint32_t **out, const uint32_t *x, size_t len, size_t n) {
    size_t count = len < n ? 0 : len - n + 1;
    for (size_t i = 0; i < count; i++) out[i] = x + i;
    if (count) qsort_r(out, count, sizeof *out, compare, &n);
    return count;
}

lcm_status lcm_ngram_add(lcm_ctx *ctx, lcm_ngram_counts *sum, const uint32_t *hyp, size_t n_hyp,
                         const uint32_t *ref, size_t n_ref, size_t n) {
    const uint32_t **h, **r;
    size_t nh, nr;
    LCM_TRY(lcm_calloc(ctx, &h, n_hyp + n_ref + 1, sizeof *h));
    r = h + n_hyp;
    nh = sorted(h, hyp, n_hyp, n);
    nr = sorted(r, ref, n_ref, n);
    for (size_t i = 0, k = 0; i < nh && k < nr;) {
        int c = compare(&h[i], &r[k], &n);
        sum->match += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    sum->hyp += (int64_t)nh;
    sum->ref += (int64_t)nr;
    free(h);
    return LCM_OK;
}

/* Moves the first of each run of equals to the front; returns their number. */
static size_t distinct(const uint32_t **x, size_t count, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare(&x[i], &x[kept - 1], &n) != 0) x[kept++] = x[i];
    return kept;
}

lcm_status lcm_ngram_sets_add(lcm_ctx *ctx, lcm_ngram_sets *sum, const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b,
                              size_t n) {
    const uint32_t **x, **y;
    size_t nx, ny;
    LCM_TRY(lcm_calloc(ctx, &x, n_a + n_b + 1, sizeof *x));
    y = x + n_a;
    nx = sorted(x, a, n_a, n);
    ny = sorted(y, b, n_b, n);
    sum->a += (int64_t)nx;
    sum->b += (int64_t)ny;
    nx = distinct(x, nx, n);
    ny = distinct(y, ny, n);
    sum->a_distinct += (int64_t)nx;
    sum->b_distinct += (int64_t)ny;
    for (size_t i = 0, k = 0; i < nx && k < ny;) {
        int c = compare(&x[i], &y[k], &n);
        sum->common += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    free(x);
    return LCM_OK;
}
