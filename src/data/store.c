/* Concept store: manifest and reader. */
#include "data/store.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/store_int.h"

const lcm_field lcm_shard_entry_fields[] = {
    LCM_F_STRING(lcm_shard_entry, file, NULL),
    LCM_F_STRING(lcm_shard_entry, hash, NULL),
    LCM_F_INT(lcm_shard_entry, docs, 0, 9e15, NULL),
    LCM_F_INT(lcm_shard_entry, concepts, 0, 9e15, NULL),
    LCM_F_INT(lcm_shard_entry, text_bytes, 0, 9e15, NULL),
    LCM_F_INT(lcm_shard_entry, bytes, 0, 9e15, NULL),
    LCM_F_END,
};

const lcm_field lcm_store_manifest_fields[] = {
    LCM_F_STRING(lcm_store_manifest, format, NULL),
    LCM_F_INT(lcm_store_manifest, version, 1, 1e9, NULL),
    LCM_F_INT(lcm_store_manifest, dim, 1, LCM_STORE_MAX_DIM, NULL),
    LCM_F_STRING(lcm_store_manifest, dtype, NULL),
    LCM_F_STRING(lcm_store_manifest, space, NULL),
    LCM_F_BOOL(lcm_store_manifest, pairs, NULL),
    LCM_F_END,
};

typedef struct shard {
    lcm_shard_view view;
    int64_t first_doc, first_concept;
} shard;

struct lcm_store {
    char *dir;
    lcm_store_manifest manifest;
    lcm_store_report report;
    shard *shards;
    size_t n_shards;
    int64_t n_docs, n_concepts;
};

static const char *file_name(const char *path) { return strrchr(path, '/') + 1; }

static lcm_status open_shard(lcm_ctx *ctx, lcm_shard_view *v, const char *path, int64_t *bytes) {
    struct stat sb;
    lcm_st *st;
    LCM_TRY(lcm_st_open(ctx, &st, path));
    LCM_TRY(lcm_shard_view_make(ctx, v, st, file_name(path)));
    *bytes = stat(path, &sb) == 0 ? sb.st_size : -1;
    return LCM_OK;
}

/* ---- Finishing ---- */

/* Fills the manifest from the first shard, compares the others with it. */
static lcm_status same_kind(lcm_ctx *ctx, lcm_store_manifest *m, const lcm_shard_view *v, const char *what) {
    const char *dtype = lcm_dtype_name(v->vectors->dtype);
    if (m->dim == 0) {
        m->dim = v->dim;
        snprintf(m->dtype, sizeof m->dtype, "%s", dtype);
        if (strlen(v->space) >= sizeof m->space)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: name of the space: %zu bytes, at most %zu", what, strlen(v->space),
                     sizeof m->space - 1);
        memcpy(m->space, v->space, strlen(v->space) + 1);
        m->pairs = v->targets != NULL;
    }
    if (m->pairs != (v->targets != NULL))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: documents are %s, those of the store %s", what,
                 v->targets ? "pairs" : "no pairs", m->pairs ? "are" : "are not");
    if (v->dim != m->dim || strcmp(dtype, m->dtype) != 0)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: %s of width %" PRId64 ", the store has %s of width %" PRId64, what, dtype, v->dim,
                 m->dtype, m->dim);
    if (strcmp(v->space, m->space) != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: space '%.60s', the store has '%.60s'", what, v->space, m->space);
    return LCM_OK;
}

static lcm_status add_entry(lcm_ctx *ctx, json_t *list, lcm_store_manifest *m, lcm_store_report *sum, const char *dir,
                            int64_t index) {
    lcm_shard_entry e = {{0}, {0}, 0, 0, 0, 0};
    lcm_store_report part;
    lcm_shard_view v;
    char path[LCM_PATH_MAX];
    lcm_status st;
    LCM_TRY(lcm_shard_path(ctx, path, dir, index));
    LCM_TRY(open_shard(ctx, &v, path, &e.bytes));
    st = same_kind(ctx, m, &v, file_name(path));
    if (st == LCM_OK) st = lcm_shard_view_report(ctx, &part, &v, file_name(path));
    if (st == LCM_OK) {
        lcm_store_report_add(sum, &part);
        snprintf(e.file, sizeof e.file, "%s", file_name(path));
        snprintf(e.hash, sizeof e.hash, "%s", v.hash);
        e.docs = v.n_docs;
        e.concepts = v.n_concepts;
        e.text_bytes = v.text->dims[0];
        if (json_array_append_new(list, lcm_config_write(&e, lcm_shard_entry_fields)) != 0)
            st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    }
    lcm_shard_view_close(&v);
    return st;
}

