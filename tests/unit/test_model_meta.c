/* Model file convention: what is written is read, what is missing, malformed or newer is refused. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modelfile/model_meta.h"

static const real x[4] = {1, 2, 3, 4};

static lcm_st_writer *new_writer(lcm_ctx *ctx) {
    lcm_st_writer *w;
    assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
    assert_int_equal(lcm_st_writer_add_real(ctx, w, "encoder.x", LCM_DT_F32, (int64_t[]){4}, 1, x), LCM_OK);
    return w;
}

static void round_trip(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char path[] = "/tmp/lcm-meta-XXXXXX";
    json_t *config = json_pack("{s:f,s:i,s:s}", "rate", 0.1, "layers", 3, "name", "\xc3\xa9\"\n"), *from = json_object();
    lcm_st_writer *w = new_writer(ctx);
    lcm_model_meta m;
    lcm_st *st;
    (void)state;
    close(mkstemp(path));
    assert_int_equal(lcm_model_meta_write(ctx, w, "two_tower", UINT64_C(0x00ff00000000abcd), config, from), LCM_OK);
    assert_int_equal(lcm_st_writer_commit(ctx, w, path), LCM_OK);
    assert_int_equal(lcm_model_open(ctx, &st, &m, path, "two_tower"), LCM_OK);
    assert_string_equal(lcm_st_meta(st, "lcm.space"), "00ff00000000abcd");
    assert_string_equal(lcm_st_meta(st, "lcm.format"), "1");
    assert_true(m.space == UINT64_C(0x00ff00000000abcd));
    assert_true(json_equal(m.config, config));
    assert_true(json_equal(m.provenance, from));
    lcm_model_meta_free(&m);
    lcm_st_close(st);
    assert_int_equal(lcm_model_open(ctx, &st, &m, path, "sonar"), LCM_ERR_FORMAT);
    assert_null(st);
    assert_non_null(strstr(lcm_ctx_message(ctx), path));
    assert_non_null(strstr(lcm_ctx_message(ctx), "is a model of kind 'two_tower', expected 'sonar'"));
    lcm_st_writer_free(w);
    json_decref(config);
    json_decref(from);
    unlink(path);
    lcm_ctx_free(ctx);
}

/* Writes good keys, then replaces (or, value NULL, leaves out) one. */
static lcm_status with_key(lcm_ctx *ctx, const char *key, const char *value) {
    static const char *const good[][2] = {
        {"lcm.format", "1"}, {"lcm.kind", "base"}, {"lcm.config", "{}"}, {"lcm.provenance", "{}"}, {"lcm.space", "0123456789abcdef"},
        {"lcm.train", NULL}};
    lcm_st_writer *w = new_writer(ctx);
    lcm_buf b = {0};
    lcm_model_meta m;
    lcm_st *st;
    lcm_status status;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *v = strcmp(good[i][0], key) == 0 ? value : good[i][1];
        if (v) assert_int_equal(lcm_st_writer_meta(ctx, w, good[i][0], v), LCM_OK);
    }
    assert_int_equal(lcm_st_writer_commit_buf(ctx, w, &b), LCM_OK);
    assert_int_equal(lcm_st_parse(ctx, &st, b.data, b.len), LCM_OK);
    status = lcm_model_meta_read(ctx, &m, st);
    lcm_model_meta_free(&m);
    lcm_st_close(st);
    lcm_st_writer_free(w);
    lcm_buf_free(&b);
    return status;
}

