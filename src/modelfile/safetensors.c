/* Safetensors reader. Everything in the header is hostile until checked here. */
#include "modelfile/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/half.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian; a big-endian build needs byte swaps in this file"
#endif

struct lcm_st {
    lcm_map map; /* empty for lcm_st_parse */
    lcm_st_tensor *tensors;
    size_t n, cap;
    const lcm_st_tensor **by_name;
    lcm_arena *names;
    json_t *meta; /* NULL when the file has none */
    const char **meta_keys;
    size_t n_meta;
};

static const struct {
    const char *name;
    size_t size;
} dtypes[LCM_DT_COUNT] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2},
                          {"I8", 1},  {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}};

size_t lcm_dtype_size(lcm_dtype t) { return dtypes[t].size; }

const char *lcm_dtype_name(lcm_dtype t) { return dtypes[t].name; }

static lcm_status parse_shape(lcm_ctx *ctx, lcm_st_tensor *t, const json_t *shape, size_t range) {
    size_t bytes = 1; /* dims first, then the element size, as the reference crate: [2^62, 0] is fine */
    if (!json_is_array(shape)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': no array 'shape'", t->name);
    if (json_array_size(shape) > LCM_ST_MAX_RANK)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': rank %zu, limit is %d", t->name, json_array_size(shape),
                 LCM_ST_MAX_RANK);
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *v = json_array_get(shape, (size_t)i);
        int64_t d = json_is_integer(v) ? json_integer_value(v) : -1;
        if (d < 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': dim %d is not a natural number", t->name, i);
        if (!lcm_mul_size(&bytes, bytes, (size_t)d))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': the size of its shape overflows", t->name);
        t->dims[i] = d;
    }
    if (!lcm_mul_size(&bytes, bytes, lcm_dtype_size(t->dtype)))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': the size of its shape overflows", t->name);
    if (bytes != range)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': shape needs %zu bytes, data_offsets span %zu", t->name, bytes,
                 range);
    t->nbytes = bytes;
    return LCM_OK;
}

static lcm_status parse_tensor(lcm_ctx *ctx, lcm_st_tensor *t, const json_t *v, const uint8_t *data, size_t size) {
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    const json_t *offsets = json_object_get(v, "data_offsets");
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    int64_t begin, end;
    int k = 0;
    if (dtype == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': no string 'dtype'", t->name);
    while (k < LCM_DT_COUNT && strcmp(dtype, dtypes[k].name) != 0) k++;
    if (k == LCM_DT_COUNT) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': unknown dtype '%.20s'", t->name, dtype);
    t->dtype = (lcm_dtype)k;
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': 'data_offsets' is not a pair of integers", t->name);
    begin = json_integer_value(b);
    end = json_integer_value(e);
    if (begin < 0 || end < begin || (uint64_t)end > size)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': data_offsets [%lld, %lld] in %zu bytes of data", t->name,
                 (long long)begin, (long long)end, size);
    t->data = data + begin;
    return parse_shape(ctx, t, json_object_get(v, "shape"), (size_t)(end - begin));
}

static lcm_status parse_meta(lcm_ctx *ctx, lcm_st *st, json_t *v) {
    const char *key;
    json_t *value;
    if (!json_is_object(v)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "__metadata__ is not an object");
    if (st->meta) LCM_FAIL(ctx, LCM_ERR_FORMAT, "__metadata__ appears twice");
    st->meta = json_incref(v);
    LCM_TRY(lcm_calloc(ctx, &st->meta_keys, json_object_size(v) + 1, sizeof *st->meta_keys));
    json_object_foreach(v, key, value) {
        if (!json_is_string(value)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "__metadata__ '%.80s' is not a string", key);
        st->meta_keys[st->n_meta++] = key;
    }
    return LCM_OK;
}

