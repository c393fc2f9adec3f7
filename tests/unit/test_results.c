/* Result tables: bootstrap, seeds, JSON and back, hostile files. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval/bootstrap.h"
#include "eval/compare.h"
#include "eval/page.h"
#include "eval/results.h"

#define assert_near(a, b, tol) assert_true(fabs((a) - (b)) <= (tol))

static int setup(void **state) {
    *state = lcm_ctx_new();
    return *state == NULL;
}

static int teardown(void **state) {
    lcm_ctx_free(*state);
    return 0;
}

/* ---- bootstrap ---- */

static void interval_of_coins(void **state) {
    double v[401], w[401];
    lcm_interval i[2];
    for (int k = 0; k < 401; k++) v[k] = k == 400 ? NAN : k % 2, w[k] = k % 2 ? 3 : 1;
    assert_ok(*state, lcm_bootstrap(*state, i, (lcm_series[]){{v, NULL}, {v, w}}, 2, 401, 1));
    assert_int_equal(i[0].n, 400);
    assert_true(i[0].mean == 0.5 && i[1].mean == 0.75);
    /* normal approximation: ± 1.96 sqrt(.25 / 400) = .049; 2000 resamples leave some ± .004 */
    assert_true(fabs(i[0].low - 0.451) < 0.012 && fabs(i[0].high - 0.549) < 0.012);
    /* delta method for the ratio: sd = sqrt(E[w²(v - .75)²]) / E[w] / 20 = .75 / 2 / 20, half width .0368 */
    assert_true(fabs(i[1].low - 0.7132) < 0.012 && fabs(i[1].high - 0.7868) < 0.012);
    assert_ok(*state, lcm_bootstrap(*state, i, &(lcm_series){v, NULL}, 1, 1, 1));
    assert_true(i[0].mean == 0 && i[0].low == 0 && i[0].high == 0);
    assert_ok(*state, lcm_bootstrap(*state, i, &(lcm_series){v + 400, NULL}, 1, 1, 1));
    assert_true(i[0].n == 0 && isnan(i[0].mean) && isnan(i[0].low));
    assert_ok(*state, lcm_bootstrap(*state, i, &(lcm_series){v, NULL}, 1, 0, 1));
    assert_true(i[0].n == 0 && isnan(i[0].mean));
}

/* Documents differ by far more than the two models do: unpaired nothing could be told. */
static void pairing_takes_out_the_documents(void **state) {
    double a[100], b[100];
    lcm_interval alone;
    lcm_paired p;
    for (int k = 0; k < 100; k++) a[k] = (k * 37) % 100, b[k] = a[k] + (k % 3 ? 0.5 : -0.25);
    assert_ok(*state, lcm_bootstrap(*state, &alone, &(lcm_series){a, NULL}, 1, 100, 1));
    assert_ok(*state, lcm_bootstrap_paired(*state, &p, &(lcm_series){a, NULL}, &(lcm_series){b, NULL}, 1, 100, 1));
    assert_int_equal(p.n, 100);
    assert_near(p.diff, (66 * 0.5 - 34 * 0.25) / 100, 1e-12);
    assert_true(alone.high - alone.low > 10 && p.high - p.low < 0.2 && p.low > 0.1);
    assert_near(p.p, 2.0 / (LCM_PAIRED_RESAMPLES + 1), 1e-12); /* no resample is below 0 */
    assert_ok(*state, lcm_bootstrap_paired(*state, &p, &(lcm_series){a, NULL}, &(lcm_series){a, NULL}, 1, 100, 1));
    assert_true(p.diff == 0 && p.p == 1);
    b[0] = NAN;
    assert_ok(*state, lcm_bootstrap_paired(*state, &p, &(lcm_series){a, NULL}, &(lcm_series){b, NULL}, 1, 1, 1));
    assert_true(p.n == 0 && isnan(p.diff) && isnan(p.p));
}

/* Under the null hypothesis p is uniform, but for a bootstrap of 40 that is a little too sure: of 50 comparisons 2 or 3
 * are below .05. P(more than 10) < 2e-4, even at .06. */
