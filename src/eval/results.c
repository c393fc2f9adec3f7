/* Results in memory; results_json.c has them as text. */
#include "eval/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/bootstrap.h"

/* JSON is UTF-8; a path need not be: other bytes become '?'. */
static lcm_status copy_text(lcm_ctx *ctx, char **out, const char *text) {
    size_t len = strlen(text), good = 0;
    *out = lcm_strdup(text);
    if (*out == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: results");
    while ((good += lcm_utf8_valid_prefix(*out + good, len - good)) < len) (*out)[good++] = '?';
    return LCM_OK;
}

/* ---- lifetime ---- */

lcm_status lcm_results_init(lcm_ctx *ctx, lcm_results *out, const char *task) {
    memset(out, 0, sizeof *out);
    out->facts = json_object();
    if (out->facts == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: results");
    return copy_text(ctx, &out->task, task);
}

static void free_metric(lcm_result_metric *m) {
    free(m->name);
    free(m->values);
    free(m->weights);
    free(m->seed_means);
}

static void free_row(lcm_result_row *row) {
    for (size_t i = 0; i < row->n_metrics; i++) free_metric(&row->metrics[i]);
    free(row->metrics);
    free(row->seeds);
    free(row->model);
    free(row->kind);
}

void lcm_results_free(lcm_results *r) {
    for (size_t i = 0; i < r->n_rows; i++) free_row(&r->rows[i]);
    for (size_t i = 0; i < r->n_files; i++) free(r->files[i]);
    for (size_t i = 0; i < r->n_skipped; i++) free(r->skipped[i].why);
    free(r->rows);
    free(r->files);
    free(r->skipped);
    lcm_strset_free(&r->documents);
    json_decref(r->facts);
    free(r->task);
    memset(r, 0, sizeof *r);
}

/* ---- building ---- */

lcm_status lcm_results_file(lcm_ctx *ctx, lcm_results *r, const char *path) {
    LCM_TRY(lcm_grow(ctx, &r->files, &r->files_cap, r->n_files + 1, sizeof *r->files));
    LCM_TRY(copy_text(ctx, &r->files[r->n_files], path));
    r->n_files++;
    return LCM_OK;
}

lcm_status lcm_results_document(lcm_ctx *ctx, lcm_results *r, const char *id, int64_t sentences) {
    size_t before = r->documents.n;
    char *copy;
    lcm_status st;
    for (size_t i = 0; i < r->n_rows; i++) LCM_ASSERT(r->rows[i].n_metrics == 0);
    LCM_TRY(copy_text(ctx, &copy, id));
    st = lcm_strset_add(ctx, NULL, &r->documents, copy, strlen(copy));
    free(copy);
    LCM_TRY(st);
    if (r->documents.n == before) LCM_FAIL(ctx, LCM_ERR_ARG, "document '%.80s' is there twice", id);
    r->sentences += sentences;
    return LCM_OK;
}

lcm_status lcm_results_skip(lcm_ctx *ctx, lcm_results *r, const char *why, int64_t n) {
    for (size_t i = 0; i < r->n_skipped; i++) {
        if (strcmp(r->skipped[i].why, why) != 0) continue;
        r->skipped[i].n += n;
        return LCM_OK;
    }
    LCM_TRY(lcm_grow(ctx, &r->skipped, &r->skipped_cap, r->n_skipped + 1, sizeof *r->skipped));
    r->skipped[r->n_skipped].n = n;
    LCM_TRY(copy_text(ctx, &r->skipped[r->n_skipped].why, why));
    r->n_skipped++;
    return LCM_OK;
}

lcm_status lcm_results_row(lcm_ctx *ctx, size_t *row, lcm_results *r, const char *model, const char *kind, int64_t seed) {
    lcm_result_row new = {.seconds = NAN};
    lcm_status st = lcm_grow(ctx, &r->rows, &r->rows_cap, r->n_rows + 1, sizeof *r->rows);
    if (st == LCM_OK) st = copy_text(ctx, &new.model, model);
    if (st == LCM_OK) st = copy_text(ctx, &new.kind, kind);
    if (st == LCM_OK && seed != LCM_NO_SEED) {
        st = lcm_calloc(ctx, &new.seeds, 1, sizeof *new.seeds);
        if (st == LCM_OK) new.seeds[new.n_seeds++] = seed;
    }
    if (st) {
        free_row(&new);
        return st;
    }
    *row = r->n_rows;
    r->rows[r->n_rows++] = new;
    return LCM_OK;
}

static lcm_status new_series(lcm_ctx *ctx, double **out, size_t n, double fill) {
    LCM_TRY(lcm_calloc(ctx, out, n, sizeof **out));
    for (size_t i = 0; i < n; i++) (*out)[i] = fill;
    return LCM_OK;
}

static lcm_status add_metric(lcm_ctx *ctx, lcm_result_metric **out, lcm_result_row *row, const char *name, lcm_better better) {
    lcm_result_metric m = {.better = better, .mean = NAN, .low = NAN, .high = NAN, .sd = NAN};
    if (lcm_result_find(row, name)) LCM_FAIL(ctx, LCM_ERR_ARG, "metric '%.80s' of '%.80s' is there twice", name, row->model);
    LCM_TRY(lcm_grow(ctx, &row->metrics, &row->metrics_cap, row->n_metrics + 1, sizeof *row->metrics));
    LCM_TRY(copy_text(ctx, &m.name, name));
    *out = &row->metrics[row->n_metrics++];
    **out = m;
    return LCM_OK;
}

lcm_status lcm_results_metric(lcm_ctx *ctx, double **values, double **weights, lcm_results *r, size_t row, const char *name,
                              lcm_better better) {
    lcm_result_metric *m;
    LCM_TRY(add_metric(ctx, &m, &r->rows[row], name, better));
    LCM_TRY(new_series(ctx, &m->values, r->documents.n, NAN));
    if (weights) LCM_TRY(new_series(ctx, &m->weights, r->documents.n, 1));
    *values = m->values;
    if (weights) *weights = m->weights;
    return LCM_OK;
}

lcm_status lcm_results_corpus_metric(lcm_ctx *ctx, lcm_results *r, size_t row, const char *name, lcm_better better,
                                     double value) {
    lcm_result_metric *m;
    LCM_TRY(add_metric(ctx, &m, &r->rows[row], name, better));
    m->mean = value;
    return LCM_OK;
}

const lcm_result_metric *lcm_result_find(const lcm_result_row *row, const char *name) {
    for (size_t i = 0; i < row->n_metrics; i++)
        if (strcmp(row->metrics[i].name, name) == 0) return &row->metrics[i];
    return NULL;
}

const char *lcm_results_document_at(const lcm_results *r, size_t i, size_t *len) {
    size_t begin = i ? r->documents.end[i - 1] : 0;
    *len = r->documents.end[i] - begin;
    return r->documents.bytes.data + begin;
}

/* ---- means and intervals ---- */

static lcm_status check_values(lcm_ctx *ctx, const lcm_result_metric *m, const char *model, size_t n) {
    if (isinf(m->mean)) LCM_FAIL(ctx, LCM_ERR_NUMERIC, "%s of '%s' is infinite", m->name, model);
    for (size_t i = 0; m->values && i < n; i++) {
        double w = m->weights ? m->weights[i] : 1;
        if (isinf(m->values[i]) || !(w >= 0 && w < HUGE_VAL))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "%s of '%s', document %zu: value %g of weight %g", m->name, model, i, m->values[i], w);
    }
    return LCM_OK;
}

lcm_status lcm_results_finish(lcm_ctx *ctx, lcm_results *r, uint64_t seed) {
    size_t k = 0, n = r->documents.n;
    lcm_series *series;
    lcm_interval *intervals = NULL;
    lcm_status st = LCM_OK;
    for (size_t i = 0; i < r->n_rows; i++) k += r->rows[i].n_metrics;
    LCM_TRY(lcm_calloc(ctx, &series, k, sizeof *series));
    st = lcm_calloc(ctx, &intervals, k, sizeof *intervals);
    k = 0;
    for (size_t i = 0; st == LCM_OK && i < r->n_rows; i++)
        for (size_t c = 0; st == LCM_OK && c < r->rows[i].n_metrics; c++) {
            const lcm_result_metric *m = &r->rows[i].metrics[c];
            st = check_values(ctx, m, r->rows[i].model, n);
            if (m->values) series[k++] = (lcm_series){m->values, m->weights};
        }
    if (st == LCM_OK) st = lcm_bootstrap(ctx, intervals, series, k, (int64_t)n, seed);
    k = 0;
    for (size_t i = 0; st == LCM_OK && i < r->n_rows; i++)
        for (size_t c = 0; c < r->rows[i].n_metrics; c++) {
            lcm_result_metric *m = &r->rows[i].metrics[c];
            if (m->values == NULL) continue;
            m->mean = intervals[k].mean;
            m->low = intervals[k].low;
            m->high = intervals[k++].high;
        }
    free(series);
    free(intervals);
    return st;
}

/* ---- seeds ---- */

static bool same_model(const lcm_result_row *a, const lcm_result_row *b) {
    return a->parameters == b->parameters && strcmp(a->model, b->model) == 0 && strcmp(a->kind, b->kind) == 0;
}

/* Per document, the weighted mean over seeds; a weight is the mean of the seeds' that have a value. */
static void merge_values(lcm_result_metric *into, const lcm_result_metric *const *of, size_t n_of, size_t n) {
    for (size_t d = 0; into->values && d < n; d++) {
        double sum = 0, weight = 0;
        size_t have = 0;
        for (size_t i = 0; i < n_of; i++) {
            double w = of[i]->weights ? of[i]->weights[d] : 1;
            if (isnan(of[i]->values[d])) continue;
            sum += w * of[i]->values[d];
            weight += w;
            have++;
        }
        into->values[d] = weight > 0 ? sum / weight : NAN;
        if (into->weights) into->weights[d] = have ? weight / (double)have : 0;
    }
}

static void spread(lcm_result_metric *m, size_t n) {
    double mean = 0, ss = 0;
    for (size_t i = 0; i < n; i++) mean += m->seed_means[i] / (double)n;
    for (size_t i = 0; i < n; i++) ss += (m->seed_means[i] - mean) * (m->seed_means[i] - mean);
    m->sd = n > 1 ? sqrt(ss / (double)(n - 1)) : NAN;
    if (m->values == NULL) m->mean = mean;
}

/* group (n_group): the rows of one model, the first of which takes all in. */
static lcm_status merge_group(lcm_ctx *ctx, lcm_result_row *const *group, size_t n_group, size_t n) {
    lcm_result_row *into = group[0];
    const lcm_result_metric **of;
    int64_t *seeds = NULL;
    double seconds = 0;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &of, n_group, sizeof *of));
    st = lcm_calloc(ctx, &seeds, n_group, sizeof *seeds);
    for (size_t i = 0; st == LCM_OK && i < n_group; i++) {
        seconds += group[i]->seconds;
        if (group[i]->n_seeds == 1) seeds[i] = group[i]->seeds[0];
        else st = lcm_fail(ctx, LCM_ERR_ARG, "two rows of '%s', one of which has not one seed but %zu", into->model, group[i]->n_seeds);
    }
    for (size_t c = 0; st == LCM_OK && c < into->n_metrics; c++) {
        lcm_result_metric *m = &into->metrics[c];
        for (size_t i = 0; st == LCM_OK && i < n_group; i++) {
            of[i] = lcm_result_find(group[i], m->name);
            if (of[i] == NULL || (of[i]->values == NULL) != (m->values == NULL) || group[i]->n_metrics != into->n_metrics)
                st = lcm_fail(ctx, LCM_ERR_ARG, "%s of '%s': not every seed has it", m->name, into->model);
        }
        if (st == LCM_OK) st = lcm_calloc(ctx, &m->seed_means, n_group, sizeof *m->seed_means);
        for (size_t i = 0; st == LCM_OK && i < n_group; i++)
            m->seed_means[i] = of[i]->values ? lcm_series_mean(&(lcm_series){of[i]->values, of[i]->weights}, (int64_t)n) : of[i]->mean;
        if (st == LCM_OK) merge_values(m, of, n_group, n);
        if (st == LCM_OK) spread(m, n_group);
    }
    free(of);
    if (st) {
        free(seeds);
        return st;
    }
    free(into->seeds);
    into->seeds = seeds;
    into->n_seeds = n_group;
    into->seconds = seconds;
    return LCM_OK;
}

