/* Matrices as files: three formats there and back, and arrays that lie. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcm/train.h"
#include "lcm/vectors.h"

static lcm_ctx *ctx;

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    return ctx ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lcm_ctx_free(ctx);
    return 0;
}

/* An array file: version, header text, data. Heap. */
static char *array_file(size_t *len, int version, const char *header, const void *data, size_t n) {
    size_t h = strlen(header), prefix = version == 1 ? 10 : 12;
    char *b = malloc(prefix + h + n + 1);
    assert_non_null(b);
    memcpy(b, "\x93NUMPY", 6);
    memcpy(b + 6, (char[]){(char)version, 0, (char)(h & 255), (char)(h >> 8), 0, 0}, prefix - 6);
    memcpy(b + prefix, header, h);
    memcpy(b + prefix + h, data, n);
    *len = prefix + h + n;
    return b;
}

static lcm_status parse(float **x, int64_t *n, int64_t *dim, int version, const char *header, const void *data, size_t bytes) {
    size_t len;
    char *b = array_file(&len, version, header, data, bytes);
    lcm_status st = lcm_vectors_parse(ctx, x, n, dim, b, len);
    free(b);
    return st;
}

static void headers_come_back(void **state) {
    static const int64_t shapes[][2] = {{0, 1024}, {1, 1}, {3, 5}, {7, 64}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int f = LCM_VECTORS_NPY; f <= LCM_VECTORS_SAFETENSORS; f++) {
            int64_t n = shapes[i][0], D = shapes[i][1], n2, D2;
            size_t len, bytes = (size_t)(n * D) * sizeof(float);
            float *x = malloc(bytes + 1), *y;
            char *head, *all;
            assert_int_equal(lcm_vectors_header(ctx, &head, &len, (lcm_vectors_format)f, n, D), LCM_OK);
            assert_int_equal(len % 64, 0); /* rows are aligned in a mapped file */
            for (int64_t k = 0; k < n * D; k++) x[k] = (float)k / 7 - 1;
            all = realloc(head, len + bytes + 1);
            assert_non_null(all);
            if (bytes) memcpy(all + len, x, bytes);
            assert_int_equal(lcm_vectors_parse(ctx, &y, &n2, &D2, all, len + bytes), LCM_OK);
            assert_true(n2 == n && D2 == D);
            if (bytes) assert_memory_equal(x, y, bytes);
            lcm_free(y);
            free(all);
            free(x);
        }
    }
}

static void types_and_versions(void **state) {
    const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7bff}; /* 1, -2, smallest, largest */
    const double wide[2] = {1.0 / 3, -1e-3}, too_wide[1] = {1e300};
    float *x;
    int64_t n, D;
    (void)state;
    assert_int_equal(parse(&x, &n, &D, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }", half, 8), LCM_OK);
    assert_true(n == 2 && D == 2 && x[0] == 1 && x[1] == -2 && x[2] == ldexpf(1, -24) && x[3] == 65504);
    lcm_free(x);
    for (int version = 1; version <= 3; version++) {
        assert_int_equal(parse(&x, &n, &D, version, "{'shape':(2,),\"descr\":'<f8','fortran_order':False}\n", wide, 16), LCM_OK);
        assert_true(n == 1 && D == 2 && x[0] == (float)(1.0 / 3) && x[1] == -1e-3f);
        lcm_free(x);
    }
    assert_int_equal(parse(&x, &n, &D, 4, "{'shape':(2,),'descr':'<f8','fortran_order':False}", wide, 16), LCM_ERR_VERSION);
    assert_int_equal(parse(&x, &n, &D, 1, "{'shape':(1,),'descr':'<f8','fortran_order':False}", too_wide, 8), LCM_ERR_NUMERIC);
    assert_null(x);
}

static void json_lines(void **state) {
    const char *good = "{\"text\": \"a\", \"vector\": [1, 2.5]}\r\n\n{\"vector\": [-3e-1, 4]}";
    const char *bad[] = {"{\"vector\": []}", "{\"vector\": [1, null]}", "{\"vector\": 1}", "{}", "{\"vector\": [1]} x",
                         "{\"vector\": [1], \"vector\": [2]}", "{\"vector\": [1e999]}", "[1]", "1", ""};
    float *x;
    int64_t n, D;
    (void)state;
    assert_int_equal(lcm_vectors_parse(ctx, &x, &n, &D, good, strlen(good)), LCM_OK);
    assert_true(n == 2 && D == 2 && x[0] == 1 && x[1] == 2.5f && x[2] == -0.3f && x[3] == 4);
    lcm_free(x);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lcm_status st = lcm_vectors_parse(ctx, &x, &n, &D, bad[i], strlen(bad[i]));
        if (st == LCM_OK) fail_msg("accepted: %s", bad[i]);
        assert_null(x);
    }
}

/* A file cut anywhere, or with any one byte of its header changed, is refused or still describes its
 * data; under a sanitizer also: nothing is read outside. */
static void damaged_headers(void **state) {
    float data[6] = {1, 2, 3, 4, 5, 6}, *x;
    size_t len, end;
    char *b = array_file(&len, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data, sizeof data);
    int64_t n, D;
    (void)state;
    end = len - sizeof data;
    for (size_t cut = 0; cut < len; cut++) {
        char *part = malloc(cut + 1); /* its own block, so that reading on is seen */
        memcpy(part, b, cut);
        assert_int_not_equal(lcm_vectors_parse(ctx, &x, &n, &D, part, cut), LCM_OK);
        free(part);
    }
    for (size_t at = 0; at < end; at++)
        for (int v = 0; v < 256; v++) {
            char was = b[at];
            b[at] = (char)v;
            if (lcm_vectors_parse(ctx, &x, &n, &D, b, len) == LCM_OK) {
                size_t bytes = (size_t)(n * D) * sizeof(float);
                assert_true(bytes == sizeof data || bytes == 2 * sizeof data || bytes == sizeof data / 2); /* f4, f2, f8 */
                lcm_free(x);
            }
            b[at] = was;
        }
    free(b);
}

static void sizes_are_checked(void **state) {
    char *head;
    size_t len;
    (void)state;
    assert_int_equal(lcm_vectors_header(ctx, &head, &len, LCM_VECTORS_NPY, INT64_MAX, 1024), LCM_ERR_LIMIT);
    assert_int_equal(lcm_vectors_header(ctx, &head, &len, LCM_VECTORS_NPY, -1, 1024), LCM_ERR_ARG);
    assert_int_equal(lcm_vectors_header(ctx, &head, &len, LCM_VECTORS_JSONL, 1, 0), LCM_ERR_ARG);
    assert_null(head);
    assert_int_equal(lcm_vectors_header(ctx, &head, &len, LCM_VECTORS_JSONL, 1, 4), LCM_OK);
    assert_true(head == NULL && len == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back), cmocka_unit_test(types_and_versions), cmocka_unit_test(json_lines),
        cmocka_unit_test(damaged_headers),   cmocka_unit_test(sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