static void chance_is_not_called_real(void **state) {
    double a[40], b[40];
    int called = 0;
    for (uint64_t trial = 0; trial < 50; trial++) {
        lcm_rng rng = lcm_rng_make(trial, LCM_RNG_TEST);
        lcm_paired p;
        for (int k = 0; k < 40; k++) a[k] = lcm_rng_normal(&rng), b[k] = lcm_rng_normal(&rng);
        assert_ok(*state, lcm_bootstrap_paired(*state, &p, &(lcm_series){a, NULL}, &(lcm_series){b, NULL}, 1, 40, 1));
        called += p.p < 0.05;
    }
    assert_in_range(called, 0, 10);
}

/* ---- tables ---- */

/* Two documents and a model with two seeds, a baseline, a number of the corpus, a weighted metric. */
static void fill(lcm_ctx *ctx, lcm_results *r) {
    double *v, *w;
    size_t row;
    assert_ok(ctx, lcm_results_init(ctx, r, "next"));
    assert_ok(ctx, lcm_results_file(ctx, r, "a <b>.txt"));
    assert_ok(ctx, lcm_results_document(ctx, r, "a:1", 5));
    assert_ok(ctx, lcm_results_document(ctx, r, "a:2", 7));
    assert_int_equal(lcm_results_document(ctx, r, "a:1", 1), LCM_ERR_ARG);
    assert_ok(ctx, lcm_results_skip(ctx, r, "empty", 1));
    assert_ok(ctx, lcm_results_skip(ctx, r, "empty", 2));
    for (int seed = 1; seed <= 2; seed++) {
        assert_ok(ctx, lcm_results_row(ctx, &row, r, "ours", "two_tower", seed));
        r->rows[row].parameters = 1000;
        r->rows[row].fixed = 500;
        r->rows[row].train = (lcm_train_record){.steps = 9, .items = 1e6, .unit = "concepts", .flops = 6e9, .seconds = 12.5, .seed = 3, .trained = 1000,
                                               .fixed = 500};
        assert_ok(ctx, lcm_results_metric(ctx, &v, NULL, r, row, "l2", LCM_BETTER_LOWER));
        v[0] = seed, v[1] = 4;
        assert_ok(ctx, lcm_results_metric(ctx, &v, &w, r, row, "mi", LCM_BETTER_HIGHER));
        v[0] = 1, v[1] = 2, w[0] = seed, w[1] = 3;
        assert_ok(ctx, lcm_results_corpus_metric(ctx, r, row, "bleu", LCM_BETTER_HIGHER, 10 * seed));
        assert_int_equal(lcm_results_metric(ctx, &v, NULL, r, row, "l2", LCM_BETTER_LOWER), LCM_ERR_ARG);
    }
    assert_ok(ctx, lcm_results_row(ctx, &row, r, "mean", "baseline", LCM_NO_SEED));
    assert_ok(ctx, lcm_results_metric(ctx, &v, NULL, r, row, "ratio", LCM_BETTER_NEITHER)); /* nothing measured */
    json_object_set_new(r->facts, "beam", json_integer(1));
}

static void seeds_become_one_row(void **state) {
    lcm_results r;
    const lcm_result_metric *m;
    fill(*state, &r);
    assert_int_equal(r.skipped[0].n, 3);
    assert_int_equal(r.sentences, 12);
    assert_ok(*state, lcm_results_finish(*state, &r, 1));
    m = lcm_result_find(&r.rows[1], "mi");
    assert_near(m->mean, (2 * 1 + 3 * 2) / 5.0, 1e-15);
    assert_ok(*state, lcm_results_merge_seeds(*state, &r, 1));
    assert_int_equal(r.n_rows, 2);
    assert_int_equal(r.rows[0].n_seeds, 2);
    assert_int_equal(r.rows[0].seeds[1], 2);
    m = lcm_result_find(&r.rows[0], "l2");
    assert_true(m->values[0] == 1.5 && m->values[1] == 4 && m->mean == 2.75);
    assert_true(m->seed_means[0] == 2.5 && m->seed_means[1] == 3);
    assert_near(m->sd, 0.5 / sqrt(2), 1e-15);
    m = lcm_result_find(&r.rows[0], "mi");
    assert_true(m->weights[0] == 1.5 && m->weights[1] == 3 && m->values[0] == 1);
    m = lcm_result_find(&r.rows[0], "bleu");
    assert_true(m->mean == 15 && isnan(m->low));
    assert_near(m->sd, 10 / sqrt(2), 1e-12);
    m = lcm_result_find(&r.rows[1], "ratio");
    assert_true(isnan(m->mean) && isnan(m->low));
    lcm_results_free(&r);
}

