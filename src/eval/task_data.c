/* Reading the documents of a task. */
#include "eval/task_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "text/segment.h"

typedef struct reader {
    lcm_task_data *out;
    lcm_results *results;
    const lcm_eval_task *task;
    const lcm_doc *doc;
    lcm_sentences text, reference; /* of the item in hand: one document */
} reader;

void lcm_task_data_free(lcm_task_data *d) {
    lcm_sentences_free(&d->given);
    lcm_sentences_free(&d->reference);
    memset(d, 0, sizeof *d);
}

/* ---- sentences ---- */

lcm_status lcm_sentences_join(lcm_ctx *ctx, lcm_buf *out, const lcm_sentences *s, int64_t first, int64_t count) {
    LCM_TRY(lcm_buf_append(ctx, out, "", 0));
    for (int64_t i = first; i < first + count; i++) {
        size_t len;
        const char *text = lcm_sentences_at(s, i, &len);
        if (i > first) LCM_TRY(lcm_buf_append(ctx, out, " ", 1));
        LCM_TRY(lcm_buf_append(ctx, out, text, len));
    }
    return LCM_OK;
}

static lcm_status take_spans(lcm_ctx *ctx, lcm_sentences *out, int64_t *cut, const char *text, const lcm_spans *spans, int64_t max) {
    for (size_t i = 0; i < spans->len; i++) {
        lcm_span s = spans->data[i];
        if (max && (int64_t)i >= max) {
            if (cut) *cut += (int64_t)(spans->len - i);
            break;
        }
        LCM_TRY(lcm_sentences_add(ctx, out, text + s.begin, s.end - s.begin));
    }
    return lcm_sentences_end_doc(ctx, out);
}

lcm_status lcm_sentences_cut(lcm_ctx *ctx, lcm_sentences *out, int64_t *cut, const char *text, size_t len, const char *lang,
                             int64_t max) {
    lcm_segment_opts o = lcm_segment_opts_default();
    lcm_spans spans = {0};
    lcm_status st;
    o.lang = lang;
    st = lcm_segment_text(ctx, &spans, text, len, &o);
    if (st == LCM_OK) st = take_spans(ctx, out, cut, text, &spans, max);
    lcm_spans_free(&spans);
    return st;
}

static lcm_status copy_range(lcm_ctx *ctx, lcm_sentences *to, const lcm_sentences *from, int64_t first, int64_t count) {
    for (int64_t i = first; i < first + count; i++) {
        size_t len;
        const char *text = lcm_sentences_at(from, i, &len);
        LCM_TRY(lcm_sentences_add(ctx, to, text, len));
    }
    return lcm_sentences_end_doc(ctx, to);
}

/* ---- one item ---- */

static lcm_status skip(lcm_ctx *ctx, const reader *r, const char *why) { return lcm_results_skip(ctx, r->results, why, 1); }

/* What is given and what follows, of r->text and r->reference. */
static lcm_status keep(lcm_ctx *ctx, reader *r) {
    const lcm_eval_task *t = r->task;
    int64_t n = r->text.n, most = t->max_given, given = t->kind == LCM_EVAL_COMPLETION ? t->given : n, first = 0;
    int64_t n_ref = t->kind == LCM_EVAL_COMPLETION ? n - given : r->reference.n, kept_ref = n_ref;
    const char *file = strrchr(r->doc->path, '/');
    char id[512];
    if (most && given > most) { /* a story is continued from its end, a text is best known by its beginning */
        if (t->kind == LCM_EVAL_COMPLETION || t->kind == LCM_EVAL_CLOZE) first = given - most;
        given = most;
        r->out->cut_given++;
    }
    if (t->kind != LCM_EVAL_CLOZE && t->kind != LCM_EVAL_NEXT && n_ref > t->sentences) {
        kept_ref = t->sentences;
        r->out->cut_reference++;
    }
    LCM_TRY(copy_range(ctx, &r->out->given, &r->text, first, given));
    if (t->kind == LCM_EVAL_COMPLETION) LCM_TRY(copy_range(ctx, &r->out->reference, &r->text, t->given, kept_ref));
    else LCM_TRY(copy_range(ctx, &r->out->reference, &r->reference, 0, kept_ref));
    snprintf(id, sizeof id, "%s:%" PRId64, file ? file + 1 : r->doc->path, r->doc->line);
    LCM_TRY(lcm_results_document(ctx, r->results, id, n + r->reference.n));
    r->out->n++;
    return LCM_OK;
}

