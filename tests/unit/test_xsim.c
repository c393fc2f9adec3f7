/* Similarity search against brute force, and the files of `lcm eval xsim`. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "eval/aligned.h"
#include "eval/xsim.h"
#include "harness/sonar_toy.h"
#include "harness/tmpdir.h"
#include "kernels/distance.h"
#include "lcm/eval.h"
#include "lcm/train.h"
#include "sonar/sonar_io.h"

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir, sonar[512], a[512], b[512], extra[512];
} fixture;

#define OK(call) assert_ok(f->ctx, call)

static void place(fixture *f, char *path, size_t size, const char *name) {
    snprintf(path, size, "%s", tmpdir_path(f->dir, name));
}

static int setup(void **state) {
    static const char *const langs[] = {"eng_Latn", "fra_Latn"};
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    place(f, f->sonar, sizeof f->sonar, "sonar.safetensors");
    place(f, f->a, sizeof f->a, "a.txt");
    place(f, f->b, sizeof f->b, "b.txt");
    place(f, f->extra, sizeof f->extra, "extra.txt");
    toy_sonar_write(f->ctx, f->sonar, 12, "xsim/", langs, 2);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

/* ---- the search ---- */

static real *random_rows(int64_t n, int64_t D, uint64_t seed) {
    real *x = malloc((size_t)(n * D) * sizeof *x);
    lcm_rng r = lcm_rng_make(seed, 1);
    assert_non_null(x);
    for (int64_t i = 0; i < n * D; i++) x[i] = (real)(lcm_rng_normal(&r) + 0.3);
    lcm_unit_rows(x, n, D);
    return x;
}

static double cosine(const real *a, const real *b, int64_t D) {
    double s = 0;
    for (int64_t i = 0; i < D; i++) s += (double)a[i] * (double)b[i];
    return s;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Mean of the k largest of c[0], c[step], … (n of them), and the k-th of them. */
static double best_mean(const double *c, int64_t n, int64_t step, int64_t k, double *kth) {
    double *copy = malloc((size_t)n * sizeof *copy), sum = 0;
    assert_non_null(copy);
    for (int64_t i = 0; i < n; i++) copy[i] = c[i * step];
    qsort(copy, (size_t)n, sizeof *copy, descending);
    for (int64_t i = 0; i < k; i++) sum += copy[i];
    *kth = copy[k - 1];
    free(copy);
    return sum / (double)k;
}

static double margin_score(lcm_margin m, double a, double b) { return m == LCM_MARGIN_RATIO ? a / b : m == LCM_MARGIN_DISTANCE ? a - b : a; }

/* Every found row must score as high as the best of the k nearest, by formulas over the whole matrix. The product's
 * sums of D = 6 terms below 1 are off by less than 1e-6, a ratio with a mean of neighbours above 0.1 by ten times that. */
static void check_against_brute_force(const int64_t *found, const real *x, int64_t n, const real *y, int64_t m, int64_t D, lcm_margin margin,
                                      int64_t k) {
    int64_t kx = k < m ? k : m, ky = k < n ? k : n;
    double *c = malloc((size_t)(n * m) * sizeof *c), *mean_y = malloc((size_t)m * sizeof *mean_y), kth;
    assert_non_null(c);
    assert_non_null(mean_y);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) c[i * m + j] = cosine(x + i * D, y + j * D, D);
    for (int64_t j = 0; j < m; j++) mean_y[j] = best_mean(c + j, n, m, ky, &kth);
    for (int64_t i = 0; i < n; i++) {
        double mean_x = best_mean(c + i * m, m, 1, kx, &kth), best = -INFINITY;
        for (int64_t j = 0; j < m; j++)
            if (c[i * m + j] >= kth) best = fmax(best, margin_score(margin, c[i * m + j], (mean_x + mean_y[j]) / 2));
        assert_in_range(found[i], 0, m - 1);
        assert_true(c[i * m + found[i]] > kth - 1e-6);
        assert_true(fabs(margin_score(margin, c[i * m + found[i]], (mean_x + mean_y[found[i]]) / 2) - best) < 1e-5);
    }
    free(c);
    free(mean_y);
}

static void test_brute_force(void **state) {
    /* The last one takes several blocks either way. */
    static const int64_t sizes[][3] = {{1, 1, 4}, {1, 5, 2}, {7, 3, 4}, {40, 41, 1}, {40, 60, 8}, {530, 2060, 4}};
    fixture *f = *state;
    enum { D = 6 };
    for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
        int64_t n = sizes[t][0], m = sizes[t][1], k = sizes[t][2], *to_y = calloc((size_t)n, sizeof *to_y), *to_x = calloc((size_t)m, sizeof *to_x);
        real *x = random_rows(n, D, 2 * t), *y = random_rows(m, D, 2 * t + 1);
        for (int margin = 0; lcm_margin_names[margin]; margin++) {
            OK(lcm_xsim_match(f->ctx, to_y, to_x, x, n, y, m, D, (lcm_margin)margin, k));
            check_against_brute_force(to_y, x, n, y, m, D, (lcm_margin)margin, k);
            check_against_brute_force(to_x, y, m, x, n, D, (lcm_margin)margin, k);
        }
        free(x);
        free(y);
        free(to_x);
        free(to_y);
    }
}

