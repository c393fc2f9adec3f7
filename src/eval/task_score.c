/* From predictions and texts to values per document. */
#include "eval/task_score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/chrf.h"
#include "eval/overlap.h"
#include "eval/rouge.h"
#include "eval/strset.h"
#include "eval/words.h"
#include "kernels/distance.h"

/* ---- measures of text ---- */

static lcm_status count_sentences(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    (void)ctx;
    (void)weights;
    for (int64_t d = 0, n; d < w->text->n_docs; d++) {
        lcm_sentences_doc(w->text, d, &n);
        values[d] = (double)n;
    }
    return LCM_OK;
}

/* One document as whole texts. */
typedef struct whole {
    lcm_buf text, reference, given;
} whole;

typedef lcm_status (*whole_fn)(lcm_ctx *ctx, double *value, const whole *w);

static lcm_status join_document(lcm_ctx *ctx, lcm_buf *out, const lcm_sentences *s, int64_t d) {
    int64_t n, first = lcm_sentences_doc(s, d, &n);
    out->len = 0;
    return lcm_sentences_join(ctx, out, s, first, n);
}

static lcm_status for_texts(lcm_ctx *ctx, double *values, const lcm_written *w, whole_fn fn) {
    whole t = {{0}, {0}, {0}};
    lcm_status st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        st = join_document(ctx, &t.text, w->text, d);
        if (st == LCM_OK) st = join_document(ctx, &t.reference, w->reference, d);
        if (st == LCM_OK) st = join_document(ctx, &t.given, w->given, d);
        if (st == LCM_OK) st = fn(ctx, &values[d], &t);
    }
    lcm_buf_free(&t.text);
    lcm_buf_free(&t.reference);
    lcm_buf_free(&t.given);
    return st;
}

static lcm_status words_of(lcm_ctx *ctx, double *value, const whole *w) {
    lcm_words words = {0};
    lcm_status st = lcm_words_split(ctx, &words, w->text.data, w->text.len, true);
    *value = (double)words.n;
    lcm_words_free(&words);
    return st;
}

static lcm_status chrf_of(lcm_ctx *ctx, double *value, const whole *w) {
    lcm_chrf c = {0};
    lcm_status st = lcm_chrf_add(ctx, &c, w->text.data, w->text.len, w->reference.data, w->reference.len);
    *value = lcm_chrf_score(&c);
    return st;
}

static lcm_status rouge_of(lcm_ctx *ctx, double *value, const whole *w, int kind) {
    lcm_prf r[LCM_ROUGE_KINDS];
    LCM_TRY(lcm_rouge(ctx, r, w->text.data, w->text.len, w->reference.data, w->reference.len, true));
    *value = r[kind].f;
    return LCM_OK;
}
static lcm_status rouge_1(lcm_ctx *ctx, double *value, const whole *w) { return rouge_of(ctx, value, w, LCM_ROUGE_1); }
static lcm_status rouge_2(lcm_ctx *ctx, double *value, const whole *w) { return rouge_of(ctx, value, w, LCM_ROUGE_2); }
static lcm_status rouge_l(lcm_ctx *ctx, double *value, const whole *w) { return rouge_of(ctx, value, w, LCM_ROUGE_L); }

#define OVERLAP(name, field)                                                                                   \
    static lcm_status name(lcm_ctx *ctx, double *value, const whole *w) {                                       \
        lcm_overlap o;                                                                                          \
        LCM_TRY(lcm_overlap_measure(ctx, &o, w->text.data, w->text.len, w->given.data, w->given.len));          \
        *value = o.field;                                                                                       \
        return LCM_OK;                                                                                          \
    }
OVERLAP(ovl3_of, ovl3)
OVERLAP(rep4_of, rep4)
OVERLAP(ovl3_compat, ovl_compat)
OVERLAP(rep4_compat, rep_compat)
OVERLAP(word_ratio, word_ratio)

static lcm_status edit_distance(lcm_ctx *ctx, double *value, const whole *w) {
    lcm_edits e;
    LCM_TRY(lcm_edit_words(ctx, &e, w->text.data, w->text.len, w->reference.data, w->reference.len));
    if (e.longer) *value = (double)e.distance / (double)e.longer;
    return LCM_OK;
}

static lcm_status longest_common(lcm_ctx *ctx, double *value, const whole *w) {
    lcm_edits e;
    LCM_TRY(lcm_edit_words(ctx, &e, w->text.data, w->text.len, w->reference.data, w->reference.len));
    *value = (double)e.common;
    return LCM_OK;
}