/* Takes the rows that are merged into the one at `first` out of the table. */
static void drop_group(lcm_results *r, size_t first) {
    size_t kept = first + 1;
    for (size_t i = first + 1; i < r->n_rows; i++) {
        if (same_model(&r->rows[i], &r->rows[first])) free_row(&r->rows[i]);
        else r->rows[kept++] = r->rows[i];
    }
    r->n_rows = kept;
}

lcm_status lcm_results_merge_seeds(lcm_ctx *ctx, lcm_results *r, uint64_t seed) {
    lcm_result_row **group;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &group, r->n_rows, sizeof *group));
    for (size_t first = 0; st == LCM_OK && first < r->n_rows; first++) {
        size_t n = 0;
        for (size_t i = first; i < r->n_rows; i++)
            if (same_model(&r->rows[i], &r->rows[first])) group[n++] = &r->rows[i];
        if (n < 2) continue;
        st = merge_group(ctx, group, n, r->documents.n);
        if (st == LCM_OK) drop_group(r, first);
    }
    free(group);
    return st ? st : lcm_results_finish(ctx, r, seed);
}

/* ---- several evaluations ---- */

static bool same_documents(const lcm_results *a, const lcm_results *b) {
    const lcm_strset *x = &a->documents, *y = &b->documents;
    return x->n == y->n && x->bytes.len == y->bytes.len && (x->n == 0 || memcmp(x->end, y->end, x->n * sizeof *x->end) == 0) &&
           (x->bytes.len == 0 || memcmp(x->bytes.data, y->bytes.data, x->bytes.len) == 0);
}