/* One row is near to all: by cosine it wins everywhere, by margin it does not. */
static void test_margin_tames_a_hub(void **state) {
    fixture *f = *state;
    enum { N = 4, D = 5 };
    real x[N * D] = {0}, y[(N + 1) * D] = {0};
    int64_t found[N];
    for (int i = 0; i < N; i++) {
        x[i * D + i] = 1;
        x[i * D + N] = 1;
        y[i * D + i] = 1;
        y[N * D + i] = (real)0.25;
    }
    y[N * D + N] = 1;
    lcm_unit_rows(x, N, D);
    lcm_unit_rows(y, N + 1, D);
    OK(lcm_xsim_match(f->ctx, found, NULL, x, N, y, N + 1, D, LCM_MARGIN_ABSOLUTE, 4));
    for (int i = 0; i < N; i++) assert_int_equal(found[i], N);
    OK(lcm_xsim_match(f->ctx, found, NULL, x, N, y, N + 1, D, LCM_MARGIN_RATIO, 4));
    for (int i = 0; i < N; i++) assert_int_equal(found[i], i);
    OK(lcm_xsim_match(f->ctx, found, NULL, x, N, y, N + 1, D, LCM_MARGIN_DISTANCE, 4));
    for (int i = 0; i < N; i++) assert_int_equal(found[i], i);
}

static void test_first_of_equals_and_bad_values(void **state) {
    fixture *f = *state;
    real x[2] = {1, 0}, y[6] = {0, 1, 1, 0, 1, 0};
    int64_t found;
    for (int margin = 0; lcm_margin_names[margin]; margin++) {
        OK(lcm_xsim_match(f->ctx, &found, NULL, x, 1, y, 3, 2, (lcm_margin)margin, 2));
        assert_int_equal(found, 1);
    }
    y[5] = NAN;
    assert_int_equal(lcm_xsim_match(f->ctx, &found, NULL, x, 1, y, 3, 2, LCM_MARGIN_RATIO, 2), LCM_ERR_NUMERIC);
    assert_int_equal(lcm_xsim_match(f->ctx, &found, NULL, y + 4, 1, x, 1, 2, LCM_MARGIN_RATIO, 2), LCM_ERR_NUMERIC);
}

/* ---- aligned files ---- */

static void put(fixture *f, const char *path, const char *text, size_t len) { OK(lcm_write_file(f->ctx, path, text, len)); }
#define PUT(path, text) put(f, path, text, sizeof text - 1)

static void test_aligned_lines(void **state) {
    fixture *f = *state;
    const char *paths[] = {f->a, f->b}, *keys[] = {NULL, NULL};
    static const char *const want[][2] = {{"one", "un"}, {"five", "cinq"}, {"seven", "sept"}};
    lcm_sentences a = {0}, b = {0};
    lcm_aligned_report r;
    PUT(f->a, "one\ntwo\n  \nfour\xff\nfive\r\nsix\nseven");
    PUT(f->b, "un\n\ntrois\nquatre\ncinq\nsi\0x\nsept\n");
    OK(lcm_aligned_read(f->ctx, &a, &b, &r, paths, keys));
    assert_int_equal(r.lines, 7);
    assert_int_equal(r.pairs, 3);
    assert_int_equal(a.n, 3);
    assert_int_equal(b.n, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(lcm_sentences_at(&a, i, NULL), want[i][0]);
        assert_string_equal(lcm_sentences_at(&b, i, NULL), want[i][1]);
    }
    assert_int_equal(r.file[0].blank_lines, 1);
    assert_int_equal(r.file[0].dropped[LCM_DOC_BAD_UTF8], 1);
    assert_int_equal(r.file[1].blank_lines, 1);
    assert_int_equal(r.file[1].dropped[LCM_DOC_BAD_UTF8], 1);
    PUT(f->b, "un\n\ntrois\nquatre\ncinq\nsix\nsept\n\n");
    assert_int_equal(lcm_aligned_read(f->ctx, &a, &b, &r, paths, keys), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "7 lines"));
    paths[1] = f->dir;
    assert_int_equal(lcm_aligned_read(f->ctx, &a, &b, &r, paths, keys), LCM_ERR_ARG);
    paths[0] = paths[1] = "-";
    assert_int_equal(lcm_aligned_read(f->ctx, &a, &b, &r, paths, keys), LCM_ERR_ARG);
    lcm_sentences_free(&a);
    lcm_sentences_free(&b);
}