static lcm_status distinct_1(lcm_ctx *ctx, double *value, const whole *w) { return lcm_distinct(ctx, value, w->text.data, w->text.len, 1); }
static lcm_status distinct_2(lcm_ctx *ctx, double *value, const whole *w) { return lcm_distinct(ctx, value, w->text.data, w->text.len, 2); }
static lcm_status distinct_3(lcm_ctx *ctx, double *value, const whole *w) { return lcm_distinct(ctx, value, w->text.data, w->text.len, 3); }

#define ON_TEXTS(fn)                                                                                     \
    static lcm_status all_##fn(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {   \
        (void)weights;                                                                                  \
        return for_texts(ctx, values, w, fn);                                                           \
    }
ON_TEXTS(words_of)
ON_TEXTS(chrf_of)
ON_TEXTS(rouge_1)
ON_TEXTS(rouge_2)
ON_TEXTS(rouge_l)
ON_TEXTS(ovl3_of)
ON_TEXTS(rep4_of)
ON_TEXTS(ovl3_compat)
ON_TEXTS(rep4_compat)
ON_TEXTS(word_ratio)
ON_TEXTS(edit_distance)
ON_TEXTS(longest_common)
ON_TEXTS(distinct_1)
ON_TEXTS(distinct_2)
ON_TEXTS(distinct_3)

/* Appends the sentences of document d, a line each. */
static lcm_status put_lines(lcm_ctx *ctx, lcm_buf *out, const lcm_sentences *s, int64_t d) {
    int64_t n, first = lcm_sentences_doc(s, d, &n);
    for (int64_t i = first; i < first + n; i++) {
        size_t len;
        const char *text = lcm_sentences_at(s, i, &len);
        LCM_TRY(lcm_buf_append(ctx, out, text, len));
        LCM_TRY(lcm_buf_append(ctx, out, "\n", 1));
    }
    return LCM_OK;
}

static lcm_status rouge_lsum(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    lcm_buf text = {0}, reference = {0};
    lcm_prf r[LCM_ROUGE_KINDS];
    lcm_status st = LCM_OK;
    (void)weights;
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        text.len = reference.len = 0;
        st = put_lines(ctx, &text, w->text, d);
        if (st == LCM_OK) st = put_lines(ctx, &reference, w->reference, d);
        if (st == LCM_OK) st = lcm_rouge(ctx, r, text.data, text.len, reference.data, reference.len, true);
        values[d] = r[LCM_ROUGE_LSUM].f;
    }
    lcm_buf_free(&text);
    lcm_buf_free(&reference);
    return st;
}

/* Share of a document's sentences that the set has when their turn comes. */
static lcm_status share_seen(lcm_ctx *ctx, double *value, double *weight, const lcm_sentences *s, int64_t d, lcm_strset *set,
                             bool grows) {
    int64_t n, first = lcm_sentences_doc(s, d, &n), seen = 0;
    for (int64_t i = first; i < first + n; i++) {
        size_t len;
        const char *text = lcm_sentences_at(s, i, &len);
        if (lcm_strset_has(set, text, len)) seen++;
        else if (grows) LCM_TRY(lcm_strset_add(ctx, NULL, set, text, len));
    }
    if (n) *value = (double)seen / (double)n;
    *weight = (double)n;
    return LCM_OK;
}

static lcm_status copied(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    lcm_strset set = {0};
    lcm_status st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        double ignored, weight;
        lcm_strset_clear(&set);
        st = share_seen(ctx, &ignored, &weight, w->given, d, &set, true);
        if (st == LCM_OK) st = share_seen(ctx, &values[d], &weights[d], w->text, d, &set, false);
    }
    lcm_strset_free(&set);
    return st;
}

static lcm_status repeated(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    lcm_strset set = {0};
    lcm_status st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        lcm_strset_clear(&set);
        st = share_seen(ctx, &values[d], &weights[d], w->text, d, &set, true);
    }
    lcm_strset_free(&set);
    return st;
}

/* Concepts of document d: context, then text. */
static lcm_status encode_both(lcm_ctx *ctx, real **x, const lcm_written *w, int64_t d, int64_t *given, int64_t *written) {
    int64_t D = lcm_codec_dim(w->codec), a = lcm_sentences_doc(w->given, d, given), b = lcm_sentences_doc(w->text, d, written);
    LCM_TRY(lcm_calloc(ctx, x, (size_t)((*given + *written) * D) + 1, sizeof **x));
    LCM_TRY(lcm_sentences_encode(ctx, *x, NULL, w->codec, w->given, a, *given));
    return lcm_sentences_encode(ctx, *x + *given * D, NULL, w->codec, w->text, b, *written);
}