static lcm_status parse_member(lcm_ctx *ctx, lcm_st *st, json_t *obj, size_t len, const uint8_t *data, size_t size) {
    const char *key = json_object_iter_key(json_object_iter(obj));
    json_t *v = json_object_iter_value(json_object_iter(obj));
    size_t n = key ? strlen(key) : 0;
    lcm_st_tensor *t;
    char *name;
    if (key == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "header: an empty member (stray comma)");
    if (strcmp(key, "__metadata__") == 0) return parse_meta(ctx, st, v);
    if (n > LCM_ST_MAX_NAME)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor name of %zu bytes, limit is %d", n, LCM_ST_MAX_NAME);
    if (len > LCM_ST_MAX_ENTRY)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': header entry of %zu bytes, limit is %d", key, len,
                 LCM_ST_MAX_ENTRY);
    LCM_TRY(lcm_grow(ctx, &st->tensors, &st->cap, st->n + 1, sizeof *st->tensors));
    name = lcm_arena_alloc(st->names, n + 1);
    if (name == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu tensor names", st->n);
    memcpy(name, key, n + 1);
    t = &st->tensors[st->n];
    memset(t, 0, sizeof *t);
    t->name = name;
    LCM_TRY(parse_tensor(ctx, t, v, data, size));
    st->n++;
    return LCM_OK;
}

/* Index of the ',' '}' or ']' that ends the object member starting at s[i]; n when there is none. */
static size_t member_end(const char *s, size_t i, size_t n) {
    size_t depth = 0;
    bool in_string = false;
    for (; i < n; i++) {
        char c = s[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
        } else if (c == '"') in_string = true;
        else if (c == '{' || c == '[') depth++;
        else if (c == ',' && depth == 0) return i;
        else if (c == '}' || c == ']') {
            if (depth == 0) return i;
            depth--;
        }
    }
    return n;
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r') return false;
    return true;
}

/* Members go through the JSON parser one by one: a tree of the whole header would need some 30
 * times its size. What a member alone cannot show (a name given twice) is checked by index_names. */
static lcm_status parse_header(lcm_ctx *ctx, lcm_st *st, const char *h, size_t n, size_t size) {
    lcm_buf one = {0};
    lcm_status status = LCM_OK;
    size_t i = 1, end = 0;
    bool last = false;
    if (n == 0 || h[0] != '{') LCM_FAIL(ctx, LCM_ERR_FORMAT, "header does not start with '{'");
    for (; status == LCM_OK && !last; i = end + 1) {
        json_t *obj = NULL;
        end = member_end(h, i, n);
        if (end == n || h[end] == ']') {
            status = lcm_fail(ctx, LCM_ERR_FORMAT, "header is not one JSON object");
            break;
        }
        last = h[end] == '}';
        if (last && i == 1 && is_blank(h + 1, end - 1)) continue; /* {} */
        if (end - i > LCM_ST_MAX_META) {
            status = lcm_fail(ctx, LCM_ERR_FORMAT, "header member of %zu bytes, limit is %d", end - i, LCM_ST_MAX_META);
            break;
        }
        one.len = 0;
        status = lcm_buf_append(ctx, &one, "{", 1);
        if (status == LCM_OK) status = lcm_buf_append(ctx, &one, h + i, end - i);
        if (status == LCM_OK) status = lcm_buf_append(ctx, &one, "}", 1);
        if (status == LCM_OK) status = lcm_json_parse(ctx, &obj, one.data, one.len, "header");
        if (status == LCM_OK) status = parse_member(ctx, st, obj, end - i, (const uint8_t *)h + n, size);
        json_decref(obj);
    }
    lcm_buf_free(&one);
    if (status == LCM_OK && !is_blank(h + i, n - i))
        status = lcm_fail(ctx, LCM_ERR_FORMAT, "header goes on after its JSON object");
    return status;
}