static void json_gives_the_same_table(void **state) {
    lcm_results r, back;
    char *text, *again, *md;
    fill(*state, &r);
    assert_ok(*state, lcm_results_merge_seeds(*state, &r, 1));
    assert_ok(*state, lcm_results_write(*state, &text, &r));
    assert_ok(*state, lcm_results_read(*state, &back, text, strlen(text), "text"));
    assert_ok(*state, lcm_results_write(*state, &again, &back));
    assert_string_equal(text, again); /* %.17g gives every double back */
    assert_true(back.rows[0].train.flops == 6e9 && back.rows[0].metrics[0].better == LCM_BETTER_LOWER);
    assert_true(back.rows[0].parameters == 1000 && back.rows[0].fixed == 500);
    assert_ok(*state, lcm_results_md(*state, &md, &back, 1));
    assert_non_null(strstr(md, " + 500 fixed |"));
    free(md);
    free(text);
    free(again);
    lcm_results_free(&r);
    lcm_results_free(&back);
}

static void no_infinite_values(void **state) {
    lcm_results r;
    double *v, *w;
    size_t row;
    assert_ok(*state, lcm_results_init(*state, &r, "t"));
    assert_ok(*state, lcm_results_document(*state, &r, "d", 1));
    assert_ok(*state, lcm_results_row(*state, &row, &r, "m", "k", 1));
    assert_ok(*state, lcm_results_metric(*state, &v, &w, &r, row, "x", LCM_BETTER_LOWER));
    v[0] = INFINITY;
    assert_int_equal(lcm_results_finish(*state, &r, 1), LCM_ERR_NUMERIC);
    v[0] = 1, w[0] = -1;
    assert_int_equal(lcm_results_finish(*state, &r, 1), LCM_ERR_NUMERIC);
    w[0] = NAN;
    assert_int_equal(lcm_results_finish(*state, &r, 1), LCM_ERR_NUMERIC);
    w[0] = 0;
    assert_ok(*state, lcm_results_finish(*state, &r, 1));
    assert_true(isnan(r.rows[0].metrics[0].mean));
    lcm_results_free(&r);
}

/* Seeds that measured different things are no repetition of one another. */
static void unequal_seeds_are_refused(void **state) {
    lcm_results r;
    double *v;
    size_t row;
    assert_ok(*state, lcm_results_init(*state, &r, "t"));
    assert_ok(*state, lcm_results_document(*state, &r, "d", 1));
    for (int seed = 1; seed <= 2; seed++) {
        assert_ok(*state, lcm_results_row(*state, &row, &r, "m", "k", seed));
        assert_ok(*state, lcm_results_metric(*state, &v, NULL, &r, row, seed == 1 ? "x" : "y", LCM_BETTER_LOWER));
    }
    assert_int_equal(lcm_results_merge_seeds(*state, &r, 1), LCM_ERR_ARG);
    lcm_results_free(&r);
}