static void test_one_file_two_keys(void **state) {
    fixture *f = *state;
    const char *path = tmpdir_path(f->dir, "both.jsonl"), *paths[] = {path, path}, *keys[] = {"eng", "deu"};
    lcm_sentences a = {0}, b = {0};
    lcm_aligned_report r;
    PUT(path, "{\"eng\": \"one\", \"deu\": \"eins\"}\n{\"eng\": \"two\"}\n{\n{\"deu\": \"vier\", \"eng\": \"four\"}\n");
    OK(lcm_aligned_read(f->ctx, &a, &b, &r, paths, keys));
    assert_int_equal(r.lines, 4);
    assert_int_equal(a.n, 2);
    assert_string_equal(lcm_sentences_at(&a, 1, NULL), "four");
    assert_string_equal(lcm_sentences_at(&b, 1, NULL), "vier");
    assert_int_equal(r.file[1].dropped[LCM_DOC_NO_TEXT], 1);
    assert_int_equal(r.file[0].dropped[LCM_DOC_BAD_JSON], 1);
    lcm_sentences_free(&a);
    lcm_sentences_free(&b);
}

/* ---- the report ---- */

static json_t *evaluate(fixture *f, const lcm_eval_xsim_opts *o) {
    char *text;
    json_t *root;
    OK(lcm_eval_xsim(f->ctx, &text, o));
    root = json_loads(text, 0, NULL);
    assert_non_null(root);
    lcm_free(text);
    return root;
}

static int64_t number(const json_t *root, int row, const char *key) {
    const json_t *from = row < 0 ? root : json_array_get(json_object_get(root, "rows"), (size_t)row), *v = json_object_get(from, key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static void test_report(void **state) {
    fixture *f = *state;
    lcm_eval_xsim_opts o = lcm_eval_xsim_defaults();
    json_t *root;
    o.sonar = f->sonar;
    o.source = f->a;
    o.target = f->b;
    /* A text translates itself; two lines are equal, and either may be found. */
    PUT(f->a, "the cat\na dog runs\n\nhello world\nthe cat\nsee you\n");
    PUT(f->b, "the cat\na dog runs\nlost\nhello world\nthe cat\nsee you\n");
    for (o.margin = 0; o.margin <= LCM_EVAL_MARGIN_ABSOLUTE; o.margin++) {
        root = evaluate(f, &o);
        assert_int_equal(number(root, -1, "lines"), 6);
        assert_int_equal(number(root, -1, "skipped"), 1);
        assert_int_equal(json_array_size(json_object_get(root, "rows")), 2);
        for (int i = 0; i < 2; i++) assert_int_equal(number(root, i, "errors"), 0);
        json_decref(root);
    }
    o.margin = LCM_EVAL_MARGIN_ABSOLUTE;
    /* Two lines have changed places: two errors each way. */
    PUT(f->b, "the cat\nhello world\nlost\na dog runs\nthe cat\nsee you\n");
    root = evaluate(f, &o);
    for (int i = 0; i < 2; i++) assert_int_equal(number(root, i, "errors"), 2);
    json_decref(root);
    /* The right candidates come as extra ones, which are none of the translations. */
    PUT(f->b, "x\ny\nz\nu\nv\nw\n");
    PUT(f->extra, "the cat\na dog runs\n\nhello world\nthe cat\nsee you\n");
    o.extra = f->extra;
    root = evaluate(f, &o);
    assert_int_equal(number(root, 2, "errors"), 5);
    assert_int_equal(number(root, 2, "candidates"), 10);
    assert_int_equal(number(root, 0, "candidates"), 5);
    json_decref(root);
}

static void expect_failure(fixture *f, const lcm_eval_xsim_opts *o, lcm_status want) {
    char *text;
    assert_int_equal(lcm_eval_xsim(f->ctx, &text, o), want);
    assert_null(text);
}

static void test_refusals(void **state) {
    fixture *f = *state;
    lcm_eval_xsim_opts good = lcm_eval_xsim_defaults(), o;
    good.sonar = f->sonar;
    good.source = f->a;
    good.target = f->b;
    PUT(f->a, "one\n\n");
    PUT(f->b, "un\ndeux\n");
    o = good, o.sonar = NULL, expect_failure(f, &o, LCM_ERR_ARG);
    o = good, o.target = NULL, expect_failure(f, &o, LCM_ERR_ARG);
    o = good, o.k = 0, expect_failure(f, &o, LCM_ERR_ARG);
    o = good, o.margin = 3, expect_failure(f, &o, LCM_ERR_ARG);
    o = good, o.source_lang = "deu_Latn", expect_failure(f, &o, LCM_ERR_NOTFOUND);
    o = good, o.extra = "/nonexistent.txt", expect_failure(f, &o, LCM_ERR_NOTFOUND);
    PUT(f->a, "\none\n");
    PUT(f->b, "un\n\n");
    expect_failure(f, &good, LCM_ERR_ARG); /* no pair is left */
    PUT(f->b, "un\n");
    expect_failure(f, &good, LCM_ERR_FORMAT);
    o = good, o.sonar = f->a, expect_failure(f, &o, LCM_ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_margin_tames_a_hub, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_of_equals_and_bad_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aligned_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_file_two_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