static void refuses_bad_keys(void **state) {
    static const struct { const char *key, *value; lcm_status want; } cases[] = {
        {"", "", LCM_OK},
        {"lcm.format", NULL, LCM_ERR_FORMAT},
        {"lcm.kind", NULL, LCM_ERR_FORMAT},
        {"lcm.config", NULL, LCM_ERR_FORMAT},
        {"lcm.provenance", NULL, LCM_OK},
        {"lcm.space", NULL, LCM_ERR_FORMAT},
        {"lcm.format", "2", LCM_ERR_VERSION},
        {"lcm.format", "18446744073709551617", LCM_ERR_VERSION},
        {"lcm.format", "0", LCM_ERR_FORMAT},
        {"lcm.format", "", LCM_ERR_FORMAT},
        {"lcm.format", "-1", LCM_ERR_FORMAT},
        {"lcm.format", "1.0", LCM_ERR_FORMAT},
        {"lcm.kind", "", LCM_ERR_FORMAT},
        {"lcm.kind", "Base", LCM_ERR_FORMAT},
        {"lcm.kind", "0123456789012345678901234567890", LCM_OK},
        {"lcm.kind", "01234567890123456789012345678901", LCM_ERR_FORMAT},
        {"lcm.config", "", LCM_ERR_FORMAT},
        {"lcm.config", "[]", LCM_ERR_FORMAT},
        {"lcm.config", "{\"a\":1,\"a\":2}", LCM_ERR_FORMAT},
        {"lcm.provenance", "1", LCM_ERR_FORMAT},
        {"lcm.train", "{}", LCM_OK},
        {"lcm.train", "{\"steps\": 3, \"items\": 1e9, \"unit\": \"tokens\", \"flops\": 2.5e20, \"seconds\": 1, \"seed\": 7}", LCM_OK},
        {"lcm.train", "{\"steps\": 3, \"trained\": 5, \"fixed\": 2}", LCM_OK},
        {"lcm.train", "{\"fixed\": -2}", LCM_ERR_FORMAT},
        {"lcm.train", "", LCM_ERR_FORMAT},
        {"lcm.train", "[]", LCM_ERR_FORMAT},
        {"lcm.train", "{\"steps\": -1}", LCM_ERR_FORMAT},
        {"lcm.train", "{\"flops\": \"many\"}", LCM_ERR_FORMAT},
        {"lcm.train", "{\"unit\": \"0123456789abcdef\"}", LCM_ERR_FORMAT},
        {"lcm.train", "{\"steps\": 1, \"further\": 1}", LCM_ERR_FORMAT},
        {"lcm.space", "0123456789abcde", LCM_ERR_FORMAT},
        {"lcm.space", "0123456789abcdef0", LCM_ERR_FORMAT},
        {"lcm.space", "0123456789ABCDEF", LCM_ERR_FORMAT},
        {"lcm.space", "0x23456789abcdef", LCM_ERR_FORMAT},
    };
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_status st = with_key(ctx, cases[i].key, cases[i].value);
        if (st != cases[i].want) fail_msg("%s = %s: status %d", cases[i].key, cases[i].value, st);
        if (st && strstr(lcm_ctx_message(ctx), st == LCM_ERR_VERSION ? "model format" : cases[i].key) == NULL)
            fail_msg("%s = %s: message is '%s'", cases[i].key, cases[i].value, lcm_ctx_message(ctx));
    }
    lcm_ctx_free(ctx);
}

static void spaces_must_agree(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    uint64_t h = 0;
    char hex[17];
    (void)state;
    assert_int_equal(lcm_model_check_space(ctx, 0xab, "'m'", 0xab), LCM_OK);
    assert_int_equal(lcm_model_check_space(ctx, 0xab, "'m.safetensors'", 0xac), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "'m.safetensors' was made for the SONAR space 00000000000000ab, but the "
                                              "SONAR model given speaks 00000000000000ac");
    lcm_space_format(hex, UINT64_MAX - 1);
    assert_true(lcm_space_parse(&h, hex) && h == UINT64_MAX - 1);
    lcm_ctx_free(ctx);
}

static void writer_refuses(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_st_writer *w = new_writer(ctx);
    json_t *obj = json_object(), *list = json_array();
    (void)state;
    assert_int_equal(lcm_model_meta_write(ctx, w, "Two Tower", 1, obj, obj), LCM_ERR_ARG);
    assert_int_equal(lcm_model_meta_write(ctx, w, "base", 1, list, obj), LCM_ERR_ARG);
    assert_int_equal(lcm_model_meta_write(ctx, w, "base", 1, NULL, obj), LCM_ERR_ARG);
    assert_int_equal(lcm_model_meta_write(ctx, w, "base", 1, obj, list), LCM_ERR_ARG);
    json_decref(obj);
    json_decref(list);
    lcm_st_writer_free(w);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),        cmocka_unit_test(refuses_bad_keys), cmocka_unit_test(spaces_must_agree),
        cmocka_unit_test(writer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