/* One evaluation of a model that was trained with `seed`; two draws of noise are merged, as lcm eval run does. */
static void evaluate(lcm_ctx *ctx, lcm_results *r, int64_t seed, bool baseline, const char *last) {
    double *v;
    size_t row;
    assert_ok(ctx, lcm_results_init(ctx, r, "t"));
    assert_ok(ctx, lcm_results_document(ctx, r, "d1", 1));
    assert_ok(ctx, lcm_results_document(ctx, r, last, 1));
    for (int draw = 1; draw <= 2; draw++) {
        assert_ok(ctx, lcm_results_row(ctx, &row, r, "ours", "two_tower", draw));
        r->rows[row].train = (lcm_train_record){.steps = 9, .items = 100, .unit = "concepts", .seed = seed};
        assert_ok(ctx, lcm_results_metric(ctx, &v, NULL, r, row, "l2", LCM_BETTER_LOWER));
        v[0] = (double)seed + draw, v[1] = 10;
    }
    if (baseline) {
        assert_ok(ctx, lcm_results_row(ctx, &row, r, "mean", "baseline", LCM_NO_SEED));
        assert_ok(ctx, lcm_results_metric(ctx, &v, NULL, r, row, "l2", LCM_BETTER_LOWER));
        v[0] = v[1] = 7;
    }
    assert_ok(ctx, lcm_results_merge_seeds(ctx, r, 1));
}

static void evaluations_join_over_seeds_of_training(void **state) {
    lcm_results r, other;
    const lcm_result_metric *m;
    evaluate(*state, &r, 5, true, "d2");
    assert_int_equal(r.rows[0].n_seeds, 2); /* of the noise */
    evaluate(*state, &other, 8, false, "d2");
    assert_ok(*state, lcm_results_join(*state, &r, &other));
    assert_int_equal(other.n_rows, 0);
    lcm_results_free(&other);
    assert_ok(*state, lcm_results_merge_seeds(*state, &r, 1));
    assert_int_equal(r.n_rows, 2);
    assert_true(r.rows[0].n_seeds == 2 && r.rows[0].seeds[0] == 5 && r.rows[0].seeds[1] == 8);
    m = lcm_result_find(&r.rows[0], "l2"); /* 6.5 and 9.5 in the first document, 10 in the second */
    assert_true(m->values[0] == 8 && m->values[1] == 10 && m->mean == 9);
    assert_true(m->seed_means[0] == 8.25 && m->seed_means[1] == 9.75);
    assert_near(m->sd, 1.5 / sqrt(2), 1e-15);
    m = lcm_result_find(&r.rows[1], "l2");
    assert_true(m->mean == 7 && m->seed_means == NULL);
    lcm_results_free(&r);
}

static void what_does_not_belong_together_is_not_joined(void **state) {
    lcm_results r, other;
    evaluate(*state, &r, 5, true, "d2");
    evaluate(*state, &other, 5, false, "d2");
    assert_int_equal(lcm_results_join(*state, &r, &other), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "'ours' of seed 5 is there twice"));
    lcm_results_free(&other);
    evaluate(*state, &other, 6, true, "d2");
    assert_int_equal(lcm_results_join(*state, &r, &other), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "'mean' is there twice"));
    lcm_results_free(&other);
    evaluate(*state, &other, 6, false, "d3");
    assert_int_equal(lcm_results_join(*state, &r, &other), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "documents"));
    lcm_results_free(&other);
    evaluate(*state, &other, 6, false, "d2");
    json_object_set_new(r.facts, "task", json_integer(1));
    json_object_set_new(other.facts, "task", json_integer(2));
    assert_int_equal(lcm_results_join(*state, &r, &other), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "differ"));
    lcm_results_free(&other);
    assert_int_equal(r.n_rows, 2);
    lcm_results_free(&r);
}

/* ---- comparison ---- */

enum { DOCS = 60 };

