/* One shard of a concept store: its making, and the checks of one that was read. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "data/store_int.h"

#define COUNT_MAX 9e15 /* exact in double, which configuration ranges are */
#define COUNT(T, f) LCM_F_INT(T, f, 0, COUNT_MAX, NULL)

const lcm_field lcm_store_report_fields[] = {
    COUNT(lcm_store_report, docs),
    COUNT(lcm_store_report, concepts),
    COUNT(lcm_store_report, text_bytes),
    COUNT(lcm_store_report, blank_lines),
    COUNT(lcm_store_report, docs_empty),
    COUNT(lcm_store_report, docs_too_long),
    COUNT(lcm_store_report, docs_bad_utf8),
    COUNT(lcm_store_report, docs_bad_json),
    COUNT(lcm_store_report, docs_bad_escape),
    COUNT(lcm_store_report, docs_no_text),
    COUNT(lcm_store_report, docs_no_sentence),
    COUNT(lcm_store_report, sentences_dropped),
    COUNT(lcm_store_report, sentences_shortened),
    LCM_F_END,
};

void lcm_store_report_add(lcm_store_report *sum, const lcm_store_report *part) {
    for (const lcm_field *f = lcm_store_report_fields; f->key; f++)
        *(int64_t *)((char *)sum + f->offset) += *(const int64_t *)((const char *)part + f->offset);
}

lcm_status lcm_shard_path(lcm_ctx *ctx, char *path, const char *dir, int64_t index) {
    char name[40];
    snprintf(name, sizeof name, "shard-%06" PRId64 ".safetensors", index);
    return lcm_path_join(ctx, path, LCM_PATH_MAX, dir, name);
}

void lcm_shard_hash(char hex[17], lcm_bytes vectors, lcm_bytes docs, lcm_bytes spans, lcm_bytes text, lcm_bytes targets) {
    uint64_t h = lcm_hash64(LCM_HASH_INIT, vectors.data, vectors.len);
    h = lcm_hash64(h, docs.data, docs.len);
    h = lcm_hash64(h, spans.data, spans.len);
    h = lcm_hash64(h, text.data, text.len);
    h = lcm_hash64(h, targets.data, targets.len);
    snprintf(hex, 17, "%016" PRIx64, h);
}

/* ---- Making ---- */

struct lcm_shard {
    int64_t dim;
    lcm_dtype dtype;
    lcm_buf vectors, docs, spans, text, targets; /* as in the file */
    int64_t n_docs, n_concepts, doc_first;
    size_t doc_text; /* length of `text` before the document in the making */
    bool pairs;
};

static lcm_status push_i64(lcm_ctx *ctx, lcm_buf *b, int64_t x) { return lcm_buf_append(ctx, b, &x, sizeof x); }

lcm_status lcm_shard_new(lcm_ctx *ctx, lcm_shard **out, int64_t dim, lcm_dtype dtype) {
    lcm_shard *s;
    lcm_status st;
    *out = NULL;
    if (dim < 1 || dim > LCM_STORE_MAX_DIM)
        LCM_FAIL(ctx, LCM_ERR_ARG, "concepts of width %lld, 1 … %d are possible", (long long)dim, LCM_STORE_MAX_DIM);
    if (dtype != LCM_DT_F16 && dtype != LCM_DT_F32) LCM_FAIL(ctx, LCM_ERR_ARG, "a store holds F16 or F32");
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->dim = dim;
    s->dtype = dtype;
    st = push_i64(ctx, &s->docs, 0);
    if (st == LCM_OK) st = push_i64(ctx, &s->spans, 0);
    if (st) {
        lcm_shard_free(s);
        return st;
    }
    *out = s;
    return LCM_OK;
}

void lcm_shard_free(lcm_shard *s) {
    if (s == NULL) return;
    lcm_buf_free(&s->vectors);
    lcm_buf_free(&s->docs);
    lcm_buf_free(&s->spans);
    lcm_buf_free(&s->text);
    lcm_buf_free(&s->targets);
    free(s);
}

