/* The unpickler and its containers: what torch.save writes is read, whatever else is refused by name, in bounded memory. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/pickle.h"
#include "modelfile/torch_file.h"
#include "modelfile/weights.h"
#include "unit/zip_build.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* Pieces of a pickle. A storage of n floats under key "0", as torch writes it, without the memo. */
#define STORAGE_OF(type, n) "(X\7\0\0\0storagec" type "\nX\1\0\0\0" "0" "X\3\0\0\0cpuK" n "tQ"
#define STORAGE(n) STORAGE_OF("torch\nFloatStorage", n)
#define HOOKS "\x89" "ccollections\nOrderedDict\n)R"
#define V2 "ctorch._utils\n_rebuild_tensor_v2\n("
#define MATRIX V2 STORAGE("\6") "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tR"
#define DICT_OF(tensor) "\x80\2}X\1\0\0\0w" tensor "s."

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

static lcm_status run(const uint8_t *bytes, size_t len, lcm_pickle **keep, const lcm_pickle_value **root) {
    uint8_t *exact = malloc(len ? len : 1); /* a read past the end is seen by AddressSanitizer */
    lcm_pickle *p;
    const lcm_pickle_value *r;
    size_t used;
    lcm_status st;
    memcpy(exact, bytes, len);
    assert_int_equal(lcm_pickle_new(ctx, &p), LCM_OK);
    st = lcm_pickle_read(ctx, p, &r, &used, exact, len);
    assert_true((st == LCM_OK) == (r != NULL) && used <= len);
    assert_true(lcm_pickle_memory(p) <= LCM_PICKLE_BYTES_PER_BYTE * len + 65536);
    free(exact);
    if (keep) *keep = p, *root = r;
    else lcm_pickle_free(p);
    return st;
}

static void refused(const uint8_t *bytes, size_t len, lcm_status want, const char *message) {
    lcm_status st = run(bytes, len, NULL, NULL);
    if (st != want) fail_msg("'%s': status %d, not %d (%s)", message, st, want, lcm_ctx_message(ctx));
    if (strstr(lcm_ctx_message(ctx), message) == NULL) fail_msg("no '%s' in '%s'", message, lcm_ctx_message(ctx));
}

static void values(void **state) {
    static const char pickle[] = "\x80\2(K\7M\1\2J\xff\xff\xff\xff\x8a\1\xfe\x8a\11\0\0\0\0\0\0\0\0\1G?\xe0\0\0\0\0\0\0N\x88]K\1at.";
    lcm_pickle *p;
    const lcm_pickle_value *r, *const *v;
    const uint8_t *bytes = (const uint8_t *)pickle;
    size_t used;
    (void)state;
    assert_int_equal(lcm_pickle_new(ctx, &p), LCM_OK);
    assert_int_equal(lcm_pickle_read(ctx, p, &r, &used, bytes, sizeof pickle), LCM_OK);
    assert_int_equal(used, sizeof pickle - 1);
    assert_int_equal(r->kind, LCM_PICKLE_TUPLE);
    assert_int_equal(r->n, 9);
    v = r->u.items;
    assert_true(v[0]->u.i == 7 && v[1]->u.i == 513 && v[2]->u.i == -1 && v[3]->u.i == -2);
    assert_int_equal(v[4]->kind, LCM_PICKLE_LONG);
    assert_true(v[5]->kind == LCM_PICKLE_REAL && v[5]->u.r == 0.5);
    assert_true(v[6]->kind == LCM_PICKLE_NONE && v[7]->u.i == 1 && v[8]->n == 1);
    lcm_pickle_free(p);
}

static void tensor(void **state) {
    static const uint8_t pickle[] = DICT_OF(MATRIX);
    lcm_pickle *p;
    const lcm_pickle_value *r, *w;
    size_t used;
    (void)state;
    assert_int_equal(lcm_pickle_new(ctx, &p), LCM_OK);
    assert_int_equal(lcm_pickle_read(ctx, p, &r, &used, pickle, sizeof pickle - 1), LCM_OK);
    w = lcm_pickle_get(r, "w");
    assert_non_null(w);
    assert_int_equal(w->kind, LCM_PICKLE_TENSOR);
    assert_true(w->u.tensor->ndim == 2 && w->u.tensor->dims[1] == 3 && w->u.tensor->strides[0] == 3);
    assert_true(w->u.tensor->storage->numel == 6 && w->u.tensor->storage->dtype == LCM_DT_F32);
    assert_null(lcm_pickle_get(r, "x"));
    lcm_pickle_free(p);
}