static lcm_status coherence(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    (void)weights;
    for (int64_t d = 0; d < w->text->n_docs; d++) {
        int64_t given, written;
        real *x = NULL;
        lcm_status st = encode_both(ctx, &x, w, d, &given, &written);
        if (st == LCM_OK) st = lcm_coherence_score(ctx, &values[d], w->coherence, x, given + written, given);
        free(x);
        LCM_TRY(st);
    }
    return LCM_OK;
}

static lcm_status fluency(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w) {
    return lcm_fluency_score(ctx, values, weights, w->fluency, w->text);
}

/* Items: the sentences of document d of the text, each behind the context and the text before it. */
static lcm_status fill_items(lcm_ctx *ctx, lcm_mi_item *items, lcm_buf *lines, const lcm_written *w, int64_t d) {
    int64_t n, first = lcm_sentences_doc(w->text, d, &n);
    size_t at;
    LCM_TRY(put_lines(ctx, lines, w->given, d));
    at = lines->len;
    LCM_TRY(put_lines(ctx, lines, w->text, d));
    for (int64_t i = 0; i < n; i++) {
        items[i] = (lcm_mi_item){.context = lines->data, .context_len = at};
        items[i].sentence = lcm_sentences_at(w->text, first + i, &items[i].len);
        at += items[i].len + 1;
    }
    return LCM_OK;
}

/* room (2 n): of n sentences. */
static lcm_status mi_of(lcm_ctx *ctx, double *value, double *weight, double *room, const lcm_mi_item *items, int64_t n, lcm_scorer *s,
                        const lcm_mi_opts *o) {
    double sum = 0;
    *weight = 0;
    LCM_TRY(lcm_mi_document(ctx, room, room + n, s, items, (size_t)n, o));
    for (int64_t i = 0; i < n; i++)
        if (room[n + i] > 0) sum += room[i] * room[n + i], *weight += room[n + i];
    if (*weight > 0) *value = sum / *weight;
    return LCM_OK;
}

static lcm_status mutual_info(lcm_ctx *ctx, double *values, double *weights, const lcm_written *w, bool compat) {
    lcm_mi_opts o = lcm_mi_defaults();
    lcm_buf lines = {0};
    lcm_status st = LCM_OK;
    o.compat = compat;
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        int64_t n;
        lcm_mi_item *items = NULL;
        double *room = NULL;
        lcm_sentences_doc(w->text, d, &n);
        lines.len = 0;
        st = lcm_calloc(ctx, &items, (size_t)n + 1, sizeof *items);
        if (st == LCM_OK) st = lcm_calloc(ctx, &room, 2 * (size_t)n + 1, sizeof *room);
        if (st == LCM_OK) st = fill_items(ctx, items, &lines, w, d);
        if (st == LCM_OK) st = mi_of(ctx, &values[d], &weights[d], room, items, n, w->scorer, &o);
        free(items);
        free(room);
    }
    for (int64_t d = 0; *w->scorer->failed && d < w->text->n_docs; d++) values[d] = NAN, weights[d] = 0;
    lcm_buf_free(&lines);
    return st;
}
static lcm_status mi(lcm_ctx *ctx, double *v, double *weights, const lcm_written *w) { return mutual_info(ctx, v, weights, w, false); }
static lcm_status mi_compat(lcm_ctx *ctx, double *v, double *weights, const lcm_written *w) { return mutual_info(ctx, v, weights, w, true); }

const lcm_text_metric lcm_text_metrics[] = {
    {"rouge1", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, all_rouge_1},
    {"rouge2", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, all_rouge_2},
    {"rougeL", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, all_rouge_l},
    {"rougeLsum", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, rouge_lsum},
    {"chrf", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, all_chrf_of},
    {"coherence", LCM_BETTER_HIGHER, LCM_NEEDS_COHERENCE, false, coherence},
    {"fluency", LCM_BETTER_HIGHER, LCM_NEEDS_FLUENCY, true, fluency},
    {"mi", LCM_BETTER_HIGHER, LCM_NEEDS_SCORER, true, mi},
    {"mi_compat", LCM_BETTER_HIGHER, LCM_NEEDS_SCORER, true, mi_compat},
    {"edit_distance", LCM_BETTER_LOWER, LCM_NEEDS_NOTHING, false, all_edit_distance},
    {"longest_common", LCM_BETTER_HIGHER, LCM_NEEDS_NOTHING, false, all_longest_common},
    {"ovl3", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_ovl3_of},
    {"rep4", LCM_BETTER_LOWER, LCM_NEEDS_NOTHING, false, all_rep4_of},
    {"ovl3_compat", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_ovl3_compat},
    {"rep4_compat", LCM_BETTER_LOWER, LCM_NEEDS_NOTHING, false, all_rep4_compat},
    {"distinct_1", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_distinct_1},
    {"distinct_2", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_distinct_2},
    {"distinct_3", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_distinct_3},
    {"copied", LCM_BETTER_LOWER, LCM_NEEDS_NOTHING, true, copied},
    {"repeated", LCM_BETTER_LOWER, LCM_NEEDS_NOTHING, true, repeated},
    {"sentences", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, count_sentences},
    {"words", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_words_of},
    {"word_ratio", LCM_BETTER_NEITHER, LCM_NEEDS_NOTHING, false, all_word_ratio},
    {0},
};