static lcm_status append_vector(lcm_ctx *ctx, lcm_shard *s, const real *v) {
    size_t esize = lcm_dtype_size(s->dtype), need = s->vectors.len + (size_t)s->dim * esize;
    char *dst;
    LCM_TRY(lcm_grow(ctx, &s->vectors.data, &s->vectors.cap, need, 1));
    dst = s->vectors.data + s->vectors.len;
    for (int64_t k = 0; k < s->dim; k++, dst += esize) {
        float f = (float)v[k];
        uint16_t h = lcm_f32_to_f16(f);
        bool is_half = s->dtype == LCM_DT_F16;
        if (is_half ? (h & 0x7C00) == 0x7C00 : !isfinite(f))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "value %lld of the vector is %g, not finite in %s", (long long)k,
                     (double)v[k], lcm_dtype_name(s->dtype));
        if (is_half) memcpy(dst, &h, sizeof h);
        else memcpy(dst, &f, sizeof f);
    }
    s->vectors.len = need;
    return LCM_OK;
}

lcm_status lcm_shard_add(lcm_ctx *ctx, lcm_shard *s, const real *vector, const char *text, size_t len) {
    LCM_TRY(append_vector(ctx, s, vector));
    LCM_TRY(lcm_buf_append(ctx, &s->text, text, len));
    LCM_TRY(push_i64(ctx, &s->spans, (int64_t)s->text.len));
    s->n_concepts++;
    return LCM_OK;
}

void lcm_shard_set_pairs(lcm_shard *s) { s->pairs = true; }

static void begin_doc(lcm_shard *s) {
    s->doc_first = s->n_concepts;
    s->doc_text = s->text.len;
}

static void forget_doc(lcm_shard *s) {
    s->n_concepts = s->doc_first;
    s->text.len = s->doc_text;
    s->vectors.len = (size_t)(s->n_concepts * s->dim) * lcm_dtype_size(s->dtype);
    s->spans.len = (size_t)(s->n_concepts + 1) * sizeof(int64_t);
}

lcm_status lcm_shard_end_doc(lcm_ctx *ctx, lcm_shard *s, bool *kept) {
    if (s->pairs) LCM_FAIL(ctx, LCM_ERR_ARG, "a document without a source among pairs");
    *kept = s->n_concepts > s->doc_first;
    if (!*kept) return LCM_OK;
    LCM_TRY(push_i64(ctx, &s->docs, s->n_concepts));
    begin_doc(s);
    s->n_docs++;
    return LCM_OK;
}

lcm_status lcm_shard_end_pair(lcm_ctx *ctx, lcm_shard *s, int64_t source, bool *kept) {
    int64_t count = s->n_concepts - s->doc_first;
    if (!s->pairs) LCM_FAIL(ctx, LCM_ERR_ARG, "a pair among documents without a source");
    if (source < 0 || source > count)
        LCM_FAIL(ctx, LCM_ERR_ARG, "source of %lld concepts in a pair of %lld", (long long)source, (long long)count);
    *kept = source > 0 && source < count;
    if (!*kept) {
        forget_doc(s);
        return LCM_OK;
    }
    LCM_TRY(push_i64(ctx, &s->targets, source));
    LCM_TRY(push_i64(ctx, &s->docs, s->n_concepts));
    begin_doc(s);
    s->n_docs++;
    return LCM_OK;
}

static lcm_status add_tensors(lcm_ctx *ctx, lcm_st_writer *w, const lcm_shard *s) {
    int64_t vectors[2] = {s->n_concepts, s->dim}, docs = s->n_docs + 1, spans = s->n_concepts + 1;
    int64_t text = (int64_t)s->text.len;
    LCM_TRY(lcm_st_writer_add(ctx, w, "embeddings", s->dtype, vectors, 2, s->vectors.data));
    LCM_TRY(lcm_st_writer_add(ctx, w, "doc_offsets", LCM_DT_I64, &docs, 1, s->docs.data));
    LCM_TRY(lcm_st_writer_add(ctx, w, "text_offsets", LCM_DT_I64, &spans, 1, s->spans.data));
    if (s->pairs) LCM_TRY(lcm_st_writer_add(ctx, w, "doc_targets", LCM_DT_I64, &s->n_docs, 1, s->targets.data));
    return lcm_st_writer_add(ctx, w, "text", LCM_DT_U8, &text, 1, s->text.data);
}

