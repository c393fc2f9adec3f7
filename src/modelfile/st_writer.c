/* Safetensors writer: a header from the sorted list of tensors, then their bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/half.h"
#include "modelfile/safetensors.h"

typedef struct entry {
    char *name;
    lcm_dtype dtype;
    bool from_real;
    int ndim;
    int64_t dims[LCM_ST_MAX_RANK];
    const void *data;
    lcm_st_fill fill; /* or NULL */
    void *user;
    size_t count, nbytes;
} entry;

struct lcm_st_writer {
    entry *entries;
    size_t n, cap;
    json_t *meta;
};

lcm_status lcm_st_writer_new(lcm_ctx *ctx, lcm_st_writer **out) {
    lcm_st_writer *w;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->meta = json_object();
    if (w->meta == NULL) {
        free(w);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory");
    }
    *out = w;
    return LCM_OK;
}

void lcm_st_writer_free(lcm_st_writer *w) {
    if (w == NULL) return;
    for (size_t i = 0; i < w->n; i++) free(w->entries[i].name);
    free(w->entries);
    json_decref(w->meta);
    free(w);
}

lcm_status lcm_st_writer_meta(lcm_ctx *ctx, lcm_st_writer *w, const char *key, const char *value) {
    size_t nk = strlen(key), nv = strlen(value);
    if (lcm_utf8_valid_prefix(key, nk) != nk || lcm_utf8_valid_prefix(value, nv) != nv)
        LCM_FAIL(ctx, LCM_ERR_UTF8, "metadata '%.80s' is not valid UTF-8", key);
    if (json_object_set_new(w->meta, key, json_string(value)) != 0)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: metadata '%.80s'", key);
    return LCM_OK;
}

static lcm_status add(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype, const int64_t *dims, int ndim,
                      const void *data, bool from_real) {
    size_t len = strlen(name);
    entry e = {.dtype = dtype, .from_real = from_real, .ndim = ndim, .data = data, .count = 1};
    if (len > LCM_ST_MAX_NAME || strcmp(name, "__metadata__") == 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tensor name '%.80s' is reserved or longer than %d bytes", name, LCM_ST_MAX_NAME);
    if (lcm_utf8_valid_prefix(name, len) != len) LCM_FAIL(ctx, LCM_ERR_ARG, "a tensor name is not valid UTF-8");
    if (ndim < 0 || ndim > LCM_ST_MAX_RANK)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tensor '%.80s': rank %d is outside 0 … %d", name, ndim, LCM_ST_MAX_RANK);
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "tensor '%.80s': dim %d is negative", name, i);
        if (!lcm_mul_size(&e.count, e.count, (size_t)dims[i]))
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "tensor '%.80s': the size of its shape overflows", name);
        e.dims[i] = dims[i];
    }
    if (!lcm_mul_size(&e.nbytes, e.count, lcm_dtype_size(dtype)))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tensor '%.80s': the size of its shape overflows", name);
    LCM_TRY(lcm_grow(ctx, &w->entries, &w->cap, w->n + 1, sizeof *w->entries));
    e.name = lcm_strdup(name);
    if (e.name == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: tensor '%.80s'", name);
    w->entries[w->n++] = e;
    return LCM_OK;
}

lcm_status lcm_st_writer_add(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype, const int64_t *dims,
                             int ndim, const void *data) {
    return add(ctx, w, name, dtype, dims, ndim, data, false);
}

lcm_status lcm_st_writer_add_real(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype,
                                  const int64_t *dims, int ndim, const real *data) {
    if (dtype > LCM_DT_BF16)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tensor '%.80s': reals cannot be stored as %s", name, lcm_dtype_name(dtype));
    return add(ctx, w, name, dtype, dims, ndim, data, dtype != LCM_DT_REAL);
}