/* ---- which ---- */

static const char *const cloze_metrics[] = {"accuracy", "hard_accuracy", NULL};

static const char *metric_name(const lcm_eval_task *t, size_t i) {
    if (t->kind == LCM_EVAL_NEXT) return lcm_next_measures[i].name;
    return t->kind == LCM_EVAL_CLOZE ? cloze_metrics[i] : lcm_text_metrics[i].name;
}

static lcm_status no_such_metric(lcm_ctx *ctx, const lcm_eval_task *t, const char *name) {
    char list[512] = "";
    size_t n = 0;
    for (size_t i = 0; metric_name(t, i) && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", metric_name(t, i));
    LCM_FAIL(ctx, LCM_ERR_ARG, "metric '%.60s': a task of kind '%s' has %s", name, lcm_eval_kind_names[t->kind], list);
}

lcm_status lcm_task_check_metrics(lcm_ctx *ctx, const lcm_eval_task *t, unsigned there) {
    bool text = t->kind == LCM_EVAL_COMPLETION || t->kind == LCM_EVAL_SUMMARISE;
    for (size_t k = 0; k < t->n_metrics; k++) {
        size_t i = 0;
        while (metric_name(t, i) && strcmp(metric_name(t, i), t->metrics[k]) != 0) i++;
        if (metric_name(t, i) == NULL) return no_such_metric(ctx, t, t->metrics[k]);
        if ((text && (lcm_text_metrics[i].needs & ~there)) ||
            (t->kind == LCM_EVAL_NEXT && lcm_next_measures[i].needs_scorer && !(there & LCM_NEEDS_SCORER)))
            LCM_FAIL(ctx, LCM_ERR_ARG, "metric '%s' needs a model of its own, which is not given", t->metrics[k]);
    }
    return LCM_OK;
}

bool lcm_task_wants(const lcm_eval_task *task, const char *metric) {
    for (size_t i = 0; i < task->n_metrics; i++)
        if (strcmp(task->metrics[i], metric) == 0) return true;
    return task->n_metrics == 0;
}

lcm_status lcm_task_score_texts(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_written *w) {
    unsigned there = (w->coherence ? LCM_NEEDS_COHERENCE : 0u) | (w->fluency ? LCM_NEEDS_FLUENCY : 0u) |
                     (w->scorer ? LCM_NEEDS_SCORER : 0u);
    for (const lcm_text_metric *m = lcm_text_metrics; m->name; m++) {
        double *values, *weights = NULL;
        if (!lcm_task_wants(task, m->name) || (m->needs & ~there)) continue;
        LCM_TRY(lcm_results_metric(ctx, &values, m->weighted ? &weights : NULL, r, row, m->name, m->better));
        LCM_TRY(m->score(ctx, values, weights, w));
    }
    return LCM_OK;
}

/* ---- next ---- */

static void means_of_documents(double *values, double *weights, const double *v, const double *w, const lcm_next_result *p) {
    for (int64_t i = 0; i < p->job->n; i++) values[i] = weights[i] = 0;
    for (int64_t i = 0; i < p->rows; i++) {
        if (isnan(v[i])) continue;
        values[p->doc[i]] += w[i] * v[i];
        weights[p->doc[i]] += w[i];
    }
    for (int64_t i = 0; i < p->job->n; i++) values[i] = weights[i] > 0 ? values[i] / weights[i] : NAN;
}

/* v (2 rows) */
static lcm_status measure_next(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, lcm_next_result *p,
                               const lcm_next_opts *opts, double *v) {
    for (int m = 0; m < LCM_NEXT_MEASURES; m++) {
        const lcm_next_measure *measure = &lcm_next_measures[m];
        double *values, *weights;
        if (!lcm_task_wants(task, measure->name) || (measure->needs_scorer && opts->scorer == NULL)) continue;
        LCM_TRY(lcm_results_metric(ctx, &values, &weights, r, row, measure->name, measure->better));
        LCM_TRY(lcm_next_score(ctx, v, v + p->rows, measure, p, opts));
        means_of_documents(values, weights, v, v + p->rows, p);
    }
    return LCM_OK;
}

lcm_status lcm_task_predict(lcm_ctx *ctx, real **p, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    int64_t n = lcm_forecast_rows(job) * job->D;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, p, (size_t)n + 1, sizeof **p));
    st = f->predict(ctx, *p, f, job, seed);
    for (int64_t i = 0; st == LCM_OK && i < n; i++)
        if (!isfinite((*p)[i]))
            st = lcm_fail(ctx, LCM_ERR_NUMERIC, "%s: prediction %lld is not finite", f->name, (long long)(i / job->D + 1));
    if (st) {
        free(*p);
        *p = NULL;
    }
    return st;
}