/* n documents from `first` on; "up" rises by `gain`, "noise" is chance, "flat" is the same, "corpus" has no documents. */
static void one_row(lcm_ctx *ctx, lcm_results *r, int first, int n, int step, double gain, uint64_t seed) {
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_TEST);
    double *v[3];
    size_t row;
    assert_ok(ctx, lcm_results_init(ctx, r, "t"));
    for (int i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "d%d", first + i * step);
        assert_ok(ctx, lcm_results_document(ctx, r, id, 1));
    }
    assert_ok(ctx, lcm_results_row(ctx, &row, r, "m", "k", LCM_NO_SEED));
    assert_ok(ctx, lcm_results_metric(ctx, &v[0], NULL, r, row, "up", LCM_BETTER_LOWER));
    assert_ok(ctx, lcm_results_metric(ctx, &v[1], NULL, r, row, "noise", LCM_BETTER_HIGHER));
    assert_ok(ctx, lcm_results_metric(ctx, &v[2], NULL, r, row, "flat", LCM_BETTER_HIGHER));
    for (int i = 0; i < n; i++) {
        int d = first + i * step;
        v[0][i] = d % 7 + gain + 0.01 * (d % 3);
        v[1][i] = lcm_rng_normal(&rng);
        v[2][i] = d;
    }
    assert_ok(ctx, lcm_results_corpus_metric(ctx, r, row, "corpus", LCM_BETTER_HIGHER, gain));
    assert_ok(ctx, lcm_results_finish(ctx, r, 1));
}

static void comparison_pairs_documents_by_name(void **state) {
    static const lcm_verdict want[] = {LCM_VERDICT_REAL, LCM_VERDICT_CHANCE, LCM_VERDICT_SAME, LCM_VERDICT_CORPUS};
    lcm_results a, b;
    lcm_compared *c;
    char words[80];
    size_t n;
    one_row(*state, &a, 0, DOCS, 1, 0, 1);
    one_row(*state, &b, DOCS + 9, DOCS, -1, 0.5, 2); /* backwards, and the first ten are not in a */
    assert_ok(*state, lcm_compare_rows(*state, &c, &n, &a, 0, &b, 0, 1));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) assert_int_equal(c[i].verdict, want[i]);
    assert_int_equal(c[0].paired.n, DOCS - 10);
    assert_near(c[0].paired.diff, 0.5, 1e-12);
    assert_near(c[0].p_adjusted, 2 * c[0].paired.p, 1e-15); /* two tests: the documents of "flat" say nothing */
    lcm_compared_words(words, sizeof words, &c[0], "A", "B");
    assert_string_equal(words, "real: A is better"); /* less is better */
    lcm_compared_words(words, sizeof words, &c[1], "A", "B");
    assert_string_equal(words, "may be chance");
    assert_true(c[3].paired.diff == 0.5 && isnan(c[3].paired.p));
    free(c);
    lcm_results_free(&b);
    one_row(*state, &b, 0, LCM_COMPARE_MIN - 1, 1, 0.5, 2);
    assert_ok(*state, lcm_compare_rows(*state, &c, &n, &a, 0, &b, 0, 1));
    assert_int_equal(c[0].verdict, LCM_VERDICT_FEW);
    free(c);
    lcm_results_free(&b);
    one_row(*state, &b, 1000, DOCS, 1, 0.5, 2);
    assert_int_equal(lcm_compare_rows(*state, &c, &n, &a, 0, &b, 0, 1), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "no document"));
    b.task[0] = 'u';
    assert_int_equal(lcm_compare_rows(*state, &c, &n, &a, 0, &b, 0, 1), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(*state), "task"));
    lcm_results_free(&a);
    lcm_results_free(&b);
}

/* ---- pages ---- */

static int count(const char *text, const char *what) {
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text++) n++;
    return n;
}