static lcm_bytes bytes_of(const lcm_buf *b) { return (lcm_bytes){b->data, b->len}; }

static lcm_status add_meta(lcm_ctx *ctx, lcm_st_writer *w, const lcm_shard *s, const char *space,
                           const lcm_store_report *report) {
    json_t *json = lcm_config_write(report, lcm_store_report_fields);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, hash[17], version[16];
    lcm_status st = text ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: report of a shard");
    lcm_shard_hash(hash, bytes_of(&s->vectors), bytes_of(&s->docs), bytes_of(&s->spans), bytes_of(&s->text),
                   bytes_of(&s->targets));
    snprintf(version, sizeof version, "%d", LCM_STORE_VERSION);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.format", version);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.kind", "concept_shard");
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.space", space);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.hash", hash);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.report", text);
    free(text);
    json_decref(json);
    return st;
}

lcm_status lcm_shard_write(lcm_ctx *ctx, lcm_shard *s, const char *dir, int64_t index, const char *space,
                           lcm_store_report *report) {
    char path[LCM_PATH_MAX];
    lcm_st_writer *w;
    lcm_status st;
    if (s->n_concepts != s->doc_first) LCM_FAIL(ctx, LCM_ERR_ARG, "the last document was not ended");
    if (strlen(space) >= LCM_STORE_MAX_SPACE)
        LCM_FAIL(ctx, LCM_ERR_ARG, "name of the space: %zu bytes, at most %d", strlen(space), LCM_STORE_MAX_SPACE - 1);
    report->docs = s->n_docs;
    report->concepts = s->n_concepts;
    report->text_bytes = (int64_t)s->text.len;
    LCM_TRY(lcm_shard_path(ctx, path, dir, index));
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = add_tensors(ctx, w, s);
    if (st == LCM_OK) st = add_meta(ctx, w, s, space, report);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, path);
    lcm_st_writer_free(w);
    return st;
}

/* ---- Checks of one that was read ---- */

int64_t lcm_shard_offset(const lcm_st_tensor *t, int64_t i) {
    int64_t x;
    memcpy(&x, (const char *)t->data + (size_t)i * sizeof x, sizeof x);
    return x;
}

/* Offsets begin with 0, never fall, and end with `total`. */
static lcm_status check_offsets(lcm_ctx *ctx, const lcm_st_tensor *t, int64_t total, const char *what) {
    int64_t n = t->dims[0], last = 0;
    if (lcm_shard_offset(t, 0) != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: %s does not begin with 0", what, t->name);
    for (int64_t i = 1; i < n; i++) {
        int64_t x = lcm_shard_offset(t, i);
        if (x < last)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: %s falls from %" PRId64 " to %" PRId64 " at %" PRId64, what, t->name,
                     last, x, i);
        last = x;
    }
    if (last != total)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: %s ends with %" PRId64 ", not %" PRId64, what, t->name, last, total);
    return LCM_OK;
}

static lcm_status require(lcm_ctx *ctx, const lcm_st_tensor **out, const lcm_shard_view *v, const char *name,
                          lcm_dtype a, lcm_dtype b, int ndim, const char *what) {
    const lcm_st_tensor *t = lcm_st_find(v->st, name);
    if (t == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: no tensor '%s'", what, name);
    if (t->dtype != a && t->dtype != b)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: '%s' is %s", what, name, lcm_dtype_name(t->dtype));
    if (t->ndim != ndim) LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: '%s' has %d dimensions, not %d", what, name, t->ndim, ndim);
    *out = t;
    return LCM_OK;
}

static lcm_status check_targets(lcm_ctx *ctx, lcm_shard_view *v, const char *what) {
    if (lcm_st_find(v->st, "doc_targets") == NULL) return LCM_OK;
    LCM_TRY(require(ctx, &v->targets, v, "doc_targets", LCM_DT_I64, LCM_DT_I64, 1, what));
    if (v->targets->dims[0] != v->n_docs)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: %" PRId64 " documents, but doc_targets [%" PRId64 "]", what, v->n_docs,
                 v->targets->dims[0]);
    for (int64_t i = 0; i < v->n_docs; i++) {
        int64_t source = lcm_shard_offset(v->targets, i);
        int64_t count = lcm_shard_offset(v->docs, i + 1) - lcm_shard_offset(v->docs, i);
        if (source < 1 || source >= count)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: document %" PRId64 " of %" PRId64 " concepts has a source of %" PRId64,
                     what, i, count, source);
    }
    return LCM_OK;
}

