/* Safetensors: round trip, what the reader must refuse, half precision over all 65536 values. */
#include "harness/test.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/half.h"
#include "modelfile/safetensors.h"

typedef struct fixture {
    lcm_ctx *ctx;
    char dir[64];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = lcm_ctx_new();
    strcpy(f->dir, "/tmp/lcm-st-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_remove_tree(f->ctx, f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

/* A file of this header (length bytes `n` or, when 0, its real length) and `data` zero bytes, in a
 * block of exact size so that the address sanitizer sees any read past it. */
static uint8_t *file_of(const char *header, size_t len, uint64_t n, size_t data, size_t *total) {
    uint8_t *p = calloc(1, 8 + len + data + 1);
    uint8_t *q;
    if (n == 0) n = len;
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(n >> (8 * i));
    memcpy(p + 8, header, len);
    *total = 8 + len + data;
    q = malloc(*total);
    memcpy(q, p, *total);
    free(p);
    return q;
}

static lcm_status try_header(lcm_ctx *ctx, const char *header, size_t data) {
    size_t len;
    uint8_t *p = file_of(header, strlen(header), 0, data, &len);
    lcm_st *st = (lcm_st *)1;
    lcm_status status = lcm_st_parse(ctx, &st, p, len);
    assert_true((status == LCM_OK) == (st != NULL));
    lcm_st_close(st);
    free(p);
    return status;
}

#define T(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void accepts_what_the_format_allows(void **state) {
    static const struct { const char *header; size_t data; } good[] = {
        {"{}", 0},
        {"{ } \n\t", 0},
        {"{\"__metadata__\":{}}", 0},
        {"{\"a\":" T("[2,3]", "[0,24]") "}    ", 24},
        {"{ \"a\" : " T("[]", "[0,4]") " , \"b\":" T("[1]", "[4,8]") "}", 8},
        {"{\"b\":" T("[1]", "[4,8]") ",\"a\":" T("[1]", "[0,4]") "}", 8}, /* offsets not in header order */
        {"{\"a\":" T("[0,7]", "[0,0]") ",\"b\":" T("[0]", "[0,0]") ",\"c\":" T("[1]", "[0,4]") "}", 4},
        {"{\"a\":" T("[4611686018427387904,0]", "[0,0]") "}", 0},
        {"{\"\":" T("[1]", "[0,4]") "}", 4},
        {"{\"a,}]{\\\"\":" T("[1]", "[0,4]") "}", 4},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4],\"dtype\":\"F32\",\"x\":[{}]}}", 4}, /* as the crate does */
        {"{\"a\":" T("[1,1,1,1,1,1,1,1]", "[0,4]") "}", 4},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (try_header(f->ctx, good[i].header, good[i].data) != LCM_OK)
            fail_msg("%s: %s", good[i].header, lcm_ctx_message(f->ctx));
}

