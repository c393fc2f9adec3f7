/* Comparison of two rows. */
#include "eval/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Documents of both tables: numbers in a, numbers in b. */
typedef struct common {
    size_t *a, *b, n;
} common;

static lcm_status find_common(lcm_ctx *ctx, common *c, const lcm_results *a, const lcm_results *b) {
    size_t *where; /* number in b + 1 by number in a; ids of b that a lacks come behind */
    lcm_strset ids = {0};
    lcm_status st = lcm_calloc(ctx, &where, a->documents.n + b->documents.n, sizeof *where);
    if (st == LCM_OK) st = lcm_calloc(ctx, &c->a, 2 * a->documents.n, sizeof *c->a);
    c->b = c->a + a->documents.n;
    for (size_t t = 0; t < 2; t++) {
        const lcm_results *r = t ? b : a;
        for (size_t i = 0; st == LCM_OK && i < r->documents.n; i++) {
            uint32_t id;
            size_t len;
            const char *name = lcm_results_document_at(r, i, &len);
            st = lcm_strset_add(ctx, &id, &ids, name, len);
            if (st == LCM_OK && t) where[id] = i + 1;
        }
    }
    for (size_t i = 0; st == LCM_OK && i < a->documents.n; i++) {
        if (where[i] == 0) continue;
        c->a[c->n] = i;
        c->b[c->n++] = where[i] - 1;
    }
    free(where);
    lcm_strset_free(&ids);
    return st;
}

/* Values, or weights, of the common documents; NULL for NULL. */
static double *pick(double **room, const double *v, const size_t *at, size_t n) {
    double *out = *room;
    if (v == NULL) return NULL;
    for (size_t i = 0; i < n; i++) out[i] = v[at[i]];
    *room += n;
    return out;
}

/* The pairs that can be told apart by documents, all on the same draws. */
static lcm_status compare_pairs(lcm_ctx *ctx, lcm_compared *out, size_t n, const lcm_result_row *a, const lcm_result_row *b,
                                const common *docs, uint64_t seed) {
    double *room, *begin;
    lcm_series *series = NULL;
    lcm_paired *paired = NULL;
    size_t k = 0;
    lcm_status st = lcm_calloc(ctx, &begin, 4 * n * docs->n, sizeof *begin);
    room = begin;
    if (st == LCM_OK) st = lcm_calloc(ctx, &series, 2 * n, sizeof *series);
    if (st == LCM_OK) st = lcm_calloc(ctx, &paired, n, sizeof *paired);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        const lcm_result_metric *x = lcm_result_find(a, out[i].name), *y = lcm_result_find(b, out[i].name);
        if (x->values == NULL || y->values == NULL) continue;
        series[k] = (lcm_series){pick(&room, x->values, docs->a, docs->n), pick(&room, x->weights, docs->a, docs->n)};
        series[n + k++] = (lcm_series){pick(&room, y->values, docs->b, docs->n), pick(&room, y->weights, docs->b, docs->n)};
    }
    if (st == LCM_OK) st = lcm_bootstrap_paired(ctx, paired, series, series + n, k, (int64_t)docs->n, seed);
    k = 0;
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        const lcm_result_metric *x = lcm_result_find(a, out[i].name), *y = lcm_result_find(b, out[i].name);
        if (x->values && y->values) out[i].paired = paired[k++];
        else out[i].paired = (lcm_paired){x->mean, y->mean, y->mean - x->mean, NAN, NAN, NAN, 0};
    }
    free(paired);
    free(series);
    free(begin);
    return st;
}

static int by_p(const void *a, const void *b) {
    double x = (*(lcm_compared *const *)a)->paired.p, y = (*(lcm_compared *const *)b)->paired.p;
    return (x > y) - (x < y);
}