static lcm_status plain_item(lcm_ctx *ctx, reader *r, const char *text, size_t len) {
    const lcm_eval_task *t = r->task;
    int64_t least = t->kind == LCM_EVAL_COMPLETION ? t->given + 1 : t->kind == LCM_EVAL_NEXT ? 2 : 1;
    LCM_TRY(lcm_sentences_cut(ctx, &r->text, NULL, text, len, t->lang, 0));
    return r->text.n < least ? skip(ctx, r, "too few sentences") : keep(ctx, r);
}

static bool add_text(lcm_ctx *ctx, lcm_status *st, lcm_sentences *to, const json_t *v) {
    if (json_string_length(v) == 0 || strlen(json_string_value(v)) != json_string_length(v)) return false;
    *st = lcm_sentences_add(ctx, to, json_string_value(v), json_string_length(v));
    return true;
}

static lcm_status cloze_item(lcm_ctx *ctx, reader *r, const json_t *item) {
    const json_t *context = json_object_get(item, "context"), *renamed = json_object_get(item, "wrong_renamed"), *v;
    lcm_status st = LCM_OK;
    bool good = json_array_size(context) > 0;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)context, i, v) good = good && st == LCM_OK && add_text(ctx, &st, &r->text, v);
    good = good && st == LCM_OK && add_text(ctx, &st, &r->reference, json_object_get(item, "right"));
    good = good && st == LCM_OK && add_text(ctx, &st, &r->reference, json_object_get(item, "wrong"));
    if (renamed && !json_is_null(renamed)) good = good && st == LCM_OK && add_text(ctx, &st, &r->reference, renamed);
    LCM_TRY(st);
    if (!good) return skip(ctx, r, "no context, right and wrong ending");
    LCM_TRY(lcm_sentences_end_doc(ctx, &r->text));
    LCM_TRY(lcm_sentences_end_doc(ctx, &r->reference));
    return keep(ctx, r);
}

static bool wanted(const json_t *item, const json_t *where) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)where, key, v)
        if (!json_equal(v, json_object_get(item, key))) return false;
    return true;
}

static lcm_status json_item(lcm_ctx *ctx, reader *r, const json_t *item) {
    const lcm_eval_task *t = r->task;
    const json_t *text = json_object_get(item, t->text_key), *ref = json_object_get(item, t->reference_key);
    if (!wanted(item, t->where)) return skip(ctx, r, "not selected by 'where'");
    if (t->kind == LCM_EVAL_CLOZE) return cloze_item(ctx, r, item);
    if (!json_is_string(text)) return skip(ctx, r, "no text under the key");
    if (t->kind == LCM_EVAL_SUMMARISE) {
        if (!json_is_string(ref)) return skip(ctx, r, "no reference under the key");
        LCM_TRY(lcm_sentences_cut(ctx, &r->reference, NULL, json_string_value(ref), json_string_length(ref), t->lang, 0));
        if (r->reference.n == 0) return skip(ctx, r, "empty reference");
    }
    return plain_item(ctx, r, json_string_value(text), json_string_length(text));
}