static void code_is_refused(void **state) {
    (void)state;
    refused(BYTES("\x80\2cos\nsystem\nX\2\0\0\0ls\x85R."), LCM_ERR_UNSUPPORTED, "the global 'os.system' is not allowed");
    refused(BYTES("\x80\4\x8c\2os\x8c\6system\x93."), LCM_ERR_UNSUPPORTED, "the global 'os.system' is not allowed");
    refused(BYTES("\x80\2cbuiltins\neval\n."), LCM_ERR_UNSUPPORTED, "'builtins.eval'");
    refused(BYTES("\x80\2c__builtin__\ngetattr\n."), LCM_ERR_UNSUPPORTED, "'__builtin__.getattr'");
    refused(BYTES("\x80\2ctorch\nload\n."), LCM_ERR_UNSUPPORTED, "'torch.load'");
    refused(BYTES("\x80\2(ios\nsystem\n."), LCM_ERR_UNSUPPORTED, "0x69 (INST)");
    refused(BYTES("\x80\2(cos\nsystem\no."), LCM_ERR_UNSUPPORTED, "'os.system'");
    refused(BYTES("\x80\2(o."), LCM_ERR_UNSUPPORTED, "(OBJ)");
    refused(BYTES("\x80\2)\x81."), LCM_ERR_UNSUPPORTED, "(NEWOBJ)");
    refused(BYTES("\x80\2\x82\1."), LCM_ERR_UNSUPPORTED, "(EXT1)");
    refused(BYTES("\x80\2P0\n."), LCM_ERR_UNSUPPORTED, "(PERSID)");
    refused(BYTES("\x80\5\x97."), LCM_ERR_UNSUPPORTED, "(NEXT_BUFFER)");
    refused(BYTES("\x80\5\x96\1\0\0\0\0\0\0\0x."), LCM_ERR_UNSUPPORTED, "(BYTEARRAY8)");
    refused(BYTES("\x80\2\xff."), LCM_ERR_UNSUPPORTED, "0xff (unknown)");
    refused(BYTES("\x80\6N."), LCM_ERR_VERSION, "protocol 6");
    refused(BYTES("\x80\2NN\x85R."), LCM_ERR_FORMAT, "what is no function");
    refused(BYTES("\x80\2ctorch\nFloatStorage\n)R."), LCM_ERR_UNSUPPORTED, "torch.FloatStorage");
    refused(BYTES("\x80\2ccollections\nOrderedDict\nN\x85R."), LCM_ERR_UNSUPPORTED, "collections.OrderedDict");
    refused(BYTES("\x80\2" MATRIX "}b."), LCM_ERR_UNSUPPORTED, "BUILD");
    refused(BYTES("\x80\2X\1\0\0\0aQ."), LCM_ERR_UNSUPPORTED, "not a storage");
    refused(BYTES("\x80\2(X\6\0\0\0moduleNNNNtQ."), LCM_ERR_UNSUPPORTED, "not a storage");
}