static lcm_status view_check(lcm_ctx *ctx, lcm_shard_view *v, const char *what) {
    const char *kind = lcm_st_meta(v->st, "lcm.kind"), *version = lcm_st_meta(v->st, "lcm.format");
    if (kind == NULL || strcmp(kind, "concept_shard") != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: kind '%.40s', not a shard of a concept store", what, kind ? kind : "");
    if (version == NULL || strcmp(version, "1") != 0)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "%s: format version '%.40s', this build reads 1", what, version ? version : "");
    LCM_TRY(require(ctx, &v->vectors, v, "embeddings", LCM_DT_F16, LCM_DT_F32, 2, what));
    LCM_TRY(require(ctx, &v->docs, v, "doc_offsets", LCM_DT_I64, LCM_DT_I64, 1, what));
    LCM_TRY(require(ctx, &v->spans, v, "text_offsets", LCM_DT_I64, LCM_DT_I64, 1, what));
    LCM_TRY(require(ctx, &v->text, v, "text", LCM_DT_U8, LCM_DT_U8, 1, what));
    v->n_concepts = v->vectors->dims[0];
    v->dim = v->vectors->dims[1];
    v->n_docs = v->docs->dims[0] - 1;
    if (v->dim < 1 || v->dim > LCM_STORE_MAX_DIM)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: concepts of width %" PRId64, what, v->dim);
    if (v->n_docs < 0 || v->spans->dims[0] - 1 != v->n_concepts)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: %" PRId64 " concepts, but doc_offsets [%" PRId64 "], text_offsets [%" PRId64 "]",
                 what, v->n_concepts, v->docs->dims[0], v->spans->dims[0]);
    v->space = lcm_st_meta(v->st, "lcm.space");
    v->hash = lcm_st_meta(v->st, "lcm.hash");
    if (v->space == NULL || v->hash == NULL)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: no lcm.space or lcm.hash in the metadata", what);
    LCM_TRY(check_offsets(ctx, v->docs, v->n_concepts, what));
    LCM_TRY(check_offsets(ctx, v->spans, v->text->dims[0], what));
    return check_targets(ctx, v, what);
}

lcm_status lcm_shard_view_make(lcm_ctx *ctx, lcm_shard_view *out, lcm_st *st, const char *what) {
    lcm_status status;
    memset(out, 0, sizeof *out);
    out->st = st;
    status = view_check(ctx, out, what);
    if (status) lcm_shard_view_close(out);
    return status;
}

void lcm_shard_view_close(lcm_shard_view *v) {
    lcm_st_close(v->st);
    memset(v, 0, sizeof *v);
}

lcm_status lcm_shard_view_report(lcm_ctx *ctx, lcm_store_report *out, const lcm_shard_view *v, const char *what) {
    const char *text = lcm_st_meta(v->st, "lcm.report");
    json_t *json;
    lcm_status st;
    if (text == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: no lcm.report in the metadata", what);
    LCM_TRY(lcm_json_parse(ctx, &json, text, strlen(text), what));
    memset(out, 0, sizeof *out);
    st = lcm_config_read(ctx, out, lcm_store_report_fields, json, what);
    json_decref(json);
    if (st == LCM_ERR_ARG) return lcm_fail_within(ctx, LCM_ERR_FORMAT, "lcm.report");
    LCM_TRY(st);
    if (out->docs != v->n_docs || out->concepts != v->n_concepts || out->text_bytes != v->text->dims[0])
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: its report counts %" PRId64 " documents and %" PRId64 " concepts, it has %"
                 PRId64 " and %" PRId64, what, out->docs, out->concepts, v->n_docs, v->n_concepts);
    return LCM_OK;
}
