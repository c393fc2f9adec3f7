/* include/lcm/vectors.h: three formats of one matrix. */
#include "lcm/vectors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/floats.h"
#include "base/config.h"
#include "data/npy.h"
#include "modelfile/safetensors.h"

/* A matrix that grows by rows. */
typedef struct rows {
    float *x;
    size_t cap;
    int64_t n, dim; /* dim 0: not known yet */
} rows;

/* ---- Writing ---- */

static lcm_status safetensors_header(lcm_ctx *ctx, lcm_buf *out, int64_t n, int64_t dim, size_t bytes) {
    lcm_buf json = {0};
    uint64_t len;
    lcm_status st = lcm_buf_printf(ctx, &json, "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[%" PRId64 ",%" PRId64
                                   "],\"data_offsets\":[0,%zu]}}", n, dim, bytes);
    while (st == LCM_OK && json.len % 64 != 56) st = lcm_buf_append(ctx, &json, " ", 1); /* data begins at a multiple of 64 */
    len = json.len;
    if (st == LCM_OK) st = lcm_buf_append(ctx, out, &len, sizeof len);
    if (st == LCM_OK) st = lcm_buf_append(ctx, out, json.data, json.len);
    lcm_buf_free(&json);
    return st;
}

lcm_status lcm_vectors_header(lcm_ctx *ctx, char **out, size_t *len, lcm_vectors_format format, int64_t n, int64_t dim) {
    lcm_buf b = {0};
    size_t bytes;
    lcm_status st = LCM_OK;
    *out = NULL;
    *len = 0;
    if (n < 0 || dim < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "%" PRId64 " vectors of %" PRId64 " numbers", n, dim);
    if (!lcm_mul_size(&bytes, (size_t)n, (size_t)dim) || !lcm_mul_size(&bytes, bytes, sizeof(float)))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%" PRId64 " vectors of %" PRId64 " numbers are too many", n, dim);
    if (format == LCM_VECTORS_NPY) st = lcm_npy_header(ctx, &b, n, dim);
    else if (format == LCM_VECTORS_SAFETENSORS) st = safetensors_header(ctx, &b, n, dim, bytes);
    if (st) {
        lcm_buf_free(&b);
        return st;
    }
    *out = b.data;
    *len = b.len;
    return LCM_OK;
}

/* ---- Reading ---- */

static lcm_status parse_npy(lcm_ctx *ctx, rows *r, const void *bytes, size_t len) {
    lcm_npy a;
    LCM_TRY(lcm_npy_parse(ctx, &a, bytes, len));
    LCM_TRY(lcm_calloc(ctx, &r->x, (size_t)(a.rows * a.cols) + 1, sizeof *r->x));
    for (int64_t i = 0; i < a.rows * a.cols; i++) r->x[i] = lcm_npy_value(&a, i);
    r->n = a.rows;
    r->dim = a.cols;
    return LCM_OK;
}

static bool is_matrix(const lcm_st_tensor *t) {
    return t->ndim == 2 && (t->dtype == LCM_DT_F64 || t->dtype == LCM_DT_F32 || t->dtype == LCM_DT_F16 || t->dtype == LCM_DT_BF16);
}

static lcm_status find_matrix(lcm_ctx *ctx, const lcm_st_tensor **out, const lcm_st *st) {
    int found = 0;
    *out = lcm_st_find(st, "embeddings");
    if (*out && is_matrix(*out)) return LCM_OK;
    for (size_t i = 0; i < lcm_st_count(st); i++)
        if (is_matrix(lcm_st_at(st, i))) {
            *out = lcm_st_at(st, i);
            found++;
        }
    if (found == 1) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "safetensors: no matrix 'embeddings', and %d others, of which one would do", found);
}

