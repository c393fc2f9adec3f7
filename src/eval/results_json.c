/* Results as JSON, schema lcm.eval/1. Reading trusts nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/bootstrap.h"
#include "eval/eval_report.h"
#include "eval/results.h"

/* ---- writing ---- */

static json_t *real_list(const double *v, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) lcm_report_append(&list, lcm_report_real(v[i]));
    return list;
}

static json_t *better_json(lcm_better b) { return b == LCM_BETTER_NEITHER ? json_null() : json_boolean(b == LCM_BETTER_HIGHER); }

static json_t *metric_json(const lcm_result_metric *m, const lcm_result_row *row, size_t n) {
    json_t *o = json_object();
    lcm_report_set(&o, "mean", lcm_report_real(m->mean));
    lcm_report_set(&o, "low", lcm_report_real(m->low));
    lcm_report_set(&o, "high", lcm_report_real(m->high));
    lcm_report_set(&o, "higher_is_better", better_json(m->better));
    if (m->seed_means) {
        lcm_report_set(&o, "sd", lcm_report_real(m->sd));
        lcm_report_set(&o, "seed_means", real_list(m->seed_means, row->n_seeds));
    }
    if (m->values) lcm_report_set(&o, "values", real_list(m->values, n));
    if (m->weights) lcm_report_set(&o, "weights", real_list(m->weights, n));
    return o;
}

static json_t *row_json(const lcm_result_row *row, size_t n) {
    json_t *o = json_object(), *seeds = json_array(), *metrics = json_object();
    lcm_report_set(&o, "model", json_string(row->model));
    lcm_report_set(&o, "kind", json_string(row->kind));
    lcm_report_set(&o, "parameters", json_integer(row->parameters));
    lcm_report_set(&o, "fixed", json_integer(row->fixed));
    lcm_report_set(&o, "train", row->train.unit[0] ? lcm_config_write(&row->train, lcm_train_record_fields) : json_null());
    lcm_report_set(&o, "seconds", lcm_report_real(row->seconds));
    for (size_t i = 0; i < row->n_seeds; i++) lcm_report_append(&seeds, json_integer(row->seeds[i]));
    lcm_report_set(&o, "seeds", seeds);
    for (size_t i = 0; i < row->n_metrics; i++) lcm_report_set(&metrics, row->metrics[i].name, metric_json(&row->metrics[i], row, n));
    lcm_report_set(&o, "metrics", metrics);
    return o;
}

lcm_status lcm_results_write(lcm_ctx *ctx, char **text, const lcm_results *r) {
    json_t *root = json_object(), *files = json_array(), *skipped = json_object(), *documents = json_array(), *rows = json_array();
    lcm_report_set(&root, "schema", json_string(LCM_RESULTS_SCHEMA));
    lcm_report_set(&root, "task", json_string(r->task));
    for (size_t i = 0; i < r->n_files; i++) lcm_report_append(&files, json_string(r->files[i]));
    lcm_report_set(&root, "files", files);
    lcm_report_set(&root, "sentences", json_integer(r->sentences));
    for (size_t i = 0; i < r->n_skipped; i++) lcm_report_set(&skipped, r->skipped[i].why, json_integer(r->skipped[i].n));
    lcm_report_set(&root, "skipped", skipped);
    lcm_report_set(&root, "facts", json_incref(r->facts));
    for (size_t i = 0; i < r->documents.n; i++) {
        size_t len;
        const char *id = lcm_results_document_at(r, i, &len);
        lcm_report_append(&documents, json_stringn(id, len));
    }
    lcm_report_set(&root, "documents", documents);
    for (size_t i = 0; i < r->n_rows; i++) lcm_report_append(&rows, row_json(&r->rows[i], r->documents.n));
    lcm_report_set(&root, "rows", rows);
    return lcm_report_finish(ctx, text, root);
}

/* ---- reading ---- */

static lcm_status need(lcm_ctx *ctx, const json_t **out, const json_t *o, const char *key, json_type type) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer", "a number"};
    *out = json_object_get(o, key);
    if (*out && (json_typeof(*out) == type || (type == JSON_REAL && (json_is_integer(*out) || json_is_null(*out))))) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is not %s", key, names[type]);
}

static double real_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : NAN; }