static void pages_escape_what_files_say(void **state) {
    static const char evil[] = "<script>\"'&|`\x01\xff</script>";
    lcm_results r;
    char *html, *md, *json;
    double *v;
    size_t row;
    assert_ok(*state, lcm_results_init(*state, &r, evil));
    assert_ok(*state, lcm_results_file(*state, &r, evil));
    assert_ok(*state, lcm_results_document(*state, &r, evil, 1));
    assert_ok(*state, lcm_results_skip(*state, &r, evil, 1));
    json_object_set_new(r.facts, "<script>", json_string("<script>"));
    assert_ok(*state, lcm_results_row(*state, &row, &r, evil, evil, 1));
    snprintf(r.rows[row].train.unit, sizeof r.rows[row].train.unit, "<script>");
    assert_ok(*state, lcm_results_metric(*state, &v, NULL, &r, row, evil, LCM_BETTER_HIGHER));
    v[0] = 1.5;
    assert_ok(*state, lcm_results_metric(*state, &v, NULL, &r, row, "empty", LCM_BETTER_HIGHER));
    assert_ok(*state, lcm_results_corpus_metric(*state, &r, row, "huge", LCM_BETTER_HIGHER, 1e300));
    assert_ok(*state, lcm_results_finish(*state, &r, 1));
    assert_ok(*state, lcm_results_html(*state, &html, &r, 1));
    assert_ok(*state, lcm_results_md(*state, &md, &r, 1));
    assert_ok(*state, lcm_results_write(*state, &json, &r));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(md, "<script"));
    assert_true(count(html, "&#60;script&#62;") >= 8);
    for (const char *p = html; *p; p++) assert_true((unsigned char)*p >= ' ' || *p == '\n');
    assert_null(strstr(html, "://")); /* nothing from elsewhere */
    assert_null(strstr(html, "url("));
    assert_int_equal(count(html, "<svg"), 1); /* nothing to draw of the other two */
    assert_int_equal(count(html, "<svg"), count(html, "</svg>"));
    assert_int_equal(count(html, "<tr>"), count(html, "</tr>"));
    assert_int_equal(count(html, "<td"), count(html, "</td>"));
    assert_int_equal(count(html, "<g>"), count(html, "</g>"));
    for (const char *line = strstr(md, "| metric"); line && *line == '|'; line = strchr(line, '\n') + 1) {
        int bars = 0;
        for (const char *p = line; *p != '\n'; p++) bars += *p == '|';
        assert_int_equal(bars, 3); /* none of the model's own */
    }
    free(html);
    free(md);
    free(json);
    lcm_results_free(&r);
}

static void pages_of_nothing(void **state) {
    lcm_results r;
    char *text;
    assert_ok(*state, lcm_results_init(*state, &r, "t"));
    assert_ok(*state, lcm_results_finish(*state, &r, 1));
    assert_ok(*state, lcm_results_md(*state, &text, &r, 1));
    assert_non_null(strstr(text, "documents: 0"));
    free(text);
    assert_ok(*state, lcm_results_html(*state, &text, &r, 1));
    assert_non_null(strstr(text, "</html>"));
    free(text);
    lcm_results_free(&r);
}

