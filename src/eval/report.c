/* What was evaluated, what the models cost, and the metrics with the models side by side. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *lcm_report_arrow(lcm_better b) { return b == LCM_BETTER_HIGHER ? " ↑" : b == LCM_BETTER_LOWER ? " ↓" : ""; }

/* ---- facts ---- */

/* prefix: our own words; text NULL: the number */
static void fact(lcm_page *p, const lcm_markup *m, const char *prefix, const char *what, const char *text, int64_t number) {
    lcm_page_put(p, m->fact[0]);
    lcm_page_put(p, prefix);
    m->text(p, what);
    lcm_page_put(p, ": ");
    if (text) m->text(p, text);
    else lcm_page_int(p, number);
    lcm_page_put(p, m->fact[1]);
}

static void facts(lcm_page *p, const lcm_markup *m, const lcm_results *r) {
    const char *key;
    json_t *v;
    lcm_page_put(p, m->facts[0]);
    for (size_t i = 0; i < r->n_files; i++) fact(p, m, "", "data", r->files[i], 0);
    fact(p, m, "", "documents", NULL, (int64_t)r->documents.n);
    fact(p, m, "", "sentences", NULL, r->sentences);
    for (size_t i = 0; i < r->n_skipped; i++) fact(p, m, "skipped, ", r->skipped[i].why, NULL, r->skipped[i].n);
    json_object_foreach(r->facts, key, v) {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        fact(p, m, "", key, text ? text : json_is_string(v) ? json_string_value(v) : "", 0);
        free(text);
    }
    lcm_page_put(p, m->facts[1]);
}

/* ---- tables ---- */

typedef struct column {
    const char *name;
    bool is_text;
} column;

typedef column (*column_fn)(const lcm_results *r, size_t i);

static void header(lcm_page *p, const lcm_markup *m, const lcm_results *r, column_fn column_at, size_t n) {
    lcm_page_put(p, m->row[0]);
    for (size_t i = 0; i < n; i++) {
        column c = column_at(r, i);
        lcm_page_put(p, m->head[c.is_text]);
        m->text(p, c.name);
        lcm_page_put(p, m->head_end);
    }
    lcm_page_put(p, m->row[1]);
    if (m->rule[0] == NULL) return;
    lcm_page_put(p, m->row[0]);
    for (size_t i = 0; i < n; i++) lcm_page_put(p, m->rule[column_at(r, i).is_text]);
    lcm_page_put(p, m->row[1]);
}

static void text_cell(lcm_page *p, const lcm_markup *m, const char *text) {
    lcm_page_put(p, m->cell[true]);
    m->text(p, text);
    lcm_page_put(p, m->cell_end);
}

static void number_cell(lcm_page *p, const lcm_markup *m, double v, int digits) {
    lcm_page_put(p, m->cell[false]);
    lcm_page_number(p, v, digits);
    lcm_page_put(p, m->cell_end);
}

static const column model_columns[] = {{"model", true}, {"kind", true}, {"parameters", false}, {"trained on", false},
                                       {"training FLOP", false}, {"training s", false}, {"seeds", true}, {"evaluation s", false}};
enum { N_MODEL_COLUMNS = sizeof model_columns / sizeof *model_columns };

static column model_column(const lcm_results *r, size_t i) {
    (void)r;
    return model_columns[i];
}

static void model(lcm_page *p, const lcm_markup *m, const lcm_result_row *row) {
    const lcm_train_record *t = &row->train;
    lcm_page_put(p, m->row[0]);
    text_cell(p, m, row->model);
    text_cell(p, m, row->kind);
    lcm_page_put(p, m->cell[false]);
    lcm_page_parameters(p, row->parameters, row->fixed);
    lcm_page_put(p, m->cell_end);
    lcm_page_put(p, m->cell[false]);
    lcm_page_count(p, t->unit[0] ? t->items : NAN);
    lcm_page_put(p, t->unit[0] ? " " : "");
    m->text(p, t->unit);
    lcm_page_put(p, m->cell_end);
    number_cell(p, m, t->flops > 0 ? t->flops : NAN, 3);
    number_cell(p, m, t->seconds > 0 ? t->seconds : NAN, 4);
    lcm_page_put(p, m->cell[true]);
    for (size_t k = 0; k < row->n_seeds; k++) {
        lcm_page_put(p, k ? ", " : "");
        lcm_page_int(p, row->seeds[k]);
    }
    lcm_page_put(p, row->n_seeds ? "" : "–");
    lcm_page_put(p, m->cell_end);
    number_cell(p, m, row->seconds, 4);
    lcm_page_put(p, m->row[1]);
}