/* Seeds of the evaluation are no further seeds of training: what they drew is in the document's mean. */
static lcm_status stand_for_training(lcm_ctx *ctx, lcm_result_row *row) {
    if (row->train.unit[0] == '\0') return LCM_OK;
    free(row->seeds);
    row->n_seeds = 0;
    LCM_TRY(lcm_calloc(ctx, &row->seeds, 1, sizeof *row->seeds));
    row->seeds[row->n_seeds++] = row->train.seed;
    for (size_t c = 0; c < row->n_metrics; c++) {
        lcm_result_metric *m = &row->metrics[c];
        free(m->seed_means);
        m->seed_means = NULL;
        m->sd = NAN;
    }
    return LCM_OK;
}

static bool same_seeds(const lcm_result_row *a, const lcm_result_row *b) {
    return a->n_seeds == b->n_seeds && (a->n_seeds == 0 || memcmp(a->seeds, b->seeds, a->n_seeds * sizeof *a->seeds) == 0);
}

static lcm_status check_new(lcm_ctx *ctx, const lcm_results *r, const lcm_result_row *row) {
    for (size_t i = 0; i < r->n_rows; i++) {
        if (!same_model(&r->rows[i], row) || !same_seeds(&r->rows[i], row)) continue;
        if (row->n_seeds) LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s' of seed %lld is there twice", row->model, (long long)row->seeds[0]);
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s' is there twice", row->model);
    }
    return LCM_OK;
}

