/* Overlap, repetition, edits. */
#include "eval/overlap.h"

#include <math.h>
#include <stdlib.h>

#include "eval/symbols.h"

typedef struct pair {
    lcm_strset words;
    lcm_symbols a, b;
} pair;

static void pair_free(pair *p) {
    lcm_strset_free(&p->words);
    lcm_symbols_free(&p->a);
    lcm_symbols_free(&p->b);
}

static lcm_status pair_words(lcm_ctx *ctx, pair *p, const char *a, size_t n_a, const char *b, size_t n_b) {
    LCM_TRY(lcm_symbols_words(ctx, &p->a, &p->words, a, n_a));
    return lcm_symbols_words(ctx, &p->b, &p->words, b, n_b);
}

static lcm_status pair_chars(lcm_ctx *ctx, pair *p, const char *a, size_t n_a, const char *b, size_t n_b) {
    LCM_TRY(lcm_symbols_chars(ctx, &p->a, a, n_a, true));
    return lcm_symbols_chars(ctx, &p->b, b, n_b, true);
}

static lcm_status add_sets(lcm_ctx *ctx, lcm_ngram_sets *s, const pair *p, size_t n) {
    return lcm_ngram_sets_add(ctx, s, p->a.x, p->a.n, p->b.x, p->b.n, n);
}

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

/* ---- overlap ---- */

static lcm_status by_words(lcm_ctx *ctx, lcm_overlap *o, const pair *p) {
    lcm_ngram_sets three = {0}, four = {0};
    LCM_TRY(add_sets(ctx, &three, p, 3));
    LCM_TRY(add_sets(ctx, &four, p, 4));
    o->ovl3 = ratio((double)three.common, (double)three.b_distinct);
    o->rep4 = ratio((double)(four.a - four.a_distinct), (double)four.a);
    o->word_ratio = ratio((double)p->a.n, (double)p->b.n);
    return LCM_OK;
}

static lcm_status by_chars(lcm_ctx *ctx, lcm_overlap *o, const pair *p) {
    lcm_ngram_sets s = {0};
    for (size_t n = 1; n <= 4; n++) LCM_TRY(add_sets(ctx, &s, p, n));
    o->ovl_compat = (double)s.common / fmax(1, (double)s.b_distinct);
    o->rep_compat = (double)s.a / fmax(1, (double)s.a_distinct) - 1;
    return LCM_OK;
}

lcm_status lcm_overlap_measure(lcm_ctx *ctx, lcm_overlap *out, const char *output, size_t n_output, const char *source,
                               size_t n_source) {
    pair words = {0}, chars = {0};
    lcm_status st = pair_words(ctx, &words, output, n_output, source, n_source);
    if (st == LCM_OK) st = by_words(ctx, out, &words);
    if (st == LCM_OK) st = pair_chars(ctx, &chars, output, n_output, source, n_source);
    if (st == LCM_OK) st = by_chars(ctx, out, &chars);
    pair_free(&words);
    pair_free(&chars);
    return st;
}

lcm_status lcm_distinct(lcm_ctx *ctx, double *out, const char *text, size_t len, size_t n) {
    pair p = {0};
    lcm_ngram_sets s = {0};
    lcm_status st = pair_words(ctx, &p, text, len, "", 0);
    if (st == LCM_OK) st = add_sets(ctx, &s, &p, n);
    if (st == LCM_OK) *out = ratio((double)s.a_distinct, (double)s.a);
    pair_free(&p);
    return st;
}

/* ---- edits ---- */

/* distance[k]: from the first i of a to the first k of b; run[k]: length of the common run that ends there. */
static void edit_rows(lcm_edits *e, int64_t *distance, int64_t *run, const lcm_symbols *a, const lcm_symbols *b) {
    for (size_t k = 0; k <= b->n; k++) distance[k] = (int64_t)k;
    for (size_t i = 1; i <= a->n; i++) {
        int64_t corner = distance[0], run_corner = 0;
        distance[0] = (int64_t)i;
        for (size_t k = 1; k <= b->n; k++) {
            bool same = a->x[i - 1] == b->x[k - 1];
            int64_t above = distance[k], run_above = run[k], best = corner + !same;
            if (above + 1 < best) best = above + 1;
            if (distance[k - 1] + 1 < best) best = distance[k - 1] + 1;
            distance[k] = best;
            run[k] = same ? run_corner + 1 : 0;
            if (run[k] > e->common) e->common = run[k];
            corner = above;
            run_corner = run_above;
        }
    }
    e->distance = distance[b->n];
    e->longer = (int64_t)(a->n > b->n ? a->n : b->n);
}

static lcm_status edit(lcm_ctx *ctx, lcm_edits *out, const pair *p) {
    int64_t *rows;
    *out = (lcm_edits){0};
    LCM_TRY(lcm_calloc(ctx, &rows, 2 * (p->b.n + 1), sizeof *rows));
    edit_rows(out, rows, rows + p->b.n + 1, &p->a, &p->b);
    free(rows);
    return LCM_OK;
}

lcm_status lcm_edit_words(lcm_ctx *ctx, lcm_edits *out, const char *a, size_t n_a, const char *b, size_t n_b) {
    pair p = {0};
    lcm_status st = pair_words(ctx, &p, a, n_a, b, n_b);
    if (st == LCM_OK) st = edit(ctx, out, &p);
    pair_free(&p);
    return st;
}

lcm_status lcm_edit_chars(lcm_ctx *ctx, lcm_edits *out, const char *a, size_t n_a, const char *b, size_t n_b) {
    pair p = {0};
    lcm_status st = pair_chars(ctx, &p, a, n_a, b, n_b);
    if (st == LCM_OK) st = edit(ctx, out, &p);
    pair_free(&p);
    return st;
}
