/* lcm_eval_report, lcm_eval_compare: what becomes of result files. */
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "eval/compare.h"
#include "eval/page.h"

lcm_status lcm_eval_report(lcm_ctx *ctx, char **out, const char *path, lcm_eval_format format) {
    lcm_results r;
    lcm_status st;
    *out = NULL;
    if (format != LCM_EVAL_MARKDOWN && format != LCM_EVAL_HTML) LCM_FAIL(ctx, LCM_ERR_ARG, "report format %d", format);
    LCM_TRY(lcm_results_load(ctx, &r, path));
    st = format == LCM_EVAL_HTML ? lcm_results_html(ctx, out, &r) : lcm_results_md(ctx, out, &r);
    lcm_results_free(&r);
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