static lcm_status write_manifest(lcm_ctx *ctx, const char *dir, const lcm_store_manifest *m,
                                 const lcm_store_report *sum, const json_t *origin, json_t *shards) {
    json_t *root = lcm_config_write(m, lcm_store_manifest_fields);
    char path[LCM_PATH_MAX], *text = NULL;
    bool ok = root != NULL;
    lcm_status st = lcm_path_join(ctx, path, sizeof path, dir, "manifest.json");
    ok = ok && json_object_set_new(root, "report", lcm_config_write(sum, lcm_store_report_fields)) == 0;
    ok = ok && (origin == NULL || json_object_set_new(root, "origin", json_deep_copy(origin)) == 0);
    ok = ok && json_object_set(root, "shards", shards) == 0;
    text = ok ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (st == LCM_OK && text == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    if (st == LCM_OK) st = lcm_write_file(ctx, path, text, strlen(text));
    free(text);
    json_decref(root);
    return st;
}

lcm_status lcm_store_finish(lcm_ctx *ctx, const char *dir, int64_t n_shards, const json_t *origin) {
    lcm_store_manifest m = {LCM_STORE_FORMAT, LCM_STORE_VERSION, 0, {0}, {0}, false};
    lcm_store_report sum = {0};
    json_t *shards = json_array();
    lcm_status st = shards ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    if (st == LCM_OK && n_shards < 1) st = lcm_fail(ctx, LCM_ERR_ARG, "a store of %lld shards", (long long)n_shards);
    for (int64_t i = 0; i < n_shards && st == LCM_OK; i++) st = add_entry(ctx, shards, &m, &sum, dir, i);
    if (st == LCM_OK) st = write_manifest(ctx, dir, &m, &sum, origin, shards);
    json_decref(shards);
    return st;
}

/* ---- Opening ---- */

static lcm_status read_head(lcm_ctx *ctx, lcm_store *s, json_t *root, const char *what) {
    const json_t *version = json_object_get(root, "version"), *report = json_object_get(root, "report");
    const char *format = json_string_value(json_object_get(root, "format"));
    lcm_status st;
    if (format == NULL || strcmp(format, LCM_STORE_FORMAT) != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: not the manifest of a concept store", what);
    if (json_is_integer(version) && json_integer_value(version) > LCM_STORE_VERSION)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "%s: version %lld, this build reads %d", what,
                 (long long)json_integer_value(version), LCM_STORE_VERSION);
    if (report == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: no report", what);
    LCM_TRY(lcm_config_read(ctx, &s->report, lcm_store_report_fields, report, "manifest.report"));
    json_object_del(root, "report");
    json_object_del(root, "origin");
    st = lcm_config_read(ctx, &s->manifest, lcm_store_manifest_fields, root, "manifest");
    if (st == LCM_OK && s->manifest.dim == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: no dim", what);
    return st;
}

static lcm_status read_shard(lcm_ctx *ctx, lcm_store *s, lcm_store_report *sum, const json_t *json) {
    int64_t index = (int64_t)s->n_shards, bytes;
    char path[LCM_PATH_MAX];
    const char *name;
    lcm_shard_entry e = {{0}, {0}, -1, -1, -1, -1};
    lcm_store_report part;
    shard *sh = &s->shards[index];
    LCM_TRY(lcm_shard_path(ctx, path, s->dir, index));
    name = file_name(path);
    LCM_TRY(lcm_config_read(ctx, &e, lcm_shard_entry_fields, json, "manifest.shards"));
    /* the manifest may not name a file elsewhere */
    if (strcmp(e.file, name) != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "manifest: shard %lld is '%s', not '%s'", (long long)index, e.file, name);
    LCM_TRY(open_shard(ctx, &sh->view, path, &bytes));
    s->n_shards++; /* from here on lcm_store_close closes it */
    LCM_TRY(same_kind(ctx, &s->manifest, &sh->view, name));
    LCM_TRY(lcm_shard_view_report(ctx, &part, &sh->view, name));
    lcm_store_report_add(sum, &part);
    if (e.docs != sh->view.n_docs || e.concepts != sh->view.n_concepts || e.text_bytes != sh->view.text->dims[0] ||
        e.bytes != bytes || strcmp(e.hash, sh->view.hash) != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: not the file that the manifest describes (documents, concepts, text, size or hash)",
                 name);
    sh->first_doc = s->n_docs;
    sh->first_concept = s->n_concepts;
    s->n_docs += e.docs;
    s->n_concepts += e.concepts;
    return LCM_OK;
}

static lcm_status read_store(lcm_ctx *ctx, lcm_store *s, json_t *root, const char *what) {
    json_t *shards = json_incref(json_object_get(root, "shards"));
    size_t n = json_array_size(shards); /* 0 when it is no array */
    lcm_store_report sum = {0};
    lcm_status st = n ? LCM_OK : lcm_fail(ctx, LCM_ERR_FORMAT, "%s: no list of shards", what);
    json_object_del(root, "shards");
    if (st == LCM_OK) st = read_head(ctx, s, root, what);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s->shards, n, sizeof *s->shards);
    for (size_t i = 0; i < n && st == LCM_OK; i++) st = read_shard(ctx, s, &sum, json_array_get(shards, i));
    json_decref(shards);
    if (st == LCM_OK && memcmp(&sum, &s->report, sizeof sum) != 0)
        st = lcm_fail(ctx, LCM_ERR_FORMAT, "%s: the report is not the sum of the shards' reports", what);
    return st == LCM_ERR_ARG ? LCM_ERR_FORMAT : st; /* a bad manifest is a bad file, not a bad argument */
}

lcm_status lcm_store_open(lcm_ctx *ctx, lcm_store **out, const char *dir) {
    char path[LCM_PATH_MAX];
    lcm_store *s = NULL;
    json_t *root = NULL;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "manifest.json"));
    if (lcm_is_dir(dir) && !lcm_exists(path))
        LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s' has no manifest.json: no concept store, or its preparation is unfinished", dir);
    LCM_TRY(lcm_json_load(ctx, &root, path));
    st = lcm_calloc(ctx, &s, 1, sizeof *s);
    if (st == LCM_OK) {
        s->dir = lcm_strdup(dir);
        st = s->dir ? read_store(ctx, s, root, path) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: path");
    }
    json_decref(root);
    if (st) lcm_store_close(s);
    else *out = s;
    return st;
}