static lcm_status read_real(lcm_ctx *ctx, double *out, const json_t *o, const char *key) {
    const json_t *v;
    LCM_TRY(need(ctx, &v, o, key, JSON_REAL));
    *out = real_of(v);
    return LCM_OK;
}

/* *out is a new array of n numbers; NULL when the key is missing. */
static lcm_status read_list(lcm_ctx *ctx, double **out, const json_t *o, const char *key, size_t n) {
    const json_t *list = json_object_get(o, key), *v;
    size_t i;
    if (list == NULL) return LCM_OK;
    if (!json_is_array(list) || json_array_size(list) != n)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is not a list of %zu numbers", key, n);
    LCM_TRY(lcm_calloc(ctx, out, n, sizeof **out));
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        if (!json_is_number(v) && !json_is_null(v)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s'[%zu] is no number", key, i);
        (*out)[i] = real_of(v);
    }
    return LCM_OK;
}

static lcm_status read_metric_fields(lcm_ctx *ctx, lcm_result_metric *m, const json_t *o, const lcm_result_row *row, size_t n) {
    const json_t *better = json_object_get(o, "higher_is_better");
    double mean;
    LCM_TRY(read_real(ctx, &m->mean, o, "mean"));
    LCM_TRY(read_real(ctx, &m->low, o, "low"));
    LCM_TRY(read_real(ctx, &m->high, o, "high"));
    if (!json_is_boolean(better) && !json_is_null(better)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'higher_is_better' is not true, false or null");
    m->better = json_is_null(better) ? LCM_BETTER_NEITHER : json_is_true(better) ? LCM_BETTER_HIGHER : LCM_BETTER_LOWER;
    LCM_TRY(read_list(ctx, &m->seed_means, o, "seed_means", row->n_seeds));
    if (m->seed_means) LCM_TRY(read_real(ctx, &m->sd, o, "sd"));
    LCM_TRY(read_list(ctx, &m->values, o, "values", n));
    LCM_TRY(read_list(ctx, &m->weights, o, "weights", n));
    for (size_t i = 0; m->weights && i < n; i++)
        if (!(m->weights[i] >= 0)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'weights'[%zu] is not 0 or more", i);
    if (m->values == NULL) return LCM_OK;
    mean = lcm_series_mean(&(lcm_series){m->values, m->weights}, (int64_t)n);
    if (isnan(mean) != isnan(m->mean) || fabs(mean - m->mean) > 1e-9 * (1 + fabs(mean))) /* other sums of the same numbers */
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'mean' is %g, that of the values %g", m->mean, mean);
    return LCM_OK;
}

static lcm_status read_metric(lcm_ctx *ctx, lcm_results *r, size_t row, const char *name, const json_t *o) {
    lcm_status st;
    lcm_result_row *owner = &r->rows[row];
    LCM_TRY(lcm_results_corpus_metric(ctx, r, row, name, LCM_BETTER_NEITHER, NAN));
    st = read_metric_fields(ctx, &owner->metrics[owner->n_metrics - 1], o, owner, r->documents.n);
    return st ? lcm_fail_within(ctx, st, "%s", name) : LCM_OK;
}

static lcm_status read_row(lcm_ctx *ctx, lcm_results *r, const json_t *o) {
    const json_t *model, *kind, *v, *train = json_object_get(o, "train");
    lcm_result_row *row;
    const char *name;
    json_t *m;
    size_t at, i;
    LCM_TRY(need(ctx, &model, o, "model", JSON_STRING));
    LCM_TRY(need(ctx, &kind, o, "kind", JSON_STRING));
    LCM_TRY(lcm_results_row(ctx, &at, r, json_string_value(model), json_string_value(kind), LCM_NO_SEED));
    row = &r->rows[at];
    LCM_TRY(need(ctx, &v, o, "parameters", JSON_INTEGER));
    row->parameters = json_integer_value(v);
    if (json_object_get(o, "fixed")) { /* results of older programs have none */
        LCM_TRY(need(ctx, &v, o, "fixed", JSON_INTEGER));
        row->fixed = json_integer_value(v);
    }
    if (train && !json_is_null(train) && lcm_config_read(ctx, &row->train, lcm_train_record_fields, train, "train"))
        return LCM_ERR_FORMAT; /* the message stands */
    LCM_TRY(read_real(ctx, &row->seconds, o, "seconds"));
    LCM_TRY(need(ctx, &v, o, "seeds", JSON_ARRAY));
    LCM_TRY(lcm_calloc(ctx, &row->seeds, json_array_size(v), sizeof *row->seeds));
    row->n_seeds = json_array_size(v);
    json_array_foreach((json_t *)(uintptr_t)v, i, m) {
        if (!json_is_integer(m)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'seeds'[%zu] is no integer", i);
        row->seeds[i] = json_integer_value(m);
    }
    LCM_TRY(need(ctx, &v, o, "metrics", JSON_OBJECT));
    json_object_foreach((json_t *)(uintptr_t)v, name, m) LCM_TRY(read_metric(ctx, r, at, name, m));
    return LCM_OK;
}

static lcm_status read_counts(lcm_ctx *ctx, lcm_results *r, const json_t *root) {
    const json_t *v, *facts;
    const char *why;
    json_t *item;
    size_t i;
    LCM_TRY(need(ctx, &v, root, "files", JSON_ARRAY));
    json_array_foreach((json_t *)(uintptr_t)v, i, item) {
        if (!json_is_string(item)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'files'[%zu] is no string", i);
        LCM_TRY(lcm_results_file(ctx, r, json_string_value(item)));
    }
    LCM_TRY(need(ctx, &v, root, "skipped", JSON_OBJECT));
    json_object_foreach((json_t *)(uintptr_t)v, why, item) {
        if (!json_is_integer(item)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'skipped': '%.80s' is no integer", why);
        LCM_TRY(lcm_results_skip(ctx, r, why, json_integer_value(item)));
    }
    LCM_TRY(need(ctx, &v, root, "documents", JSON_ARRAY));
    json_array_foreach((json_t *)(uintptr_t)v, i, item) {
        if (!json_is_string(item)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'documents'[%zu] is no string", i);
        if (lcm_results_document(ctx, r, json_string_value(item), 0)) return LCM_ERR_FORMAT;
    }
    LCM_TRY(need(ctx, &v, root, "sentences", JSON_INTEGER));
    r->sentences = json_integer_value(v);
    LCM_TRY(need(ctx, &facts, root, "facts", JSON_OBJECT));
    json_decref(r->facts);
    r->facts = json_incref((json_t *)(uintptr_t)facts);
    return LCM_OK;
}

static lcm_status read_root(lcm_ctx *ctx, lcm_results *r, const json_t *root) {
    const json_t *schema, *task, *rows;
    json_t *row;
    size_t i;
    LCM_TRY(need(ctx, &schema, root, "schema", JSON_STRING));
    if (strcmp(json_string_value(schema), LCM_RESULTS_SCHEMA) != 0)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "schema '%.40s', this build reads " LCM_RESULTS_SCHEMA, json_string_value(schema));
    LCM_TRY(need(ctx, &task, root, "task", JSON_STRING));
    LCM_TRY(lcm_results_init(ctx, r, json_string_value(task)));
    LCM_TRY(read_counts(ctx, r, root));
    LCM_TRY(need(ctx, &rows, root, "rows", JSON_ARRAY));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
        lcm_status st = read_row(ctx, r, row);
        if (st) return lcm_fail_within(ctx, st, "row %zu", i);
    }
    return LCM_OK;
}

lcm_status lcm_results_read(lcm_ctx *ctx, lcm_results *out, const char *text, size_t len, const char *what) {
    json_t *root;
    lcm_status st;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_json_parse(ctx, &root, text, len, what));
    st = read_root(ctx, out, root);
    json_decref(root);
    if (st == LCM_OK) return LCM_OK;
    lcm_results_free(out);
    return lcm_fail_within(ctx, st, "%s", what);
}

lcm_status lcm_results_load(lcm_ctx *ctx, lcm_results *out, const char *path) {
    lcm_buf text = {0};
    lcm_status st = lcm_read_file(ctx, &text, path, (size_t)1 << 30);
    memset(out, 0, sizeof *out);
    if (st == LCM_OK) st = lcm_results_read(ctx, out, text.data ? text.data : "", text.len, path);
    lcm_buf_free(&text);
    return st;
}