static lcm_status copy_matrix(lcm_ctx *ctx, rows *r, const lcm_st_tensor *t) {
    size_t count = (size_t)lcm_st_elements(t);
    real *wide = NULL;
    lcm_status st = lcm_calloc(ctx, &r->x, count + 1, sizeof *r->x);
    if (st == LCM_OK) st = lcm_calloc(ctx, &wide, count + 1, sizeof *wide);
    if (st == LCM_OK) st = lcm_st_read_real(ctx, wide, t, (int64_t)count);
    if (st == LCM_OK) lcm_floats_from_real(r->x, wide, count);
    free(wide);
    r->n = t->dims[0];
    r->dim = t->dims[1];
    return st;
}

static lcm_status parse_safetensors(lcm_ctx *ctx, rows *r, const void *bytes, size_t len) {
    const lcm_st_tensor *t;
    lcm_st *file;
    lcm_status st;
    LCM_TRY(lcm_st_parse(ctx, &file, bytes, len));
    st = find_matrix(ctx, &t, file);
    if (st == LCM_OK) st = copy_matrix(ctx, r, t);
    lcm_st_close(file);
    return st;
}

static lcm_status add_row(lcm_ctx *ctx, rows *r, const json_t *object, const char *where) {
    const json_t *v = json_object_get(object, "vector");
    int64_t dim = (int64_t)json_array_size(v);
    if (!json_is_array(v) || dim == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: an object with an array 'vector' is required", where);
    if (r->dim && dim != r->dim)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "%s: %" PRId64 " numbers, the first line has %" PRId64, where, dim, r->dim);
    r->dim = dim;
    LCM_TRY(lcm_grow(ctx, &r->x, &r->cap, (size_t)((r->n + 1) * dim), sizeof *r->x));
    for (int64_t k = 0; k < dim; k++) {
        const json_t *number = json_array_get(v, (size_t)k);
        if (!json_is_number(number)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: vector[%" PRId64 "] is not a number", where, k);
        r->x[r->n * dim + k] = (float)json_number_value(number);
    }
    r->n++;
    return LCM_OK;
}

static bool is_blank(const char *p, size_t n) {
    while (n && (*p == ' ' || *p == '\t' || *p == '\r')) p++, n--;
    return n == 0;
}

static lcm_status parse_jsonl(lcm_ctx *ctx, rows *r, const char *p, size_t len) {
    const char *end = p + len;
    for (int64_t line = 1; p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        char where[32];
        json_t *object;
        lcm_status st;
        snprintf(where, sizeof where, "line %" PRId64, line);
        if (!is_blank(p, n)) {
            LCM_TRY(lcm_json_parse(ctx, &object, p, n, where));
            st = add_row(ctx, r, object, where);
            json_decref(object);
            LCM_TRY(st);
        }
        p += n + 1;
    }
    return LCM_OK;
}

/* The length that a safetensors file begins with is a text far too long, read as JSON lines. */
static bool is_safetensors(const unsigned char *b, size_t len) {
    uint64_t header;
    if (len < 9 || b[8] != '{') return false;
    memcpy(&header, b, sizeof header);
    return header <= len - 8;
}

lcm_status lcm_vectors_parse(lcm_ctx *ctx, float **out, int64_t *n, int64_t *dim, const void *bytes, size_t len) {
    const char *text = bytes;
    rows r = {0};
    lcm_status st;
    *out = NULL;
    if (lcm_npy_is(bytes, len)) st = parse_npy(ctx, &r, bytes, len);
    else if (is_safetensors(bytes, len)) st = parse_safetensors(ctx, &r, bytes, len);
    else if (len && (*text == '{' || *text == ' ' || *text == '\n')) st = parse_jsonl(ctx, &r, text, len);
    else st = lcm_fail(ctx, LCM_ERR_FORMAT, "neither npy nor safetensors nor JSON lines");
    for (int64_t i = 0; st == LCM_OK && i < r.n * r.dim; i++)
        if (!isfinite(r.x[i]))
            st = lcm_fail(ctx, LCM_ERR_NUMERIC, "vector %" PRId64 ": value %" PRId64 " is not finite", i / r.dim + 1, i % r.dim);
    if (st) {
        free(r.x);
        return st;
    }
    *out = r.x;
    *n = r.n;
    *dim = r.dim;
    return LCM_OK;
}
