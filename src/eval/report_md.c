/* Results as Markdown: what was evaluated, what the models cost, and the metrics with the models side by side. */
#include <math.h>
#include <stdlib.h>

#include "eval/page.h"

static void counts(lcm_page *p, const lcm_results *r) {
    const char *key;
    json_t *v;
    lcm_page_put(p, "# ");
    lcm_page_md(p, r->task);
    lcm_page_put(p, "\n\n");
    for (size_t i = 0; i < r->n_files; i++) {
        lcm_page_put(p, "- data: ");
        lcm_page_md(p, r->files[i]);
        lcm_page_put(p, "\n");
    }
    lcm_page_put(p, "- documents: ");
    lcm_page_int(p, (int64_t)r->documents.n);
    lcm_page_put(p, "\n- sentences: ");
    lcm_page_int(p, r->sentences);
    lcm_page_put(p, "\n");
    for (size_t i = 0; i < r->n_skipped; i++) {
        lcm_page_put(p, "- skipped, ");
        lcm_page_md(p, r->skipped[i].why);
        lcm_page_put(p, ": ");
        lcm_page_int(p, r->skipped[i].n);
        lcm_page_put(p, "\n");
    }
    json_object_foreach(r->facts, key, v) {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        lcm_page_put(p, "- ");
        lcm_page_md(p, key);
        lcm_page_put(p, ": ");
        lcm_page_md(p, text ? text : json_is_string(v) ? json_string_value(v) : "");
        lcm_page_put(p, "\n");
        free(text);
    }
}

static void models(lcm_page *p, const lcm_results *r) {
    lcm_page_put(p, "\n| model | kind | parameters | trained on | training FLOP | training s | seeds | evaluation s |\n"
                    "|---|---|---:|---:|---:|---:|---|---:|\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const lcm_result_row *row = &r->rows[i];
        const lcm_train_record *t = &row->train;
        lcm_page_put(p, "| ");
        lcm_page_md(p, row->model);
        lcm_page_put(p, " | ");
        lcm_page_md(p, row->kind);
        lcm_page_put(p, " | ");
        lcm_page_parameters(p, row->parameters, row->fixed);
        lcm_page_put(p, " | ");
        lcm_page_count(p, t->unit[0] ? t->items : NAN);
        lcm_page_put(p, t->unit[0] ? " " : "");
        lcm_page_md(p, t->unit);
        lcm_page_put(p, " | ");
        lcm_page_number(p, t->flops > 0 ? t->flops : NAN, 3);
        lcm_page_put(p, " | ");
        lcm_page_number(p, t->seconds > 0 ? t->seconds : NAN, 4);
        lcm_page_put(p, " | ");
        for (size_t k = 0; k < row->n_seeds; k++) {
            lcm_page_put(p, k ? ", " : "");
            lcm_page_int(p, row->seeds[k]);
        }
        lcm_page_put(p, row->n_seeds ? " | " : "– | ");
        lcm_page_number(p, row->seconds, 4);
        lcm_page_put(p, " |\n");
    }
}

static void metrics(lcm_page *p, const lcm_results *r, const lcm_result_metric *const *columns, size_t n) {
    lcm_page_put(p, "\n| metric |");
    for (size_t i = 0; i < r->n_rows; i++) {
        lcm_page_put(p, " ");
        lcm_page_md(p, r->rows[i].model);
        lcm_page_put(p, " |");
    }
    lcm_page_put(p, "\n|---|");
    for (size_t i = 0; i < r->n_rows; i++) lcm_page_put(p, "---:|");
    for (size_t c = 0; c < n; c++) {
        lcm_page_put(p, "\n| ");
        lcm_page_md(p, columns[c]->name);
        lcm_page_put(p, columns[c]->better == LCM_BETTER_HIGHER ? " ↑ |" : columns[c]->better == LCM_BETTER_LOWER ? " ↓ |" : " |");
        for (size_t i = 0; i < r->n_rows; i++) {
            const lcm_result_metric *m = lcm_result_find(&r->rows[i], columns[c]->name);
            lcm_page_put(p, " ");
            if (m) lcm_page_cell(p, m);
            lcm_page_put(p, " |");
        }
    }
    lcm_page_put(p, "\n\nMean [95 % interval over documents] ± deviation over seeds. ↑ more is better, ↓ less is better.\n");
}

static void section(lcm_page *p, const lcm_results *r) {
    const lcm_result_metric **columns;
    size_t n;
    if (p->st == LCM_OK) p->st = lcm_results_metrics(p->ctx, &columns, &n, r);
    if (p->st) return;
    counts(p, r);
    if (r->n_rows) models(p, r);
    if (n) metrics(p, r, columns, n);
    free(columns);
}

lcm_status lcm_results_md(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n) {
    lcm_page p = {.ctx = ctx};
    for (size_t i = 0; i < n; i++) {
        if (i) lcm_page_put(&p, "\n");
        section(&p, &r[i]);
    }
    return lcm_page_finish(&p, out);
}
