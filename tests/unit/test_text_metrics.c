/* Columns of written text: numbers worked out by hand, and what a scorer is asked. */
#include "harness/test.h"

#include <math.h>
#include <string.h>

#include "eval/overlap.h"
#include "eval/task_score.h"

enum { DOCS = 3 };

static const char *const given[DOCS][3] = {{"A b c."}, {"D e."}, {"F."}};
static const char *const reference[DOCS][3] = {{"The cat sat.", "It ran."}, {"It ran.", "The cat sat."}, {"It ran."}};
static const char *const text[DOCS][3] = {{"The cat ran.", "It ran."}, {"The cat sat.", "It ran."}, {NULL}};

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_sentences given, reference, text;
    lcm_results results;
    lcm_eval_task task; /* without a list: all metrics */
    size_t row;
} fixture;

static void fill(fixture *f, lcm_sentences *s, const char *const lines[DOCS][3]) {
    for (int d = 0; d < DOCS; d++) {
        for (int i = 0; i < 3 && lines[d][i]; i++) assert_ok(f->ctx, lcm_sentences_add(f->ctx, s, lines[d][i], strlen(lines[d][i])));
        assert_ok(f->ctx, lcm_sentences_end_doc(f->ctx, s));
    }
}

static int setup(void **state) {
    static fixture f;
    memset(&f, 0, sizeof f);
    f.ctx = lcm_ctx_new();
    f.task.kind = LCM_EVAL_COMPLETION;
    fill(&f, &f.given, given);
    fill(&f, &f.reference, reference);
    fill(&f, &f.text, text);
    assert_ok(f.ctx, lcm_results_init(f.ctx, &f.results, "t"));
    for (int d = 0; d < DOCS; d++) assert_ok(f.ctx, lcm_results_document(f.ctx, &f.results, (const char *[]){"a", "b", "c"}[d], 1));
    assert_ok(f.ctx, lcm_results_row(f.ctx, &f.row, &f.results, "m", "baseline", LCM_NO_SEED));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_results_free(&f->results);
    lcm_sentences_free(&f->given);
    lcm_sentences_free(&f->reference);
    lcm_sentences_free(&f->text);
    lcm_ctx_free(f->ctx);
    return 0;
}

static lcm_status score(fixture *f, lcm_scorer *scorer) {
    lcm_written w = {.given = &f->given, .reference = &f->reference, .text = &f->text, .scorer = scorer};
    return lcm_task_score_texts(f->ctx, &f->results, f->row, &f->task, &w);
}

/* NAN: nothing can be said. */
static void expect(const fixture *f, const char *name, double a, double b, double c) {
    const lcm_result_metric *m = lcm_result_find(&f->results.rows[f->row], name);
    const double want[DOCS] = {a, b, c};
    assert_non_null(m);
    for (int d = 0; d < DOCS; d++)
        if (isnan(want[d]) ? !isnan(m->values[d]) : !(fabs(m->values[d] - want[d]) < 1e-12))
            fail_msg("%s of document %d: %.17g, expected %.17g", name, d, m->values[d], want[d]);
}

static void by_hand(void **state) {
    fixture *f = *state;
    lcm_overlap o[DOCS];
    assert_ok(f->ctx, score(f, NULL));
    expect(f, "rougeL", 4. / 5, 3. / 5, 0);
    expect(f, "rougeLsum", 4. / 5, 1, 0); /* lines in another order */
    expect(f, "edit_distance", 1. / 5, 4. / 5, 1);
    expect(f, "longest_common", 2, 3, 0);
    expect(f, "word_ratio", 5. / 3, 5. / 2, 0);
    expect(f, "distinct_1", 4. / 5, 1, NAN);
    expect(f, "distinct_2", 1, 1, NAN);
    expect(f, "distinct_3", 1, 1, NAN);
    assert_ok(f->ctx, lcm_overlap_measure(f->ctx, &o[0], "The cat ran. It ran.", 20, "A b c.", 6));
    assert_ok(f->ctx, lcm_overlap_measure(f->ctx, &o[1], "The cat sat. It ran.", 20, "D e.", 4));
    assert_true(o[0].ovl_compat > 0 && o[0].rep_compat > 0);
    expect(f, "ovl3_compat", o[0].ovl_compat, o[1].ovl_compat, 0);
    expect(f, "rep4_compat", o[0].rep_compat, o[1].rep_compat, -1);
    assert_null(lcm_result_find(&f->results.rows[f->row], "mi")); /* no scorer */
}

/* Every word of context saves a nat. */
static lcm_status likelihood(lcm_ctx *ctx, void *self, lcm_scored_text *t, size_t n) {
    const char *refuse = self;
    for (size_t i = 0; i < n; i++) {
        double words = t[i].context_len > 1;
        for (size_t k = 0; k < t[i].context_len; k++) words += t[i].context[k] == ' ';
        t[i].tokens = (int64_t)t[i].len;
        t[i].alone = -2.0 * (double)t[i].len;
        t[i].behind = t[i].alone + words;
        if (refuse && strstr(t[i].text, refuse)) return lcm_fail(ctx, *refuse == 'T' ? LCM_ERR_LIMIT : LCM_ERR_IO, "refused");
    }
    return LCM_OK;
}

static void mutual_information(void **state) {
    static char long_one[] = "The cat sat", lost[] = "It ran";
    fixture *f = *state;
    lcm_scorer s = {.score = likelihood};
    const lcm_result_metric *m;
    assert_ok(f->ctx, score(f, &s));
    /* The first sentence behind 3 words, the second behind 6; 12 and 7 bytes. */
    expect(f, "mi", 9. / 19, 7. / 19, NAN);
    expect(f, "mi_compat", 9. / 21, 7. / 21, NAN);
    m = lcm_result_find(&f->results.rows[f->row], "mi");
    assert_true(m->weights[0] == 19 && m->weights[1] == 19 && m->weights[2] == 0);
    assert_ok(f->ctx, lcm_results_row(f->ctx, &f->row, &f->results, "n", "baseline", LCM_NO_SEED));
    s.self = long_one;
    assert_ok(f->ctx, score(f, &s));
    expect(f, "mi", 9. / 19, NAN, NAN);
    assert_int_equal(s.too_long, 2); /* in both forms */
    assert_ok(f->ctx, lcm_results_row(f->ctx, &f->row, &f->results, "o", "baseline", LCM_NO_SEED));
    s.self = lost; /* what was measured before would pass for all */
    assert_ok(f->ctx, score(f, &s));
    expect(f, "mi", NAN, NAN, NAN);
    expect(f, "mi_compat", NAN, NAN, NAN);
    expect(f, "word_ratio", 5. / 3, 5. / 2, 0);
    m = lcm_result_find(&f->results.rows[f->row], "mi");
    assert_true(m->weights[0] == 0 && m->weights[1] == 0);
    assert_string_equal(s.failed, "refused");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(by_hand, setup, teardown),
                                       cmocka_unit_test_setup_teardown(mutual_information, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