void lcm_store_close(lcm_store *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->n_shards; i++) lcm_shard_view_close(&s->shards[i].view);
    free(s->shards);
    free(s->dir);
    free(s);
}

/* ---- Access ---- */

int64_t lcm_store_n_docs(const lcm_store *s) { return s->n_docs; }
int64_t lcm_store_n_concepts(const lcm_store *s) { return s->n_concepts; }
int64_t lcm_store_dim(const lcm_store *s) { return s->manifest.dim; }
lcm_dtype lcm_store_dtype(const lcm_store *s) { return s->shards[0].view.vectors->dtype; }
const char *lcm_store_space(const lcm_store *s) { return s->manifest.space; }
const char *lcm_store_dir(const lcm_store *s) { return s->dir; }

uint64_t lcm_store_hash(const lcm_store *s) {
    uint64_t h = LCM_HASH_INIT;
    for (size_t k = 0; k < s->n_shards; k++) h = lcm_hash64(h, s->shards[k].view.hash, strlen(s->shards[k].view.hash));
    return h;
}

const lcm_store_report *lcm_store_get_report(const lcm_store *s) { return &s->report; }

/* Last shard that begins at or before the index: the one that holds it, since an empty shard's
 * successor begins at the same place. */
static const shard *shard_of(const lcm_store *s, int64_t i, bool by_doc) {
    size_t lo = 0, hi = s->n_shards;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if ((by_doc ? s->shards[mid].first_doc : s->shards[mid].first_concept) <= i) lo = mid;
        else hi = mid;
    }
    return &s->shards[lo];
}

lcm_status lcm_store_doc(lcm_ctx *ctx, int64_t *first, int64_t *count, const lcm_store *s, int64_t i) {
    const shard *sh;
    int64_t begin, end;
    if (i < 0 || i >= s->n_docs)
        LCM_FAIL(ctx, LCM_ERR_ARG, "document %" PRId64 ", the store has %" PRId64, i, s->n_docs);
    sh = shard_of(s, i, true);
    begin = lcm_shard_offset(sh->view.docs, i - sh->first_doc);
    end = lcm_shard_offset(sh->view.docs, i - sh->first_doc + 1);
    *first = sh->first_concept + begin;
    *count = end - begin;
    return LCM_OK;
}

void lcm_store_doc_counts(int64_t *counts, const lcm_store *s) {
    for (size_t k = 0; k < s->n_shards; k++) {
        const lcm_shard_view *v = &s->shards[k].view;
        for (int64_t i = 0; i < v->n_docs; i++)
            *counts++ = lcm_shard_offset(v->docs, i + 1) - lcm_shard_offset(v->docs, i);
    }
}

bool lcm_store_has_targets(const lcm_store *s) { return s->manifest.pairs; }

