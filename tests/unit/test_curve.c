/* Learning curves: logs with holes and damage, round ticks, images that are whole. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/axis.h"
#include "eval/metrics_log.h"
#include "harness/tmpdir.h"
#include "lcm/curve.h"
#include "lcm/train.h"

static lcm_ctx *ctx;
static char *dir;

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    dir = tmpdir_new();
    return ctx && dir ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lcm_ctx_free(ctx);
    tmpdir_free(dir);
    return 0;
}

static lcm_status read_log(lcm_metrics_log *log, const char *text) {
    return lcm_metrics_log_read(ctx, log, text, strlen(text), "log");
}

static void good_lines_are_kept(void **state) {
    lcm_metrics_log log;
    const lcm_metric_series *s;
    (void)state;
    assert_int_equal(read_log(&log, "{\"step\":1,\"loss\":2.5}\r\n\n{\"step\":2,\"loss\":null,\"valid_x\":1}\n{\"step\":4,\"loss\":1}"), LCM_OK);
    assert_int_equal(log.n_rows, 3);
    assert_int_equal(log.n_bad, 0);
    assert_true(log.step[2] == 4);
    s = lcm_metrics_log_find(&log, "loss");
    assert_non_null(s);
    assert_true(s->n == 2 && s->points[1].row == 2 && s->points[0].value == 2.5);
    s = lcm_metrics_log_find(&log, "valid_x");
    assert_true(s && s->n == 1 && s->points[0].row == 1);
    assert_null(lcm_metrics_log_find(&log, "step"));
    lcm_metrics_log_free(&log);
}

static void bad_lines_are_counted(void **state) {
    static const char *const bad[] = {"x", "[1]", "7", "{}", "{\"step\":\"2\"}", "{\"step\":1}", "{\"step\":0}", "{\"step\":1e99}",
                                      "{\"step\":2,\"a\":1,\"a\":1}", "{\"step\":2,\"loss\":1e999}", "{\"step\":2,\"loss\":NaN}"};
    char text[200];
    lcm_metrics_log log;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"step\":1,\"loss\":1}\n%s\n{\"step\":3,\"loss\":1e300}\n", bad[i]);
        assert_int_equal(read_log(&log, text), LCM_OK);
        assert_true(log.n_rows == 2 && log.n_bad == 1 && log.first_bad == 2 && log.n_lines == 3);
        assert_int_equal(lcm_metrics_log_find(&log, "loss")->n, 1); /* 1e300 has no place in a picture */
        lcm_metrics_log_free(&log);
    }
    assert_int_equal(read_log(&log, "{\"step\":1,\"loss\":1}\n{\"step\":2,\"lo"), LCM_OK); /* being written */
    assert_true(log.n_rows == 1 && log.n_bad == 0);
    lcm_metrics_log_free(&log);
}

static void useless_logs_are_errors(void **state) {
    lcm_metrics_log log;
    char *many = malloc(64 * 70), *p = many;
    (void)state;
    assert_int_equal(read_log(&log, ""), LCM_ERR_FORMAT);
    assert_string_equal(lcm_ctx_message(ctx), "log: the log is empty");
    assert_int_equal(read_log(&log, "\n\r\n"), LCM_ERR_FORMAT);
    assert_int_equal(read_log(&log, "x"), LCM_ERR_FORMAT);
    assert_int_equal(read_log(&log, "x\ny\n"), LCM_ERR_FORMAT);
    assert_string_equal(lcm_ctx_message(ctx), "log: none of 2 lines is a JSON object with a step");
    assert_non_null(many);
    p += sprintf(p, "{\"step\":1");
    for (int i = 0; i <= LCM_METRICS_MAX_SERIES; i++) p += sprintf(p, ",\"k%d\":1", i);
    sprintf(p, "}");
    assert_int_equal(read_log(&log, many), LCM_ERR_LIMIT);
    free(many);
}

static void ticks_are_round(void **state) {
    double t[LCM_AXIS_MAX_TICKS];
    lcm_axis a = {.lo = -0.3, .hi = 1.04, .from = 100, .to = 0};
    size_t n = lcm_axis_ticks(&a, 8, t);
    (void)state;
    assert_true(n == 7 && t[1] == 0 && fabs(t[0] + 0.2) < 1e-15 && fabs(t[6] - 1) < 1e-15);
    assert_true(lcm_axis_at(&a, -0.3) == 100 && lcm_axis_at(&a, 1.04) == 0);
    a = (lcm_axis){.lo = 0.011, .hi = 11, .log = true, .from = 0, .to = 3};
    n = lcm_axis_ticks(&a, 8, t);
    assert_int_equal(n, 9); /* 0.02 0.05 0.1 … 5 10 */
    assert_true(fabs(t[0] - 0.02) < 1e-15 && fabs(t[8] - 10) < 1e-12);
    assert_true(fabs(lcm_axis_at(&a, 0.11) - 1) < 1e-12);
    for (int e = -30; e <= 30; e++) { /* any size of range: some ticks, not many, inside and ascending */
        for (int f = e - 12; f <= e; f++) {
            for (int k = 0; k < 2; k++) {
                a = (lcm_axis){.lo = pow(10, f), .hi = pow(10, f) + pow(10, e), .log = k};
                n = lcm_axis_ticks(&a, 8, t);
                assert_in_range(n, 3, 14);
                for (size_t i = 0; i < n; i++)
                    assert_true(t[i] >= a.lo - 1e-8 * (a.hi - a.lo) && t[i] <= a.hi * (1 + 1e-8) && (i == 0 || t[i] > t[i - 1]));
            }
        }
    }
}