static int by_offset(const void *a, const void *b) {
    const lcm_st_tensor *x = a, *y = b;
    const uint8_t *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    if (x->nbytes != y->nbytes) return x->nbytes < y->nbytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static lcm_status check_tiling(lcm_ctx *ctx, lcm_st *st, const uint8_t *data, size_t size) {
    const uint8_t *at = data;
    if (st->n) qsort(st->tensors, st->n, sizeof *st->tensors, by_offset);
    for (size_t i = 0; i < st->n; i++) {
        const lcm_st_tensor *t = &st->tensors[i];
        if ((const uint8_t *)t->data != at)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s': data begins at %zu, expected %zu (hole or overlap)", t->name,
                     (size_t)((const uint8_t *)t->data - data), (size_t)(at - data));
        at += t->nbytes;
    }
    if (at != data + size)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%zu bytes after the last tensor", size - (size_t)(at - data));
    return LCM_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const lcm_st_tensor *const *)a)->name, (*(const lcm_st_tensor *const *)b)->name);
}

static lcm_status index_names(lcm_ctx *ctx, lcm_st *st) {
    if (st->n == 0) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &st->by_name, st->n, sizeof *st->by_name));
    for (size_t i = 0; i < st->n; i++) st->by_name[i] = &st->tensors[i];
    qsort(st->by_name, st->n, sizeof *st->by_name, by_name);
    for (size_t i = 1; i < st->n; i++)
        if (strcmp(st->by_name[i - 1]->name, st->by_name[i]->name) == 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s' appears twice", st->by_name[i]->name);
    return LCM_OK;
}

static lcm_status parse(lcm_ctx *ctx, lcm_st *st, const uint8_t *p, size_t len) {
    uint64_t n = 0;
    size_t size;
    if (len < 8) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%zu bytes are too short for a safetensors file", len);
    for (int i = 0; i < 8; i++) n |= (uint64_t)p[i] << (8 * i);
    if (n > LCM_ST_MAX_HEADER)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "header of %llu bytes, limit is %d", (unsigned long long)n, LCM_ST_MAX_HEADER);
    if (n > len - 8)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "header of %llu bytes in a file of %zu", (unsigned long long)n, len);
    size = len - 8 - (size_t)n;
    LCM_TRY(parse_header(ctx, st, (const char *)p + 8, (size_t)n, size));
    LCM_TRY(check_tiling(ctx, st, p + 8 + n, size));
    return index_names(ctx, st);
}

static lcm_status new_st(lcm_ctx *ctx, lcm_st **out) {
    lcm_st *st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &st, 1, sizeof *st));
    st->names = lcm_arena_new(4096);
    if (st->names == NULL) {
        free(st);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory");
    }
    *out = st;
    return LCM_OK;
}

lcm_status lcm_st_parse(lcm_ctx *ctx, lcm_st **out, const void *bytes, size_t len) {
    lcm_status status;
    LCM_TRY(new_st(ctx, out));
    status = parse(ctx, *out, bytes, len);
    if (status) {
        lcm_st_close(*out);
        *out = NULL;
    }
    return status;
}

lcm_status lcm_st_open(lcm_ctx *ctx, lcm_st **out, const char *path) {
    lcm_status status;
    LCM_TRY(new_st(ctx, out));
    status = lcm_map_open(ctx, &(*out)->map, path);
    if (status == LCM_OK) {
        status = parse(ctx, *out, (*out)->map.data, (*out)->map.len);
        if (status) lcm_fail_within(ctx, status, "'%s'", path);
    }
    if (status) {
        lcm_st_close(*out);
        *out = NULL;
    }
    return status;
}

void lcm_st_close(lcm_st *st) {
    if (st == NULL) return;
    lcm_map_close(&st->map);
    lcm_arena_free(st->names);
    json_decref(st->meta);
    free(st->meta_keys);
    free(st->by_name);
    free(st->tensors);
    free(st);
}

size_t lcm_st_count(const lcm_st *st) { return st->n; }

const lcm_st_tensor *lcm_st_at(const lcm_st *st, size_t i) {
    LCM_ASSERT(i < st->n);
    return &st->tensors[i];
}