static void refuses_hostile_headers(void **state) {
    static const struct { const char *header; size_t data; const char *says; } bad[] = {
        {" {}", 0, "does not start"},
        {"[]", 0, "does not start"},
        {"{", 0, "not one JSON"},
        {"{]", 0, "not one JSON"},
        {"{}}", 0, "goes on"},
        {"{} {}", 0, "goes on"},
        {"{},", 0, "goes on"},
        {"{,}", 0, "stray comma"},
        {"{\"__metadata__\":{},}", 0, "stray comma"},
        {"{,\"__metadata__\":{}}", 0, "stray comma"},
        {"{\"a\":" T("[1,]", "[0,4]") "}", 4, "header: "},
        {"{\"a\":" T("[1]", "[0,4]") " \"b\":" T("[1]", "[4,8]") "}", 8, "header: "},
        {"{\"a\"}", 0, "header: "},
        {"{\"a\":" T("[1]", "[0,4]") "/**/}", 4, "header: "},
        {"{'a':" T("[1]", "[0,4]") "}", 4, "header: "},
        {"{\"a\xff\":" T("[1]", "[0,4]") "}", 4, "header: "},
        {"{\"a\xc0\x80\":" T("[1]", "[0,4]") "}", 4, "header: "},
        {"{\"a\\ud800\":" T("[1]", "[0,4]") "}", 4, "header: "},
        {"{\"a\\u0000b\":" T("[1]", "[0,4]") "}", 4, "header: "},
        {"{\"a\":" T("[1]", "[0,4]") ",\"a\":" T("[1]", "[4,8]") "}", 8, "appears twice"},
        {"{\"a\":" T("[1]", "[0,4]") ",\"\\u0061\":" T("[1]", "[4,8]") "}", 8, "appears twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "header: "},
        {"{\"a\":1}", 0, "no string 'dtype'"},
        {"{\"a\":null}", 0, "no string 'dtype'"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no string 'dtype'"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no array 'shape'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "not a pair"},
        {"{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype 'f32'"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "unknown dtype"},
        {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "no string 'dtype'"},
        {"{\"a\":" T("[-1]", "[0,4]") "}", 4, "not a natural"},
        {"{\"a\":" T("[1.0]", "[0,4]") "}", 4, "not a natural"},
        {"{\"a\":" T("[1e0]", "[0,4]") "}", 4, "not a natural"},
        {"{\"a\":" T("[\"1\"]", "[0,4]") "}", 4, "not a natural"},
        {"{\"a\":" T("[18446744073709551616]", "[0,4]") "}", 4, "header: "},
        {"{\"a\":" T("[1e400]", "[0,4]") "}", 4, "header: "},
        {"{\"a\":" T("[4294967296,4294967296]", "[0,4]") "}", 4, "overflows"},
        {"{\"a\":" T("[4611686018427387904]", "[0,0]") "}", 0, "overflows"},
        {"{\"a\":" T("[9223372036854775807,3]", "[0,4]") "}", 4, "overflows"},
        {"{\"a\":" T("[9223372036854775807,9223372036854775807,0]", "[0,0]") "}", 0, "overflows"},
        {"{\"a\":" T("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "rank 9"},
        {"{\"a\":" T("[2]", "[0,4]") "}", 4, "shape needs 8 bytes"},
        {"{\"a\":" T("[0]", "[0,4]") "}", 4, "shape needs 0 bytes"},
        {"{\"a\":" T("[1]", "[4,0]") "}", 4, "data_offsets [4, 0]"},
        {"{\"a\":" T("[1]", "[-4,0]") "}", 4, "data_offsets [-4, 0]"},
        {"{\"a\":" T("[1]", "[0,4.0]") "}", 4, "not a pair"},
        {"{\"a\":" T("[1]", "[0,4,8]") "}", 4, "not a pair"},
        {"{\"a\":" T("[1]", "[0]") "}", 4, "not a pair"},
        {"{\"a\":" T("[1]", "[0,8]") "}", 4, "in 4 bytes"},
        {"{\"a\":" T("[1]", "[9223372036854775803,9223372036854775807]") "}", 4, "in 4 bytes"},
        {"{\"a\":" T("[1]", "[4,8]") "}", 8, "hole or overlap"},
        {"{\"a\":" T("[2]", "[0,8]") ",\"b\":" T("[1]", "[4,8]") "}", 8, "hole or overlap"},
        {"{\"a\":" T("[1]", "[0,4]") ",\"b\":" T("[1]", "[0,4]") "}", 4, "hole or overlap"},
        {"{\"a\":" T("[1]", "[0,4]") ",\"b\":" T("[1]", "[8,12]") "}", 12, "hole or overlap"},
        {"{\"a\":" T("[2]", "[0,8]") ",\"b\":" T("[0]", "[4,4]") "}", 8, "hole or overlap"},
        {"{\"a\":" T("[1]", "[0,4]") "}", 5, "1 bytes after"},
        {"{}", 1, "1 bytes after"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
        {"{\"__metadata__\":\"x\"}", 0, "not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is not a string"},
        {"{\"__metadata__\":{\"a\":null}}", 0, "'a' is not a string"},
        {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "header: "},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "appears twice"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "header: "},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lcm_status st = try_header(f->ctx, bad[i].header, bad[i].data);
        if (st != LCM_ERR_FORMAT) fail_msg("%s: status %d", bad[i].header, st);
        if (strstr(lcm_ctx_message(f->ctx), bad[i].says) == NULL)
            fail_msg("%s: message is '%s'", bad[i].header, lcm_ctx_message(f->ctx));
    }
}

static void refuses_hostile_lengths(void **state) {
    static const uint64_t lengths[] = {1, 3, LCM_ST_MAX_HEADER, LCM_ST_MAX_HEADER + 1, UINT64_C(1) << 63, UINT64_MAX,
                                       UINT64_MAX - 7};
    fixture *f = *state;
    uint8_t zeros[64] = {0};
    size_t len;
    lcm_st *st;
    for (len = 0; len <= sizeof zeros; len++) assert_int_equal(lcm_st_parse(f->ctx, &st, zeros, len), LCM_ERR_FORMAT);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t *p = file_of("{}", 2, lengths[i], 0, &len);
        assert_int_equal(lcm_st_parse(f->ctx, &st, p, len), LCM_ERR_FORMAT);
        assert_null(st);
        free(p);
    }
}

static void refuses_hostile_sizes(void **state) {
    fixture *f = *state;
    lcm_buf b = {0};
    size_t n_many = 200000;
    /* depth 10^5, at the top, in a shape and in the metadata */
    for (int where = 0; where < 3; where++) {
        static const char *const head[] = {"{\"a\":", "{\"a\":{\"dtype\":\"F32\",\"shape\":", "{\"__metadata__\":"};
        static const char *const tail[] = {"}", ",\"data_offsets\":[0,4]}}", "}"};
        b.len = 0;
        assert_int_equal(lcm_buf_printf(f->ctx, &b, "%s", head[where]), LCM_OK);
        for (int i = 0; i < 100000; i++) lcm_buf_append(f->ctx, &b, "[", 1);
        for (int i = 0; i < 100000; i++) lcm_buf_append(f->ctx, &b, "]", 1);
        lcm_buf_printf(f->ctx, &b, "%s", tail[where]);
        assert_int_equal(try_header(f->ctx, b.data, 4), LCM_ERR_FORMAT);
    }
    /* names: 512 bytes pass, 513 and 1 MB do not */
    for (int k = 0; k < 3; k++) {
        static const int len[] = {512, 513, 1 << 20};
        b.len = 0;
        lcm_buf_append(f->ctx, &b, "{\"", 2);
        for (int i = 0; i < len[k]; i++) lcm_buf_append(f->ctx, &b, "n", 1);
        lcm_buf_printf(f->ctx, &b, "\":%s}", T("[1]", "[0,4]"));
        assert_int_equal(try_header(f->ctx, b.data, 4), k == 0 ? LCM_OK : LCM_ERR_FORMAT);
    }
    /* rank 10^5: above the limit for one entry */
    b.len = 0;
    lcm_buf_printf(f->ctx, &b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1");
    for (int i = 0; i < 100000; i++) lcm_buf_append(f->ctx, &b, ",1", 2);
    lcm_buf_printf(f->ctx, &b, "],\"data_offsets\":[0,4]}}");
    assert_int_equal(try_header(f->ctx, b.data, 4), LCM_ERR_FORMAT);
    /* very many tensors are fine, and found */
    b.len = 0;
    lcm_buf_append(f->ctx, &b, "        {", 9);
    for (size_t i = 0; i < n_many; i++)
        lcm_buf_printf(f->ctx, &b, "%s\"t%zu\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%zu,%zu]}", i ? "," : "", i, i,
                       i + 1);
    lcm_buf_append(f->ctx, &b, "}", 1);
    for (int i = 0; i < 8; i++) b.data[i] = (char)((uint64_t)(b.len - 8) >> (8 * i));
    for (size_t i = 0; i < n_many; i++) lcm_buf_append(f->ctx, &b, &(char){(char)i}, 1);
    {
        lcm_st *st;
        char name[32];
        assert_int_equal(lcm_st_parse(f->ctx, &st, b.data, b.len), LCM_OK);
        assert_int_equal(lcm_st_count(st), n_many);
        for (size_t i = 0; i < n_many; i += 997) {
            const lcm_st_tensor *t;
            snprintf(name, sizeof name, "t%zu", i);
            t = lcm_st_find(st, name);
            assert_non_null(t);
            assert_ptr_equal(t, lcm_st_at(st, i));
            assert_int_equal(*(const uint8_t *)t->data, i & 255);
        }
        lcm_st_close(st);
    }
    lcm_buf_free(&b);
}

static lcm_status small_file(lcm_ctx *ctx, lcm_buf *out) {
    static const float x[6] = {0, 1, -2, 3.5f, 1e-3f, 65504};
    static const int64_t ids[3] = {-1, 0, INT64_C(1) << 40};
    lcm_st_writer *w;
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    assert_int_equal(lcm_st_writer_meta(ctx, w, "who", "it's \"quoted\"\n\xc3\xa9"), LCM_OK);
    assert_int_equal(lcm_st_writer_add(ctx, w, "x", LCM_DT_F32, (int64_t[]){2, 3}, 2, x), LCM_OK);
    assert_int_equal(lcm_st_writer_add(ctx, w, "bytes", LCM_DT_U8, (int64_t[]){5}, 1, "hello"), LCM_OK);
    assert_int_equal(lcm_st_writer_add(ctx, w, "ids", LCM_DT_I64, (int64_t[]){3}, 1, ids), LCM_OK);
    assert_int_equal(lcm_st_writer_add(ctx, w, "none", LCM_DT_F32, (int64_t[]){0, 4}, 2, NULL), LCM_OK);
    assert_int_equal(lcm_st_writer_commit_buf(ctx, w, out), LCM_OK);
    lcm_st_writer_free(w);
    return LCM_OK;
}

static void every_prefix_and_flip_is_safe(void **state) {
    fixture *f = *state;
    lcm_buf b = {0};
    lcm_st *st;
    uint8_t *p;
    assert_int_equal(small_file(f->ctx, &b), LCM_OK);
    for (size_t n = 0; n < b.len; n++) {
        p = malloc(n ? n : 1);
        memcpy(p, b.data, n);
        assert_int_equal(lcm_st_parse(f->ctx, &st, p, n), LCM_ERR_FORMAT);
        free(p);
    }
    p = malloc(b.len);
    for (size_t i = 0; i < b.len * 8; i++) {
        memcpy(p, b.data, b.len);
        p[i / 8] ^= (uint8_t)(1u << (i % 8));
        if (lcm_st_parse(f->ctx, &st, p, b.len) != LCM_OK) continue;
        for (size_t k = 0; k < lcm_st_count(st); k++) {
            const lcm_st_tensor *t = lcm_st_at(st, k);
            const uint8_t *q = t->data;
            assert_true(q >= p && t->nbytes <= b.len && q + t->nbytes <= p + b.len);
        }
        lcm_st_close(st);
    }
    free(p);
    lcm_buf_free(&b);
}

static void round_trip(void **state) {
    fixture *f = *state;
    lcm_buf b = {0};
    lcm_st *st;
    const lcm_st_tensor *t;
    real x[6];
    int64_t ids[3];
    uint64_t header;
    assert_int_equal(small_file(f->ctx, &b), LCM_OK);
    assert_int_equal(lcm_st_parse(f->ctx, &st, b.data, b.len), LCM_OK);
    memcpy(&header, b.data, 8);
    assert_int_equal((header + 8) % 64, 0);
    assert_int_equal(lcm_st_count(st), 4);
    assert_string_equal(lcm_st_at(st, 0)->name, "ids"); /* largest elements first */
    assert_string_equal(lcm_st_at(st, 3)->name, "bytes");
    assert_string_equal(lcm_st_meta(st, "who"), "it's \"quoted\"\n\xc3\xa9");
    assert_string_equal(lcm_st_meta_key(st, 0), "who");
    assert_null(lcm_st_meta_key(st, 1));
    assert_null(lcm_st_meta(st, "nobody"));
    assert_null(lcm_st_find(st, "y"));
    assert_int_equal(lcm_st_require(f->ctx, &t, st, "y", NULL, 0), LCM_ERR_NOTFOUND);
    assert_int_equal(lcm_st_require(f->ctx, &t, st, "x", (int64_t[]){3, 2}, 2), LCM_ERR_SHAPE);
    assert_string_equal(lcm_ctx_message(f->ctx), "tensor 'x' is [2, 3], expected [3, 2]");
    assert_int_equal(lcm_st_require(f->ctx, &t, st, "x", (int64_t[]){2, 3}, 2), LCM_OK);
    assert_int_equal(lcm_st_read_real(f->ctx, x, t, 5), LCM_ERR_SHAPE);
    assert_int_equal(lcm_st_read_real(f->ctx, x, t, 6), LCM_OK);
    assert_true(x[0] == 0 && x[2] == -2 && x[3] == 3.5 && x[5] == 65504);
    assert_int_equal(lcm_st_read_i64(f->ctx, ids, t, 6), LCM_ERR_FORMAT);
    assert_int_equal(lcm_st_require(f->ctx, &t, st, "ids", NULL, 0), LCM_OK);
    assert_int_equal(lcm_st_read_real(f->ctx, x, t, 3), LCM_ERR_FORMAT);
    assert_int_equal(lcm_st_read_i64(f->ctx, ids, t, 3), LCM_OK);
    assert_true(ids[0] == -1 && ids[2] == INT64_C(1) << 40);
    t = lcm_st_find(st, "bytes");
    assert_int_equal(t->nbytes, 5);
    assert_memory_equal(t->data, "hello", 5);
    assert_int_equal(lcm_st_elements(lcm_st_find(st, "none")), 0);
    lcm_st_close(st);
    lcm_buf_free(&b);
}

static void reals_convert_while_written(void **state) {
    static const lcm_dtype kinds[] = {LCM_DT_F64, LCM_DT_F32, LCM_DT_F16, LCM_DT_BF16};
    /* exact in every kind: 8 significant bits; 5000 elements cross the writer's block */
    enum { N = 5000 };
    fixture *f = *state;
    lcm_st_writer *w;
    lcm_buf b = {0}, again = {0};
    lcm_st *st;
    real *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) x[i] = (real)((i * 37 % 256) - 128) / 16;
    assert_int_equal(lcm_st_writer_new(f->ctx, &w), LCM_OK);
    for (int k = 0; k < 4; k++)
        assert_int_equal(lcm_st_writer_add_real(f->ctx, w, lcm_dtype_name(kinds[k]), kinds[k], (int64_t[]){N}, 1, x), LCM_OK);
    assert_int_equal(lcm_st_writer_add_real(f->ctx, w, "i", LCM_DT_I8, (int64_t[]){N}, 1, x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_commit_buf(f->ctx, w, &b), LCM_OK);
    assert_int_equal(lcm_st_writer_commit_buf(f->ctx, w, &again), LCM_OK);
    assert_int_equal(b.len, again.len);
    assert_memory_equal(b.data, again.data, b.len);
    assert_int_equal(lcm_st_parse(f->ctx, &st, b.data, b.len), LCM_OK);
    for (int k = 0; k < 4; k++) {
        const lcm_st_tensor *t = lcm_st_find(st, lcm_dtype_name(kinds[k]));
        assert_int_equal(t->dtype, kinds[k]);
        assert_int_equal(t->nbytes, N * lcm_dtype_size(kinds[k]));
        memset(y, 0xff, N * sizeof *y);
        assert_int_equal(lcm_st_read_real(f->ctx, y, t, N), LCM_OK);
        assert_memory_equal(x, y, N * sizeof *x);
    }
    lcm_st_close(st);
    lcm_st_writer_free(w);
    lcm_buf_free(&b);
    lcm_buf_free(&again);
    free(x);
    free(y);
}

static void writer_refuses(void **state) {
    fixture *f = *state;
    lcm_ctx *ctx = f->ctx;
    lcm_st_writer *w;
    lcm_buf b = {0};
    char longer[LCM_ST_MAX_NAME + 2];
    int64_t one[1] = {1};
    float x = 1;
    assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(lcm_st_writer_add(ctx, w, longer, LCM_DT_F32, one, 1, &x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_add(ctx, w, "__metadata__", LCM_DT_F32, one, 1, &x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_add(ctx, w, "\xff", LCM_DT_F32, one, 1, &x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_add(ctx, w, "a", LCM_DT_F32, (int64_t[]){-1}, 1, &x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_add(ctx, w, "a", LCM_DT_F32, one, 9, &x), LCM_ERR_ARG);
    assert_int_equal(lcm_st_writer_add(ctx, w, "a", LCM_DT_F32, (int64_t[]){INT64_MAX, 2}, 2, &x), LCM_ERR_LIMIT);
    assert_int_equal(lcm_st_writer_meta(ctx, w, "k", "\xff"), LCM_ERR_UTF8);
    assert_int_equal(lcm_st_writer_add(ctx, w, "a", LCM_DT_F32, one, 1, &x), LCM_OK);
    assert_int_equal(lcm_st_writer_add(ctx, w, "a", LCM_DT_U8, one, 1, &x), LCM_OK);
    assert_int_equal(lcm_st_writer_commit_buf(ctx, w, &b), LCM_ERR_ARG); /* "a" twice */
    lcm_buf_free(&b);
    lcm_st_writer_free(w);
}

static void files_of_every_kind(void **state) {
    fixture *f = *state;
    char path[128], link[128];
    lcm_st *st;
    lcm_buf b = {0};
    int fd;
    snprintf(path, sizeof path, "%s/f", f->dir);
    assert_int_equal(lcm_st_open(f->ctx, &st, path), LCM_ERR_NOTFOUND);
    assert_null(st);
    assert_int_equal(lcm_write_file(f->ctx, path, "", 0), LCM_OK);
    assert_int_equal(lcm_st_open(f->ctx, &st, path), LCM_ERR_FORMAT);
    assert_int_equal(small_file(f->ctx, &b), LCM_OK);
    assert_int_equal(lcm_write_file(f->ctx, path, b.data, b.len), LCM_OK);
    assert_int_equal(lcm_st_open(f->ctx, &st, path), LCM_OK);
    assert_true(lcm_st_aligned(lcm_st_find(st, "x")));
    lcm_st_close(st);
    fd = open(path, O_WRONLY); /* 5 GB, sparse: only the header is touched */
    assert_int_equal(ftruncate(fd, INT64_C(5) << 30), 0);
    close(fd);
    assert_int_equal(lcm_st_open(f->ctx, &st, path), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "bytes after the last tensor"));
    assert_non_null(strstr(lcm_ctx_message(f->ctx), path));
    unlink(path);
    assert_int_equal(lcm_st_open(f->ctx, &st, f->dir), LCM_ERR_FORMAT);
    assert_int_equal(lcm_st_open(f->ctx, &st, "/dev/zero"), LCM_ERR_FORMAT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lcm_st_open(f->ctx, &st, path), LCM_ERR_FORMAT);
    snprintf(link, sizeof link, "%s/loop", f->dir);
    assert_int_equal(symlink(link, link), 0);
    assert_int_equal(lcm_st_open(f->ctx, &st, link), LCM_ERR_IO);
    lcm_buf_free(&b);
}

/* Nearest half by search in double: the oracle knows nothing of bits. */
static uint16_t nearest(double v, float (*widen)(uint16_t), uint16_t inf, double overflow) {
    double a = fabs(v);
    uint16_t lo = 0, hi = inf, sign = signbit(v) ? 0x8000 : 0;
    if (a >= overflow) return (uint16_t)(sign | inf);
    while (hi - lo > 1) { /* widen(lo) <= a < widen(hi) */
        uint16_t mid = (uint16_t)((lo + hi) / 2);
        if ((double)widen(mid) <= a) lo = mid;
        else hi = mid;
    }
    if (hi < inf) {
        double down = a - (double)widen(lo), up = (double)widen(hi) - a;
        if (up < down || (up == down && (lo & 1))) lo = hi;
    }
    return (uint16_t)(sign | lo);
}

static void halves_are_exact(void **state) {
    static const struct {
        float (*widen)(uint16_t);
        uint16_t (*narrow)(float);
        uint16_t inf;
        double overflow; /* halfway between the largest finite value and the next power of two */
        double last;
    } kinds[] = {{lcm_f16_to_f32, lcm_f32_to_f16, 0x7c00, 65520.0, 65504.0},
                 {lcm_bf16_to_f32, lcm_f32_to_bf16, 0x7f80, 0x1.ffp127, 0x1.fep127}};
    (void)state;
    /* fixed points of the formats (IEEE 754 table 3.5; bfloat16 is the upper half of binary32) */
    assert_true(lcm_f16_to_f32(0x3c00) == 1.0f && lcm_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(lcm_f16_to_f32(0x0400) == 0x1p-14f && lcm_f16_to_f32(0x3555) == 0x1.554p-2f);
    assert_true(lcm_bf16_to_f32(0x3f80) == 1.0f && lcm_bf16_to_f32(0xc049) == -3.140625f);
    for (int k = 0; k < 2; k++) {
        assert_true((double)kinds[k].widen((uint16_t)(kinds[k].inf - 1)) == kinds[k].last);
        for (uint32_t h = 0; h < 65536; h++) {
            float x = kinds[k].widen((uint16_t)h), next;
            uint16_t mag = h & 0x7fff;
            if (mag > kinds[k].inf) {
                assert_true(isnan(x));
                assert_true((kinds[k].narrow(x) & 0x7fff) > kinds[k].inf);
                continue;
            }
            assert_int_equal(kinds[k].narrow(x), h);
            if (mag == kinds[k].inf) {
                assert_true(isinf(x) && !signbit(x) == !(h >> 15));
                continue;
            }
            /* the midpoint to the next value, and its neighbours in float */
            next = mag + 1 == kinds[k].inf ? (float)copysign(kinds[k].overflow, x) : kinds[k].widen((uint16_t)(h + 1));
            for (int side = -1; side <= 1; side++) {
                float m = mag + 1 == kinds[k].inf ? next : (float)(((double)x + (double)next) / 2);
                if (side) m = nextafterf(m, side < 0 ? 0.0f : copysignf(INFINITY, x));
                assert_int_equal(kinds[k].narrow(m), nearest((double)m, kinds[k].widen, kinds[k].inf, kinds[k].overflow));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_format_allows), cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(refuses_hostile_lengths),        cmocka_unit_test(refuses_hostile_sizes),
        cmocka_unit_test(every_prefix_and_flip_is_safe),  cmocka_unit_test(round_trip),
        cmocka_unit_test(reals_convert_while_written),    cmocka_unit_test(writer_refuses),
        cmocka_unit_test(files_of_every_kind),            cmocka_unit_test(halves_are_exact),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