static void labels(void **state) {
    static const struct { double v; const char *text; } cases[] = {
        {0, "0"}, {1, "1"}, {-0.5, "-0.5"}, {0.001, "0.001"}, {0.0003, "0.0003"}, {0.00005, "5e-5"}, {1e-12, "1e-12"}, {1000, "1k"},
        {12500, "12.5k"}, {2e6, "2M"}, {-2e6, "-2M"}, {5e9, "5G"}, {3e12, "3T"}, {1e30, "1e+30"}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_axis_label(text, cases[i].v);
        assert_string_equal(text, cases[i].text);
    }
}

static const char *write_run(const char *name, int steps, double spike) {
    char *text = malloc((size_t)steps * 120 + 1), *p = text;
    const char *path;
    assert_non_null(text);
    for (int i = 1; i <= steps; i++) {
        p += sprintf(p, "{\"step\":%d,\"loss\":%.6g,\"lr\":%g,\"items\":%d", i, i == steps / 2 ? spike : 1 + 5.0 / i, 1e-3 / i, i * 10);
        if (i % 10 == 0) p += sprintf(p, ",\"valid_mse\":%.6g", 1.2 + 5.0 / i);
        p += sprintf(p, "}\n");
    }
    path = tmpdir_write(dir, name, text, (size_t)(p - text));
    free(text);
    return path;
}

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) n++;
    return n;
}

static void an_image(void **state) {
    static const char *const panels[] = {"loss,valid_mse", "valid_mse"};
    const char *runs[] = {write_run("a.jsonl", 50, 2), write_run("b<&>.jsonl", 5000, 1e9)};
    lcm_curve_opts o = {.panels = panels, .n_panels = 2, .log = true, .items = true};
    char *svg, *again;
    size_t len, len2;
    (void)state;
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, runs, 1, NULL), LCM_OK);
    assert_int_equal(strlen(svg), len);
    assert_true(strncmp(svg, "<svg ", 5) == 0 && strcmp(svg + len - 7, "</svg>\n") == 0);
    assert_int_equal(count(svg, "<circle"), 5 + 1); /* validations, and one in the legend */
    assert_int_equal(count(svg, "<clipPath"), 2);   /* loss, lr */
    assert_true(strstr(svg, ">step<") && strstr(svg, ">valid_mse<") && strstr(svg, ">lr<"));
    assert_null(strstr(svg, "nan"));
    assert_int_equal(lcm_curve_svg(ctx, &again, &len2, runs, 1, NULL), LCM_OK);
    assert_string_equal(svg, again);
    lcm_free(svg);
    lcm_free(again);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, runs, 2, &o), LCM_OK);
    assert_true(len < 400000); /* bounded by the pixels, not by the steps */
    assert_true(strstr(svg, "b&#60;&#38;&#62;.jsonl") && strstr(svg, ">items<"));
    assert_null(strstr(svg, "<&>"));
    assert_int_equal(count(svg, "<clipPath"), 3);
    lcm_free(svg);
    /* without a mean, the line itself is in the frame */
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, runs + 1, 1, &(lcm_curve_opts){.smooth = 1}), LCM_OK);
    assert_non_null(strstr(svg, ">1G<"));
    lcm_free(svg);
}

static void few_points(void **state) {
    static const char *const texts[] = {"{\"step\":1,\"loss\":3}\n", "{\"step\":0,\"loss\":0,\"lr\":0}\n{\"step\":1,\"loss\":0,\"lr\":0}\n",
                                        "{\"step\":1,\"loss\":-1e30}\n{\"step\":1e30,\"loss\":1e30}\n", "{\"step\":5,\"loss\":-2,\"valid_a\":1}\n"};
    char *svg;
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *run = tmpdir_write(dir, "few.jsonl", texts[i], strlen(texts[i]));
        for (int64_t smooth = 0; smooth < 4; smooth++) {
            assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &run, 1, &(lcm_curve_opts){.smooth = smooth}), LCM_OK);
            assert_true(strstr(svg, "nan") == NULL && strstr(svg, "inf") == NULL);
            lcm_free(svg);
        }
    }
}

static void errors(void **state) {
    const char *run = write_run("a.jsonl", 20, 2), *missing = "/nonexistent/run", *metric = "lose", *empty = "loss,,a", *nothing;
    char *svg = (char *)"untouched?";
    size_t len;
    (void)state;
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &run, 0, NULL), LCM_ERR_ARG);
    assert_null(svg);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &missing, 1, NULL), LCM_ERR_NOTFOUND);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &run, 1, &(lcm_curve_opts){.panels = &metric, .n_panels = 1}), LCM_ERR_NOTFOUND);
    assert_non_null(strstr(lcm_ctx_message(ctx), "'lose'"));
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &run, 1, &(lcm_curve_opts){.panels = &empty, .n_panels = 1}), LCM_ERR_ARG);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &run, 1, &(lcm_curve_opts){.smooth = -1}), LCM_ERR_ARG);
    nothing = tmpdir_write(dir, "neg.jsonl", "{\"step\":1,\"loss\":-1}\n", 22);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &nothing, 1, &(lcm_curve_opts){.log = true}), LCM_ERR_NOTFOUND);
    assert_int_equal(lcm_curve_svg(ctx, &svg, &len, &nothing, 1, &(lcm_curve_opts){.items = true}), LCM_ERR_NOTFOUND);
    assert_int_equal(lcm_curve_save(ctx, "/nonexistent/x.svg", &run, 1, NULL), LCM_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_are_kept), cmocka_unit_test(bad_lines_are_counted), cmocka_unit_test(useless_logs_are_errors),
        cmocka_unit_test(ticks_are_round),     cmocka_unit_test(labels),                cmocka_unit_test(an_image),
        cmocka_unit_test(few_points),          cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