lcm_status lcm_st_writer_add_stream(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype,
                                    const int64_t *dims, int ndim, lcm_st_fill fill, void *user) {
    LCM_TRY(lcm_st_writer_add_real(ctx, w, name, dtype, dims, ndim, NULL));
    w->entries[w->n - 1].fill = fill;
    w->entries[w->n - 1].user = user;
    return LCM_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static int by_size_then_name(const void *a, const void *b) {
    const entry *x = a, *y = b;
    size_t p = lcm_dtype_size(x->dtype), q = lcm_dtype_size(y->dtype);
    if (p != q) return p > q ? -1 : 1;
    return strcmp(x->name, y->name);
}

static lcm_status sort_entries(lcm_ctx *ctx, lcm_st_writer *w) {
    if (w->n == 0) return LCM_OK;
    qsort(w->entries, w->n, sizeof *w->entries, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (strcmp(w->entries[i - 1].name, w->entries[i].name) == 0)
            LCM_FAIL(ctx, LCM_ERR_ARG, "tensor name '%.80s' is given twice", w->entries[i].name);
    qsort(w->entries, w->n, sizeof *w->entries, by_size_then_name);
    return LCM_OK;
}

static lcm_status append_json(lcm_ctx *ctx, lcm_buf *b, json_t *v) {
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    lcm_status st;
    if (text == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: safetensors header");
    st = lcm_buf_append(ctx, b, text, strlen(text));
    free(text);
    return st;
}

static lcm_status append_entry(lcm_ctx *ctx, lcm_buf *b, const entry *e, size_t begin) {
    json_t *name = json_string(e->name);
    lcm_status st = append_json(ctx, b, name);
    json_decref(name);
    LCM_TRY(st);
    LCM_TRY(lcm_buf_printf(ctx, b, ":{\"dtype\":\"%s\",\"shape\":[", lcm_dtype_name(e->dtype)));
    for (int i = 0; i < e->ndim; i++) LCM_TRY(lcm_buf_printf(ctx, b, "%s%lld", i ? "," : "", (long long)e->dims[i]));
    return lcm_buf_printf(ctx, b, "],\"data_offsets\":[%zu,%zu]}", begin, begin + e->nbytes);
}

/* Header with its 8 length bytes, padded so that the data starts at a multiple of 64. */
static lcm_status make_header(lcm_ctx *ctx, lcm_buf *b, lcm_st_writer *w) {
    size_t at = 0, end;
    bool comma = json_object_size(w->meta) > 0;
    LCM_TRY(sort_entries(ctx, w));
    LCM_TRY(lcm_buf_append(ctx, b, "        {", 9));
    if (comma) {
        LCM_TRY(lcm_buf_printf(ctx, b, "\"__metadata__\":"));
        LCM_TRY(append_json(ctx, b, w->meta));
        if (b->len > LCM_ST_MAX_META)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "metadata of %zu bytes, limit is %d", b->len, LCM_ST_MAX_META);
    }
    for (size_t i = 0; i < w->n; i++, comma = true) {
        const entry *e = &w->entries[i];
        if (!lcm_add_size(&end, at, e->nbytes)) LCM_FAIL(ctx, LCM_ERR_LIMIT, "the total size of the tensors overflows");
        if (comma) LCM_TRY(lcm_buf_append(ctx, b, ",", 1));
        LCM_TRY(append_entry(ctx, b, e, at));
        at = end;
    }
    LCM_TRY(lcm_buf_append(ctx, b, "}", 1));
    while (b->len % 64 != 0) LCM_TRY(lcm_buf_append(ctx, b, " ", 1));
    if (b->len - 8 > LCM_ST_MAX_HEADER)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "header of %zu bytes, limit is %d", b->len - 8, LCM_ST_MAX_HEADER);
    for (int i = 0; i < 8; i++) b->data[i] = (char)((uint64_t)(b->len - 8) >> (8 * i));
    return LCM_OK;
}

static void convert(void *dst, lcm_dtype dtype, const real *src, size_t n) {
    switch (dtype) {
    case LCM_DT_F64:
        for (size_t i = 0; i < n; i++) ((double *)dst)[i] = (double)src[i];
        break;
    case LCM_DT_F32:
        for (size_t i = 0; i < n; i++) ((float *)dst)[i] = (float)src[i];
        break;
    case LCM_DT_F16:
        for (size_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = lcm_f32_to_f16((float)src[i]);
        break;
    default:
        LCM_ASSERT(dtype == LCM_DT_BF16);
        for (size_t i = 0; i < n; i++) ((uint16_t *)dst)[i] = lcm_f32_to_bf16((float)src[i]);
    }
}

static lcm_status emit_entry(lcm_ctx *ctx, const entry *e, lcm_st_sink sink, void *user) {
    double block[2048];
    real filled[2048];
    const size_t step = sizeof block / sizeof *block;
    if (e->nbytes == 0) return LCM_OK;
    if (!e->from_real && e->fill == NULL) return sink(ctx, user, e->data, e->nbytes);
    for (size_t i = 0; i < e->count; i += step) {
        size_t n = e->count - i < step ? e->count - i : step;
        if (e->fill) LCM_TRY(e->fill(ctx, e->user, filled, (int64_t)i, (int64_t)n));
        convert(block, e->dtype, e->fill ? filled : (const real *)e->data + i, n);
        LCM_TRY(sink(ctx, user, block, n * lcm_dtype_size(e->dtype)));
    }
    return LCM_OK;
}

lcm_status lcm_st_writer_emit(lcm_ctx *ctx, lcm_st_writer *w, lcm_st_sink sink, void *user) {
    lcm_buf header = {0};
    lcm_status st = make_header(ctx, &header, w);
    if (st == LCM_OK) st = sink(ctx, user, header.data, header.len);
    lcm_buf_free(&header);
    for (size_t i = 0; st == LCM_OK && i < w->n; i++) st = emit_entry(ctx, &w->entries[i], sink, user);
    return st;
}

static lcm_status to_file(lcm_ctx *ctx, void *user, const void *data, size_t len) {
    return lcm_writer_put(ctx, user, data, len);
}

lcm_status lcm_st_writer_commit(lcm_ctx *ctx, lcm_st_writer *w, const char *path) {
    lcm_writer *file;
    lcm_status st;
    LCM_TRY(lcm_writer_open(ctx, &file, path));
    st = lcm_st_writer_emit(ctx, w, to_file, file);
    if (st) {
        lcm_writer_abort(file);
        return st;
    }
    return lcm_writer_commit(ctx, file);
}

static lcm_status to_buf(lcm_ctx *ctx, void *user, const void *data, size_t len) {
    return lcm_buf_append(ctx, user, data, len);
}

lcm_status lcm_st_writer_commit_buf(lcm_ctx *ctx, lcm_st_writer *w, lcm_buf *out) {
    return lcm_st_writer_emit(ctx, w, to_buf, out);
}