lcm_status lcm_task_score_next(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_forecast_job *job,
                               const real *p, const lcm_next_opts *opts) {
    int64_t rows = lcm_forecast_rows(job), k = 0;
    int32_t *doc;
    lcm_next_result result;
    double *v = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &doc, (size_t)rows * 2 + 1, sizeof *doc));
    result = (lcm_next_result){.job = job, .p = p, .rows = rows, .doc = doc, .pos = doc + rows};
    st = lcm_calloc(ctx, &v, (size_t)rows * 2 + 1, sizeof *v);
    for (int64_t d = 0; st == LCM_OK && d < job->n; d++)
        for (int32_t t = job->from[d]; t < job->to[d]; t++, k++) doc[k] = (int32_t)d, doc[rows + k] = t;
    if (st == LCM_OK) st = measure_next(ctx, r, row, task, &result, opts, v);
    lcm_next_result_free(&result);
    free(doc);
    free(v);
    return st;
}

/* ---- cloze ---- */

typedef struct cloze_row {
    double *accuracy, *hard; /* NULL: not wanted */
} cloze_row;

static lcm_status new_cloze(lcm_ctx *ctx, cloze_row *c, lcm_results *r, size_t row, const lcm_eval_task *task) {
    *c = (cloze_row){NULL, NULL};
    if (lcm_task_wants(task, "accuracy")) LCM_TRY(lcm_results_metric(ctx, &c->accuracy, NULL, r, row, "accuracy", LCM_BETTER_HIGHER));
    if (lcm_task_wants(task, "hard_accuracy")) LCM_TRY(lcm_results_metric(ctx, &c->hard, NULL, r, row, "hard_accuracy", LCM_BETTER_HIGHER));
    return LCM_OK;
}

/* cost: of the right ending, the wrong one, and of n > 2 the renamed one. */
static void put_cloze(cloze_row *c, int64_t item, const double *cost, int64_t n) {
    if (c->accuracy) c->accuracy[item] = cost[0] < cost[1] ? 1 : cost[0] > cost[1] ? 0 : 0.5;
    if (c->hard && n > 2) c->hard[item] = cost[0] < cost[2] ? 1 : cost[0] > cost[2] ? 0 : 0.5;
}

lcm_status lcm_task_score_cloze(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_sentences *reference,
                                const real *ends, const real *p, int64_t D) {
    cloze_row c;
    LCM_TRY(new_cloze(ctx, &c, r, row, task));
    for (int64_t i = 0, n; i < reference->n_docs; i++) {
        const real *end = ends + lcm_sentences_doc(reference, i, &n) * D;
        double cost[3] = {0};
        for (int64_t k = 0; k < n; k++) cost[k] = lcm_l2(p + i * D, end + k * D, D);
        put_cloze(&c, i, cost, n);
    }
    return LCM_OK;
}

lcm_status lcm_task_score_choice(lcm_ctx *ctx, lcm_results *r, size_t row, const lcm_eval_task *task, const lcm_sentences *reference,
                                 const double *likelihood) {
    cloze_row c;
    LCM_TRY(new_cloze(ctx, &c, r, row, task));
    for (int64_t i = 0, n; i < reference->n_docs; i++) {
        const double *l = likelihood + lcm_sentences_doc(reference, i, &n);
        double cost[3] = {0};
        for (int64_t k = 0; k < n; k++) cost[k] = -l[k];
        put_cloze(&c, i, cost, n);
    }
    return LCM_OK;
}