/* Numbers do not depend on the locale; the last digit is that of printf. */
static void numbers_on_a_page(void **state) {
    static const struct { double v; const char *want; } cases[] = {
        {0.12345, "0.1235"}, {1e6, "1e06"}, {-2.5, "-2.5"}, {NAN, "–"}, {INFINITY, "–"}, {1e-7, "1e-07"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_page p = {.ctx = *state};
        char *text;
        lcm_page_number(&p, cases[i].v, 4);
        assert_ok(*state, lcm_page_finish(&p, &text));
        assert_string_equal(text, cases[i].want);
        free(text);
    }
}

/* ---- hostile files: one change each to a good one ---- */

static const char good[] =
    "{\"schema\": \"lcm.eval/1\", \"task\": \"t\", \"files\": [\"f\"], \"sentences\": 3, \"skipped\": {\"e\": 1}, \"facts\": {},"
    " \"documents\": [\"a\", \"b\"], \"rows\": [{\"model\": \"m\", \"kind\": \"k\", \"parameters\": 1, \"train\": null,"
    " \"seconds\": null, \"seeds\": [1], \"metrics\": {\"x\": {\"mean\": 1.5, \"low\": 1, \"high\": 2,"
    " \"higher_is_better\": true, \"values\": [1, 2], \"weights\": [1, 1]}}}]}";

static const struct {
    const char *from, *to;
    lcm_status want;
} changes[] = {
    {"{", "{", LCM_OK},
    {"\"t\"", "\"t\", \"of a later minor version\": [1]", LCM_OK},
    {"{\"schema\"", "[\"schema\"", LCM_ERR_FORMAT},
    {"lcm.eval/1", "lcm.eval/2", LCM_ERR_VERSION},
    {"\"lcm.eval/1\"", "1", LCM_ERR_FORMAT},
    {"\"t\"", "null", LCM_ERR_FORMAT},
    {"[\"f\"]", "[1]", LCM_ERR_FORMAT},
    {"\"e\": 1", "\"e\": \"1\"", LCM_ERR_FORMAT},
    {"\"sentences\": 3", "\"sentences\": 3.5", LCM_ERR_FORMAT},
    {"\"facts\": {}", "\"facts\": []", LCM_ERR_FORMAT},
    {"\"b\"]", "\"a\"]", LCM_ERR_FORMAT},
    {"\"b\"]", "2]", LCM_ERR_FORMAT},
    {", \"b\"]", "]", LCM_ERR_FORMAT},
    {"\"m\"", "7", LCM_ERR_FORMAT},
    {"\"train\": null", "\"train\": {\"steps\": -1}", LCM_ERR_FORMAT},
    {"\"train\": null", "\"train\": {\"steps\": 1, \"unit\": \"concepts\"}", LCM_OK},
    {"\"seconds\": null", "\"seconds\": \"1\"", LCM_ERR_FORMAT},
    {"\"seeds\": [1]", "\"seeds\": [0.5]", LCM_ERR_FORMAT},
    {"\"mean\": 1.5", "\"mean\": 1.6", LCM_ERR_FORMAT},
    {"\"mean\": 1.5", "\"mean\": null", LCM_ERR_FORMAT},
    {"\"mean\": 1.5", "\"mean\": NaN", LCM_ERR_FORMAT},
    {"\"mean\": 1.5", "\"mean\": 1e999", LCM_ERR_FORMAT},
    {"\"mean\": 1.5, ", "", LCM_ERR_FORMAT},
    {"\"low\": 1", "\"low\": {}", LCM_ERR_FORMAT},
    {"\"higher_is_better\": true", "\"higher_is_better\": 1", LCM_ERR_FORMAT},
    {"[1, 2]", "[1]", LCM_ERR_FORMAT},
    {"[1, 2]", "[1, \"2\"]", LCM_ERR_FORMAT},
    {"[1, 1]", "[1, -1]", LCM_ERR_FORMAT},
    {"[1, 1]", "[1, null]", LCM_ERR_FORMAT},
    {"\"high\": 2", "\"high\": 2, \"seed_means\": [1, 2], \"sd\": 1", LCM_ERR_FORMAT},
    {"\"high\": 2", "\"high\": 2, \"seed_means\": [1.5]", LCM_ERR_FORMAT},
    {"\"high\": 2", "\"high\": 2, \"high\": 2", LCM_ERR_FORMAT},
    {"}}}]}", "}}}]", LCM_ERR_FORMAT},
};

static void broken_files_are_refused(void **state) {
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char text[2048];
        const char *at = strstr(good, changes[i].from);
        lcm_results r;
        lcm_status st;
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, changes[i].to, at + strlen(changes[i].from));
        st = lcm_results_read(*state, &r, text, strlen(text), "file");
        if (st != changes[i].want) fail_msg("'%s' for '%s': %s", changes[i].to, changes[i].from, lcm_ctx_message(*state));
        if (st) assert_true(strncmp(lcm_ctx_message(*state), "file", 4) == 0 && r.task == NULL);
        lcm_results_free(&r);
    }
    for (size_t n = 0; n < sizeof good - 1; n++) {
        lcm_results r;
        assert_int_equal(lcm_results_read(*state, &r, good, n, "file"), LCM_ERR_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_of_coins),          cmocka_unit_test(pairing_takes_out_the_documents),
        cmocka_unit_test(chance_is_not_called_real),  cmocka_unit_test(seeds_become_one_row),
        cmocka_unit_test(json_gives_the_same_table),  cmocka_unit_test(no_infinite_values),
        cmocka_unit_test(evaluations_join_over_seeds_of_training), cmocka_unit_test(what_does_not_belong_together_is_not_joined),
        cmocka_unit_test(unequal_seeds_are_refused),  cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(comparison_pairs_documents_by_name),
        cmocka_unit_test(pages_escape_what_files_say), cmocka_unit_test(pages_of_nothing),
        cmocka_unit_test(numbers_on_a_page),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