void lcm_store_targets(int64_t *targets, const lcm_store *s) {
    for (size_t k = 0; k < s->n_shards; k++) {
        const lcm_shard_view *v = &s->shards[k].view;
        for (int64_t i = 0; i < v->n_docs; i++) *targets++ = v->targets ? lcm_shard_offset(v->targets, i) : 0;
    }
}

/* Rows of one shard. */
static lcm_status read_rows(lcm_ctx *ctx, real *dst, const lcm_shard_view *v, int64_t first, int64_t count) {
    lcm_st_tensor part = *v->vectors;
    size_t row = (size_t)v->dim * lcm_dtype_size(part.dtype);
    part.data = (const char *)part.data + (size_t)first * row;
    part.dims[0] = count;
    part.nbytes = (size_t)count * row;
    return lcm_st_read_real(ctx, dst, &part, count * v->dim);
}

lcm_status lcm_store_vectors(lcm_ctx *ctx, real *dst, const lcm_store *s, int64_t first, int64_t count) {
    if (first < 0 || count < 0 || first > s->n_concepts || count > s->n_concepts - first)
        LCM_FAIL(ctx, LCM_ERR_ARG, "%" PRId64 " concepts from %" PRId64 ", the store has %" PRId64, count, first,
                 s->n_concepts);
    while (count > 0) {
        const shard *sh = shard_of(s, first, false);
        int64_t at = first - sh->first_concept, left = sh->view.n_concepts - at, n = left < count ? left : count;
        LCM_TRY(read_rows(ctx, dst, &sh->view, at, n));
        dst += n * s->manifest.dim;
        first += n;
        count -= n;
    }
    return LCM_OK;
}

lcm_status lcm_store_text(lcm_ctx *ctx, const char **text, size_t *len, const lcm_store *s, int64_t i) {
    const shard *sh;
    const char *p;
    size_t begin, n;
    if (i < 0 || i >= s->n_concepts)
        LCM_FAIL(ctx, LCM_ERR_ARG, "concept %" PRId64 ", the store has %" PRId64, i, s->n_concepts);
    sh = shard_of(s, i, false);
    begin = (size_t)lcm_shard_offset(sh->view.spans, i - sh->first_concept);
    n = (size_t)lcm_shard_offset(sh->view.spans, i - sh->first_concept + 1) - begin;
    p = (const char *)sh->view.text->data + begin;
    if (lcm_utf8_valid_prefix(p, n) != n) LCM_FAIL(ctx, LCM_ERR_UTF8, "concept %" PRId64 ": text is not UTF-8", i);
    *text = p;
    *len = n;
    return LCM_OK;
}

/* ---- Verification ---- */

static lcm_status verify_row(lcm_ctx *ctx, const lcm_store *s, const real *row, int64_t doc, int64_t sentence) {
    for (int64_t k = 0; k < s->manifest.dim; k++)
        if (!isfinite(row[k]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "document %" PRId64 ", sentence %" PRId64 ": value %" PRId64 " of the vector is %g",
                     doc, sentence, k, (double)row[k]);
    return LCM_OK;
}

static lcm_status verify_rows(lcm_ctx *ctx, const lcm_store *s, real *row) {
    for (int64_t doc = 0; doc < s->n_docs; doc++) {
        int64_t first, count;
        LCM_TRY(lcm_store_doc(ctx, &first, &count, s, doc));
        for (int64_t i = 0; i < count; i++) {
            const char *text;
            size_t len;
            LCM_TRY(lcm_store_vectors(ctx, row, s, first + i, 1));
            LCM_TRY(verify_row(ctx, s, row, doc, i));
            LCM_TRY(lcm_store_text(ctx, &text, &len, s, first + i));
        }
    }
    return LCM_OK;
}

static lcm_bytes bytes_of(const lcm_st_tensor *t) { return t ? (lcm_bytes){t->data, t->nbytes} : (lcm_bytes){NULL, 0}; }

lcm_status lcm_store_verify(lcm_ctx *ctx, const lcm_store *s) {
    real *row;
    lcm_status st;
    for (size_t k = 0; k < s->n_shards; k++) {
        const lcm_shard_view *v = &s->shards[k].view;
        char hash[17];
        lcm_shard_hash(hash, bytes_of(v->vectors), bytes_of(v->docs), bytes_of(v->spans), bytes_of(v->text),
                       bytes_of(v->targets));
        if (strcmp(hash, v->hash) != 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "shard %zu: hash is %s, its maker wrote %.16s: the file is damaged", k, hash, v->hash);
    }
    LCM_TRY(lcm_calloc(ctx, &row, (size_t)s->manifest.dim, sizeof *row));
    st = verify_rows(ctx, s, row);
    free(row);
    return st;
}