/* Holm: the smallest p times all m tests, the next times m - 1, …, never less than the one before. */
static lcm_status decide(lcm_ctx *ctx, lcm_compared *c, size_t n) {
    lcm_compared **tests;
    size_t m = 0;
    double least = 0;
    LCM_TRY(lcm_calloc(ctx, &tests, n, sizeof *tests));
    for (size_t i = 0; i < n; i++) {
        c[i].p_adjusted = NAN;
        c[i].verdict = c[i].paired.n == 0 && !isnan(c[i].paired.diff) ? LCM_VERDICT_CORPUS
                       : c[i].paired.n < LCM_COMPARE_MIN               ? LCM_VERDICT_FEW
                       : c[i].paired.diff == 0                         ? LCM_VERDICT_SAME
                                                                       : LCM_VERDICT_CHANCE;
        if (c[i].verdict == LCM_VERDICT_CHANCE && !isnan(c[i].paired.p)) tests[m++] = &c[i];
    }
    qsort(tests, m, sizeof *tests, by_p);
    for (size_t i = 0; i < m; i++) {
        least = fmax(least, fmin(1, tests[i]->paired.p * (double)(m - i)));
        tests[i]->p_adjusted = least;
        if (least < 0.05) tests[i]->verdict = LCM_VERDICT_REAL;
    }
    free(tests);
    return LCM_OK;
}

lcm_status lcm_compare_rows(lcm_ctx *ctx, lcm_compared **out, size_t *n, const lcm_results *a, size_t row_a,
                            const lcm_results *b, size_t row_b, uint64_t seed) {
    const lcm_result_row *x = &a->rows[row_a], *y = &b->rows[row_b];
    common docs = {0};
    lcm_status st;
    *out = NULL;
    *n = 0;
    if (strcmp(a->task, b->task) != 0) LCM_FAIL(ctx, LCM_ERR_ARG, "one is of task '%.80s', the other of '%.80s'", a->task, b->task);
    LCM_TRY(lcm_calloc(ctx, out, x->n_metrics, sizeof **out));
    for (size_t i = 0; i < x->n_metrics; i++)
        if (lcm_result_find(y, x->metrics[i].name))
            (*out)[(*n)++] = (lcm_compared){.name = x->metrics[i].name, .better = x->metrics[i].better};
    st = find_common(ctx, &docs, a, b);
    if (st == LCM_OK && docs.n == 0) st = lcm_fail(ctx, LCM_ERR_ARG, "no document is in both");
    if (st == LCM_OK && *n == 0)
        st = lcm_fail(ctx, LCM_ERR_ARG, "'%.80s' and '%.80s' have no metric in common", x->model, y->model);
    if (st == LCM_OK) st = compare_pairs(ctx, *out, *n, x, y, &docs, seed);
    if (st == LCM_OK) st = decide(ctx, *out, *n);
    free(docs.a);
    if (st == LCM_OK) return LCM_OK;
    free(*out);
    *out = NULL;
    *n = 0;
    return st;
}

void lcm_compared_words(char *dst, size_t cap, const lcm_compared *c, const char *a, const char *b) {
    bool b_wins = c->better == LCM_BETTER_LOWER ? c->paired.diff < 0 : c->paired.diff > 0;
    switch (c->verdict) {
    case LCM_VERDICT_CORPUS: snprintf(dst, cap, "cannot tell: a number of the whole corpus"); return;
    case LCM_VERDICT_FEW:
        snprintf(dst, cap, "cannot tell: %lld documents are too few, %d are needed", (long long)c->paired.n, LCM_COMPARE_MIN);
        return;
    case LCM_VERDICT_SAME: snprintf(dst, cap, "no difference"); return;
    case LCM_VERDICT_CHANCE: snprintf(dst, cap, "may be chance"); return;
    case LCM_VERDICT_REAL:
        snprintf(dst, cap, "real: %s is %s", b_wins ? b : a, c->better == LCM_BETTER_NEITHER ? "higher" : "better");
        return;
    }
}
