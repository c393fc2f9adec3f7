/* lcm_eval_report, lcm_eval_compare: what becomes of result files. */
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "eval/compare.h"
#include "eval/page.h"

/* r (n_r): the tasks so far. The file's rows go to those of its task, if there is one. */
static lcm_status add_file(lcm_ctx *ctx, lcm_results *r, size_t *n_r, bool *joined, const char *path) {
    lcm_results *into = r;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_results_load(ctx, &r[*n_r], path));
    while (strcmp(into->task, r[*n_r].task) != 0) into++;
    if (into == &r[*n_r]) {
        ++*n_r;
        return LCM_OK;
    }
    joined[into - r] = true;
    st = lcm_results_join(ctx, into, &r[*n_r]);
    lcm_results_free(&r[*n_r]);
    return st ? lcm_fail_within(ctx, st, "'%s'", path) : LCM_OK;
}

static lcm_status write_report(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n, lcm_eval_format format) {
    if (format == LCM_EVAL_HTML) return lcm_results_html(ctx, out, r, n);
    if (format == LCM_EVAL_MARKDOWN) return lcm_results_md(ctx, out, r, n);
    if (n > 1) LCM_FAIL(ctx, LCM_ERR_ARG, "a result file has one task, here are '%.80s' and '%.80s'", r[0].task, r[1].task);
    return lcm_results_write(ctx, out, r);
}

lcm_status lcm_eval_report(lcm_ctx *ctx, char **out, const char *const *paths, size_t n_paths, lcm_eval_format format) {
    lcm_results *r = NULL;
    bool *joined = NULL;
    size_t n = 0;
    lcm_status st;
    *out = NULL;
    if (format < LCM_EVAL_MARKDOWN || format > LCM_EVAL_RESULTS) LCM_FAIL(ctx, LCM_ERR_ARG, "report format %d", format);
    if (n_paths == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no result file given");
    LCM_TRY(lcm_calloc(ctx, &r, n_paths, sizeof *r));
    st = lcm_calloc(ctx, &joined, n_paths, sizeof *joined);
    for (size_t i = 0; st == LCM_OK && i < n_paths; i++) st = add_file(ctx, r, &n, joined, paths[i]);
    for (size_t i = 0; st == LCM_OK && i < n; i++)
        if (joined[i]) st = lcm_results_merge_seeds(ctx, &r[i], 1);
    if (st == LCM_OK) st = write_report(ctx, out, r, n, format);
    for (size_t i = 0; i < n; i++) lcm_results_free(&r[i]);
    free(r);
    free(joined);
    return st;
}

typedef struct comparison {
    const char *path[2];
    lcm_results r[2];
    json_t *rows;
} comparison;

static lcm_status find_row(lcm_ctx *ctx, size_t *row, const lcm_results *r, const char *model, const char *path) {
    for (*row = 0; *row < r->n_rows; ++*row)
        if (strcmp(r->rows[*row].model, model) == 0) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s' has no model '%.80s'", path, model);
}

static lcm_status compare_pair(lcm_ctx *ctx, comparison *c, size_t a, size_t b) {
    const char *names[2] = {c->r[0].rows[a].model, c->r[1].rows[b].model};
    bool same = strcmp(names[0], names[1]) == 0; /* one model, evaluated twice: told apart by the file's place */
    lcm_compared *list;
    size_t n;
    lcm_status st = lcm_compare_rows(ctx, &list, &n, &c->r[0], a, &c->r[1], b, 1);
    if (st) return lcm_fail_within(ctx, st, "'%s' and '%s'", c->path[0], c->path[1]);
    for (size_t i = 0; i < n; i++) {
        const lcm_paired *p = &list[i].paired;
        char words[256];
        json_t *row = json_object();
        lcm_compared_words(words, sizeof words, &list[i], same ? "the first" : names[0], same ? "the second" : names[1]);
        lcm_report_set(&row, "metric", json_string(list[i].name));
        lcm_report_set(&row, "a", json_string(names[0]));
        lcm_report_set(&row, "b", json_string(names[1]));
        lcm_report_set(&row, "mean_a", lcm_report_real(p->a));
        lcm_report_set(&row, "mean_b", lcm_report_real(p->b));
        lcm_report_set(&row, "difference",
                       isnan(p->low) ? lcm_report_real(p->diff) : lcm_report_interval(p->diff, p->low, p->high));
        lcm_report_set(&row, "p", lcm_report_real(p->p));
        lcm_report_set(&row, "p_adjusted", lcm_report_real(list[i].p_adjusted));
        lcm_report_set(&row, "documents", json_integer(p->n));
        lcm_report_set(&row, "verdict", json_string(words));
        lcm_report_append(&c->rows, row);
    }
    free(list);
    return LCM_OK;
}

/* The rows as named; else the only ones; else those of one name. */
static lcm_status compare(lcm_ctx *ctx, comparison *c, const char *model_a, const char *model_b) {
    const lcm_results *a = &c->r[0], *b = &c->r[1];
    size_t x, y, pairs = 0;
    if (model_a && model_b) {
        LCM_TRY(find_row(ctx, &x, a, model_a, c->path[0]));
        LCM_TRY(find_row(ctx, &y, b, model_b, c->path[1]));
        return compare_pair(ctx, c, x, y);
    }
    if (a->n_rows == 1 && b->n_rows == 1) return compare_pair(ctx, c, 0, 0);
    for (x = 0; x < a->n_rows; x++)
        for (y = 0; y < b->n_rows; y++)
            if (strcmp(a->rows[x].model, b->rows[y].model) == 0) {
                LCM_TRY(compare_pair(ctx, c, x, y));
                pairs++;
                break;
            }
    if (pairs == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' and '%s' have no model in common: name two", c->path[0], c->path[1]);
    return LCM_OK;
}

lcm_status lcm_eval_compare(lcm_ctx *ctx, char **report, const char *path_a, const char *path_b, const char *model_a,
                            const char *model_b) {
    comparison c = {.path = {path_a, path_b}};
    json_t *root;
    lcm_status st;
    *report = NULL;
    if ((model_a == NULL) != (model_b == NULL)) LCM_FAIL(ctx, LCM_ERR_ARG, "two models are needed, or none");
    LCM_TRY(lcm_results_load(ctx, &c.r[0], path_a));
    st = lcm_results_load(ctx, &c.r[1], path_b);
    if (st == LCM_OK) {
        c.rows = json_array();
        st = compare(ctx, &c, model_a, model_b);
    }
    if (st == LCM_OK) {
        root = json_pack("{s:s, s:s, s:s, s:s, s:I}", "task", "compare", "of", c.r[0].task, "file_a", path_a, "file_b", path_b,
                         "resamples", (json_int_t)LCM_PAIRED_RESAMPLES);
        lcm_report_set(&root, "rows", json_incref(c.rows));
        st = lcm_report_finish(ctx, report, root);
    }
    json_decref(c.rows);
    lcm_results_free(&c.r[0]);
    lcm_results_free(&c.r[1]);
    return st;
}