static void models(lcm_page *p, const lcm_markup *m, const lcm_results *r) {
    lcm_page_put(p, m->models[0]);
    header(p, m, r, model_column, N_MODEL_COLUMNS);
    for (size_t i = 0; i < r->n_rows; i++) model(p, m, &r->rows[i]);
    lcm_page_put(p, m->models[1]);
}

static column metric_column(const lcm_results *r, size_t i) {
    return i ? (column){r->rows[i - 1].model, false} : (column){"metric", true};
}

static void metrics(lcm_page *p, const lcm_markup *m, const lcm_results *r, const lcm_result_metric *const *list, size_t n) {
    lcm_page_put(p, m->metrics[0]);
    header(p, m, r, metric_column, r->n_rows + 1);
    for (size_t c = 0; c < n; c++) {
        lcm_page_put(p, m->row[0]);
        lcm_page_put(p, m->cell[true]);
        m->text(p, list[c]->name);
        lcm_page_put(p, lcm_report_arrow(list[c]->better));
        lcm_page_put(p, m->cell_end);
        for (size_t i = 0; i < r->n_rows; i++) {
            const lcm_result_metric *v = lcm_result_find(&r->rows[i], list[c]->name);
            lcm_page_put(p, m->cell[false]);
            if (v) lcm_page_cell(p, v);
            lcm_page_put(p, m->cell_end);
        }
        lcm_page_put(p, m->row[1]);
    }
    lcm_page_put(p, m->metrics[1]);
    lcm_page_put(p, m->note[0]);
    lcm_page_put(p, "Mean [95 % interval over documents] ± deviation over seeds. ↑ more is better, ↓ less is better.");
    lcm_page_put(p, m->note[1]);
}

/* Metrics of all rows, in the order they first appear, each once. */
static lcm_status list_metrics(lcm_ctx *ctx, const lcm_result_metric ***out, size_t *n, const lcm_results *r) {
    lcm_strset seen = {0};
    size_t cap = 0;
    lcm_status st = LCM_OK;
    *out = NULL;
    *n = 0;
    for (size_t i = 0; st == LCM_OK && i < r->n_rows; i++)
        for (size_t c = 0; st == LCM_OK && c < r->rows[i].n_metrics; c++) {
            const lcm_result_metric *m = &r->rows[i].metrics[c];
            if (lcm_strset_has(&seen, m->name, strlen(m->name))) continue;
            st = lcm_strset_add(ctx, NULL, &seen, m->name, strlen(m->name));
            if (st == LCM_OK) st = lcm_grow(ctx, out, &cap, *n + 1, sizeof **out);
            if (st == LCM_OK) (*out)[(*n)++] = m;
        }
    lcm_strset_free(&seen);
    return st;
}

void lcm_report_section(lcm_page *p, const lcm_markup *m, const lcm_results *r) {
    const lcm_result_metric **list;
    size_t n;
    if (p->st == LCM_OK) p->st = list_metrics(p->ctx, &list, &n, r);
    if (p->st) return;
    lcm_page_put(p, m->title[0]);
    m->text(p, r->task);
    lcm_page_put(p, m->title[1]);
    facts(p, m, r);
    if (r->n_rows) models(p, m, r);
    if (n) metrics(p, m, r, list, n);
    for (size_t i = 0; m->plot && i < n; i++) m->plot(p, r, list[i]);
    free(list);
}