static lcm_status json_line(lcm_ctx *ctx, reader *r) {
    json_t *item = NULL;
    bool bad_escape;
    lcm_status st = lcm_json_parse_text(ctx, &item, &bad_escape, r->doc->text, r->doc->len, r->doc->path);
    if (st == LCM_ERR_FORMAT || (st == LCM_OK && !json_is_object(item))) {
        json_decref(item);
        return skip(ctx, r, lcm_doc_drop_text(bad_escape ? LCM_DOC_BAD_ESCAPE : LCM_DOC_BAD_JSON));
    }
    if (st == LCM_OK) st = json_item(ctx, r, item);
    json_decref(item);
    return st;
}

/* ---- files ---- */

static bool is_json(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".zst") == 0) n -= 4;
    return n > 6 && strncmp(path + n - 6, ".jsonl", 6) == 0;
}

static lcm_status read_file(lcm_ctx *ctx, reader *r, const char *path) {
    bool json = is_json(path), needs_json = r->task->kind == LCM_EVAL_CLOZE || r->task->kind == LCM_EVAL_SUMMARISE;
    lcm_docs_opts o = {.format = LCM_DOCS_TXT};
    int64_t limit = r->task->max_documents;
    lcm_docs *docs;
    lcm_status st;
    if (lcm_is_dir(path)) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' is a folder: name its files", path);
    if (needs_json && !json) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': a task of kind '%s' reads .jsonl", path, lcm_eval_kind_names[r->task->kind]);
    if (r->task->where && !json) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': 'where' selects from .jsonl only", path);
    LCM_TRY(lcm_results_file(ctx, r->results, path));
    LCM_TRY(lcm_docs_open(ctx, &docs, &path, 1, &o));
    do {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL || (limit && r->out->n >= limit)) break;
        r->doc = &doc;
        lcm_sentences_clear(&r->text);
        lcm_sentences_clear(&r->reference);
        st = json ? json_line(ctx, r) : plain_item(ctx, r, doc.text, doc.len);
    } while (st == LCM_OK);
    for (int i = 0; st == LCM_OK && i < LCM_DOC_N_DROPS; i++)
        if (lcm_docs_get_report(docs)->dropped[i])
            st = lcm_results_skip(ctx, r->results, lcm_doc_drop_text((lcm_doc_drop)i), lcm_docs_get_report(docs)->dropped[i]);
    lcm_docs_log_drops(ctx, lcm_docs_get_report(docs));
    lcm_docs_close(docs);
    return st;
}

static lcm_status read_data(lcm_ctx *ctx, reader *r) {
    const lcm_eval_task *t = r->task;
    for (size_t i = 0; i < t->n_data; i++) {
        char path[LCM_PATH_MAX];
        bool alone = t->dir[0] == '\0' || t->data[i][0] == '/' || strcmp(t->data[i], "-") == 0;
        if (!alone) LCM_TRY(lcm_path_join(ctx, path, sizeof path, t->dir, t->data[i]));
        LCM_TRY(read_file(ctx, r, alone ? t->data[i] : path));
    }
    return LCM_OK;
}

static lcm_status nothing_left(lcm_ctx *ctx, const lcm_results *r) {
    char list[300] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->n_skipped && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%" PRId64 " %s", i ? ", " : ": ", r->skipped[i].n, r->skipped[i].why);
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "the data holds no document that the task can use%s", list);
}

lcm_status lcm_task_data_read(lcm_ctx *ctx, lcm_task_data *out, lcm_results *results, const lcm_eval_task *task,
                              const char *const *inputs, size_t n_inputs) {
    reader r = {.out = out, .results = results, .task = task};
    lcm_status st = LCM_OK;
    memset(out, 0, sizeof *out);
    if (n_inputs == 0 && task->n_data == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no data: the task names none, and none is given");
    for (size_t i = 0; st == LCM_OK && i < n_inputs; i++) st = read_file(ctx, &r, inputs[i]);
    if (st == LCM_OK && n_inputs == 0) st = read_data(ctx, &r);
    if (st == LCM_OK && out->n == 0) st = nothing_left(ctx, results);
    lcm_sentences_free(&r.text);
    lcm_sentences_free(&r.reference);
    if (st) lcm_task_data_free(out);
    return st;
}