const lcm_st_tensor *lcm_st_find(const lcm_st *st, const char *name) {
    size_t lo = 0, hi = st->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(name, st->by_name[mid]->name);
        if (c == 0) return st->by_name[mid];
        if (c < 0) hi = mid;
        else lo = mid + 1;
    }
    return NULL;
}

static const char *shape_text(char text[200], const int64_t *dims, int ndim) {
    size_t n = 0;
    for (int i = 0; i < ndim; i++)
        n += (size_t)snprintf(text + n, 200 - n, "%s%lld", i ? ", " : "", (long long)dims[i]);
    if (ndim == 0) text[0] = '\0';
    return text;
}

lcm_status lcm_st_require(lcm_ctx *ctx, const lcm_st_tensor **out, const lcm_st *st, const char *name,
                          const int64_t *dims, int ndim) {
    const lcm_st_tensor *t = lcm_st_find(st, name);
    char has[200], want[200];
    *out = NULL;
    if (t == NULL) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "no tensor '%.80s'", name);
    if (dims && (t->ndim != ndim || memcmp(t->dims, dims, (size_t)ndim * sizeof *dims) != 0))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%.80s' is [%s], expected [%s]", name, shape_text(has, t->dims, t->ndim),
                 shape_text(want, dims, ndim));
    *out = t;
    return LCM_OK;
}

const char *lcm_st_meta(const lcm_st *st, const char *key) { return json_string_value(json_object_get(st->meta, key)); }

const char *lcm_st_meta_key(const lcm_st *st, size_t i) { return i < st->n_meta ? st->meta_keys[i] : NULL; }

int64_t lcm_st_elements(const lcm_st_tensor *t) { return (int64_t)(t->nbytes / lcm_dtype_size(t->dtype)); }

bool lcm_st_aligned(const lcm_st_tensor *t) { return (uintptr_t)t->data % lcm_dtype_size(t->dtype) == 0; }

static lcm_status check_count(lcm_ctx *ctx, const lcm_st_tensor *t, int64_t count) {
    if (lcm_st_elements(t) != count)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%.80s' has %lld elements, expected %lld", t->name,
                 (long long)lcm_st_elements(t), (long long)count);
    return LCM_OK;
}

/* Element loop over possibly unaligned data: `type v` is the i-th element of t. */
#define EACH(type, expr)                                                      \
    for (int64_t i = 0; i < count; i++) {                                     \
        type v;                                                               \
        memcpy(&v, (const char *)t->data + (size_t)i * sizeof v, sizeof v);   \
        dst[i] = (expr);                                                      \
    }                                                                         \
    return LCM_OK

lcm_status lcm_st_read_real(lcm_ctx *ctx, real *dst, const lcm_st_tensor *t, int64_t count) {
    LCM_TRY(check_count(ctx, t, count));
    switch (t->dtype) {
    case LCM_DT_F64: EACH(double, (real)v);
    case LCM_DT_F32: EACH(float, (real)v);
    case LCM_DT_F16: EACH(uint16_t, (real)lcm_f16_to_f32(v));
    case LCM_DT_BF16: EACH(uint16_t, (real)lcm_bf16_to_f32(v));
    default: LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s' is %s, expected a floating type", t->name, lcm_dtype_name(t->dtype));
    }
}

lcm_status lcm_st_read_i64(lcm_ctx *ctx, int64_t *dst, const lcm_st_tensor *t, int64_t count) {
    LCM_TRY(check_count(ctx, t, count));
    switch (t->dtype) {
    case LCM_DT_I64: EACH(int64_t, v);
    case LCM_DT_I32: EACH(int32_t, v);
    case LCM_DT_I16: EACH(int16_t, v);
    case LCM_DT_I8: EACH(int8_t, v);
    case LCM_DT_U32: EACH(uint32_t, v);
    case LCM_DT_U16: EACH(uint16_t, v);
    case LCM_DT_U8: EACH(uint8_t, v);
    case LCM_DT_BOOL: EACH(uint8_t, v != 0);
    default: LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s' is %s, expected an integer type", t->name, lcm_dtype_name(t->dtype));
    }
}