static void lies_are_refused(void **state) {
    (void)state;
    refused(BYTES("\x80\2]K\1K\2s."), LCM_ERR_FORMAT, "adds pairs to something else"); /* CVE-2026-24747 */
    refused(BYTES("\x80\2}K\1a."), LCM_ERR_FORMAT, "adds items to something else");
    refused(BYTES("\x80\2}(K\1u."), LCM_ERR_FORMAT, "a key without a value");
    refused(BYTES("\x80\2Nr\xff\xff\xff\xff."), LCM_ERR_FORMAT, "memo 4294967295");
    refused(BYTES("\x80\2h\0."), LCM_ERR_FORMAT, "memo 0");
    refused(BYTES("\x80\2q\0."), LCM_ERR_FORMAT, "nothing to remember");
    refused(BYTES("\x80\2N(\x85."), LCM_ERR_FORMAT, "too little on the stack"); /* not below the mark */
    refused(BYTES("\x80\2t."), LCM_ERR_FORMAT, "no mark");
    refused(BYTES("\x80\2NN."), LCM_ERR_FORMAT, "2 values");
    refused(BYTES("\x80\2N(."), LCM_ERR_FORMAT, "1 marks");
    refused(BYTES("\x80\2."), LCM_ERR_FORMAT, "0 values");
    refused(BYTES("\x80\2X\xff\xff\xff\xff" "a."), LCM_ERR_FORMAT, "ends within");
    refused(BYTES("\x80\2X\1\0\0\0\xff."), LCM_ERR_FORMAT, "UTF-8");
    refused(BYTES("\x80\2X\1\0\0\0\0."), LCM_ERR_FORMAT, "NUL");
    refused(BYTES("\x80\2N"), LCM_ERR_FORMAT, "no end");
    refused(BYTES("\x80\2cos"), LCM_ERR_FORMAT, "ends within");
    /* Tensors: storage too short, offset, stride, shape; sizes that overflow; overlap. */
    refused(BYTES(DICT_OF(V2 STORAGE("\5") "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tR")), LCM_ERR_FORMAT, "reaches beyond its storage '0' of 5 elements");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\1K\2K\3\x86K\3K\1\x86" HOOKS "tR")), LCM_ERR_FORMAT, "reaches beyond");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "J\xff\xff\xff\xffK\2K\3\x86K\3K\1\x86" HOOKS "tR")), LCM_ERR_FORMAT, "without storage or offset");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0K\2K\3\x86K\3J\xff\xff\xff\xff\x86" HOOKS "tR")), LCM_ERR_FORMAT, "stride is not of natural numbers");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0J\xff\xff\xff\xffK\3\x86K\3K\1\x86" HOOKS "tR")), LCM_ERR_FORMAT, "shape is not of natural numbers");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0K\2K\3\x86K\1\x85" HOOKS "tR")), LCM_ERR_FORMAT, "rank 2 with 1 strides");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0K\2K\3\x86K\1K\1\x86" HOOKS "tR")), LCM_ERR_FORMAT, "overlaps itself");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0\x8a\7\0\0\0\0\0\0\x10\x85K\0\x85" HOOKS "tR")), LCM_ERR_FORMAT, "overlaps itself");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x86\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7fK\1\x86" HOOKS "tR")),
            LCM_ERR_FORMAT, "reaches beyond");
    refused(BYTES(DICT_OF(V2 STORAGE("\6") "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t" HOOKS "tR")), LCM_ERR_FORMAT, "rank 9");
    refused(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\4\0\0\0../0X\3\0\0\0cpuK\6tQ."), LCM_ERR_FORMAT, "no type, name or size");
    refused(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" "0" "X\3\0\0\0cpuJ\xff\xff\xff\xfftQ."), LCM_ERR_FORMAT, "no type, name or size");
}

/* Streams that a recursive or trusting reader would not survive; run() checks the bound on memory. */
static void bombs(void **state) {
    enum { N = 1 << 20 };
    uint8_t *b = malloc(N + 3);
    static const uint8_t self[] = "\x80\2]q\0h\0a."; /* a list that contains itself */
    static const uint8_t twice[] = "\x80\2}q\0X\1\0\0\0dh\0s."; /* a dictionary that does */
    (void)state;
    assert_int_equal(run(BYTES(self), NULL, NULL), LCM_OK);
    assert_int_equal(run(BYTES(twice), NULL, NULL), LCM_OK);
    memset(b, '(', N);
    b[N] = '.';
    refused(b, N + 1, LCM_ERR_FORMAT, "marks are left");
    memset(b, '}', N);
    refused(b, N + 1, LCM_ERR_FORMAT, "values");
    memset(b, 0x94, N);
    b[0] = 'N';
    assert_int_equal(run(b, N + 1, NULL, NULL), LCM_OK);
    memset(b, 0x85, N); /* ((((None,),),),) a million deep */
    b[0] = 'N';
    assert_int_equal(run(b, N + 1, NULL, NULL), LCM_OK);
    for (int i = 0; i + 1 < N; i += 2) memcpy(b + i, i ? "]a" : "]]", 2); /* lists in lists, by APPEND */
    refused(b, N, LCM_ERR_FORMAT, "no end");
    free(b);
}

/* ---- Containers ---- */

static const float six[6] = {1, 2, 3, 4, 5, 6};
static const uint8_t good_pickle[] = DICT_OF(MATRIX);

static lcm_buf archive(zip_faults f, const void *pickle, size_t len, const char *comment) {
    zip_build z = {.f = f};
    zip_add(&z, "r/data.pkl", pickle, len);
    zip_add(&z, "r/data/0", six, sizeof six);
    zip_end(&z, comment);
    return z.b;
}

static lcm_status open_bytes(const lcm_buf *b, lcm_weights **w) { return lcm_weights_parse(ctx, w, (const uint8_t *)b->data, b->len); }

static void file_refused(lcm_buf b, const char *message) {
    lcm_weights *w;
    lcm_status st = open_bytes(&b, &w);
    if (w) fail_msg("read, though it should be refused with: %s", message);
    if (st == LCM_OK || strstr(lcm_ctx_message(ctx), message) == NULL) fail_msg("no '%s' in '%s' (%d)", message, lcm_ctx_message(ctx), st);
    lcm_buf_free(&b);
}

static void archives(void **state) {
    lcm_buf b = archive((zip_faults){0}, good_pickle, sizeof good_pickle - 1, "");
    const lcm_weight *t;
    lcm_weights *w;
    real x[6];
    (void)state;
    assert_int_equal(open_bytes(&b, &w), LCM_OK);
    t = lcm_weights_find(w, "w");
    assert_non_null(t);
    assert_int_equal(t->count, 6);
    assert_int_equal(lcm_weights_read(ctx, x, w, t, 0, 6), LCM_OK);
    for (int i = 0; i < 6; i++) assert_true(x[i] == (real)six[i]);
    assert_int_equal(lcm_weights_read(ctx, x, w, t, 4, 1), LCM_OK);
    assert_true(x[0] == 5);
    lcm_weights_close(w);
    for (size_t n = 0; n < b.len; n++) { /* every prefix is refused, or is the file */
        lcm_buf cut = {0};
        zip_text(&cut, b.data, n);
        if (open_bytes(&cut, &w) == LCM_OK) fail_msg("a file cut to %zu of %zu bytes is read", n, b.len);
        lcm_buf_free(&cut);
    }
    zip_text(&b, "x", 1);
    file_refused(b, "zip");
    b = archive((zip_faults){0}, good_pickle, sizeof good_pickle - 1, "PK\5\6 is no end record here");
    assert_int_equal(open_bytes(&b, &w), LCM_OK);
    assert_int_equal(lcm_weights_count(w), 1);
    lcm_weights_close(w);
    lcm_buf_free(&b);
}

static void false_archives(void **state) {
    const void *p = good_pickle;
    size_t n = sizeof good_pickle - 1;
    zip_build z = {0};
    (void)state;
    file_refused(archive((zip_faults){.method = 8}, p, n, ""), "compressed");
    file_refused(archive((zip_faults){.flags = 1}, p, n, ""), "encrypted");
    file_refused(archive((zip_faults){.extra_size = 1}, p, n, ""), "zip");
    file_refused(archive((zip_faults){.extra_size = 0x7fffffff}, p, n, ""), "zip");
    file_refused(archive((zip_faults){.crc_xor = 1}, p, n, ""), "damaged");
    file_refused(archive((zip_faults){.offset_shift = 1}, p, n, ""), "zip");
    file_refused(archive((zip_faults){.extra_entries = 1}, p, n, ""), "zip");
    file_refused(archive((zip_faults){.extra_entries = 60000}, p, n, ""), "zip");
    file_refused(archive((zip_faults){.local_name = "r/data.pk2"}, p, n, ""), "zip");
    zip_add(&z, "r/data.pkl", p, n); /* without its storage */
    zip_end(&z, "");
    file_refused(z.b, "no entry 'r/data/0'");
    z = (zip_build){0};
    zip_add(&z, "r/data.pkl", p, n);
    zip_add(&z, "r/data/0", six, 20);
    zip_end(&z, "");
    file_refused(z.b, "storage '0' of 6 F32 is an entry of 20 bytes");
    z = (zip_build){0};
    zip_add(&z, "r/data.pkl", p, n);
    zip_add(&z, "r/data/0", six, sizeof six);
    zip_add(&z, "s/data.pkl", p, n);
    zip_end(&z, "");
    file_refused(z.b, "2 entries 'data.pkl'");
    z = (zip_build){0};
    zip_add(&z, "../data.pkl", p, n);
    zip_add(&z, "r/data/0", six, sizeof six);
    zip_end(&z, "");
    file_refused(z.b, "no entry '../data/0'"); /* names are looked up in the archive; no path is opened */
    z = (zip_build){0};
    zip_add(&z, "r/data.pkl", p, n);
    zip_add(&z, "r/data/0", six, sizeof six);
    zip_add(&z, "r/byteorder", "big", 3);
    zip_end(&z, "");
    file_refused(z.b, "little-endian");
    file_refused(archive((zip_faults){0}, BYTES("\x80\2N."), ""), "no dictionary of tensors");
}

/* The same storage under two types, and a Zip64 record that counts 2^40 entries. */
static void false_sizes(void **state) {
    static const uint8_t two[] = "\x80\2}(X\1\0\0\0w" MATRIX "X\1\0\0\0v" V2 STORAGE_OF("torch\nDoubleStorage", "\3") "K\0K\3\x85K\1\x85" HOOKS "tRu.";
    lcm_buf b = archive((zip_faults){0}, BYTES(two), ""), end = {0};
    size_t at;
    (void)state;
    file_refused(b, "two types or sizes");
    b = archive((zip_faults){0}, good_pickle, sizeof good_pickle - 1, "");
    at = b.len - 22;
    zip_text(&end, b.data + at, 22);
    b.len = at;
    zip_text(&b, "PK\6\6", 4);
    zip_le(&b, 44, 8);
    zip_le(&b, 45, 2);
    zip_le(&b, 45, 2);
    zip_le(&b, 0, 8);
    zip_le(&b, (uint64_t)1 << 40, 8);
    zip_le(&b, (uint64_t)1 << 40, 8);
    zip_le(&b, 100, 8);
    zip_le(&b, at - 100, 8);
    zip_text(&b, "PK\6\7", 4);
    zip_le(&b, 0, 4);
    zip_le(&b, at, 8);
    zip_le(&b, 1, 4);
    zip_text(&b, end.data, end.len);
    lcm_buf_free(&end);
    file_refused(b, "zip");
}

/* Before torch 1.6: a good file, every prefix, and a size that lies. */
static void streams(void **state) {
    static const uint8_t head[] = "\x80\2\x8a\12\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." "\x80\2M\xe9\3."
                                  "\x80\2}X\15\0\0\0little_endian\x88s." DICT_OF(MATRIX) "\x80\2]X\1\0\0\0" "0" "a.";
    lcm_buf b = {0};
    lcm_weights *w;
    real x[6];
    size_t numel_at;
    (void)state;
    zip_text(&b, head, sizeof head - 1);
    numel_at = b.len;
    zip_le(&b, 6, 8);
    zip_text(&b, six, sizeof six);
    assert_int_equal(open_bytes(&b, &w), LCM_OK);
    assert_int_equal(lcm_weights_read(ctx, x, w, lcm_weights_find(w, "w"), 0, 6), LCM_OK);
    assert_true(x[5] == 6);
    lcm_weights_close(w);
    for (size_t n = 0; n < b.len; n++) {
        lcm_buf cut = {0};
        zip_text(&cut, b.data, n);
        if (open_bytes(&cut, &w) == LCM_OK) fail_msg("a file cut to %zu of %zu bytes is read", n, b.len);
        lcm_buf_free(&cut);
    }
    b.data[numel_at] = 7;
    file_refused(b, "7 are announced");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),   cmocka_unit_test(tensor),         cmocka_unit_test(code_is_refused),
        cmocka_unit_test(lies_are_refused), cmocka_unit_test(bombs),  cmocka_unit_test(archives),
        cmocka_unit_test(false_archives),   cmocka_unit_test(false_sizes), cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