static lcm_status join_facts(lcm_ctx *ctx, lcm_results *into, const lcm_results *from) {
    json_t *a = json_object_get(into->facts, "task"), *b = json_object_get(from->facts, "task");
    json_t *systems = json_object_get(into->facts, "systems"), *more = json_object_get(from->facts, "systems");
    if (strcmp(into->task, from->task) != 0 || (a && b && !json_equal(a, b)))
        LCM_FAIL(ctx, LCM_ERR_ARG, "the tasks '%.80s' and '%.80s' differ", into->task, from->task);
    if (json_is_object(systems) && json_is_object(more) && json_object_update_missing(systems, more))
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: results");
    if (json_object_update_missing(into->facts, from->facts)) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: results");
    return LCM_OK;
}

lcm_status lcm_results_join(lcm_ctx *ctx, lcm_results *into, lcm_results *from) {
    if (!same_documents(into, from)) LCM_FAIL(ctx, LCM_ERR_ARG, "the documents of two evaluations of '%.80s' differ", into->task);
    LCM_TRY(join_facts(ctx, into, from));
    for (size_t i = 0; i < into->n_rows; i++) LCM_TRY(stand_for_training(ctx, &into->rows[i]));
    for (size_t i = 0; i < from->n_rows; i++) {
        LCM_TRY(stand_for_training(ctx, &from->rows[i]));
        LCM_TRY(check_new(ctx, into, &from->rows[i]));
    }
    LCM_TRY(lcm_grow(ctx, &into->rows, &into->rows_cap, into->n_rows + from->n_rows, sizeof *into->rows));
    for (size_t i = 0; i < from->n_rows; i++) into->rows[into->n_rows++] = from->rows[i];
    from->n_rows = 0;
    return LCM_OK;
}
