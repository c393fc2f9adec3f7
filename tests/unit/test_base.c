/* base/: RNG against published Philox vectors, arena, buffers, files, typed configuration. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"

static void philox_known_answers(void **state) {
    /* Random123 kat_vectors, philox4x32 10 rounds */
    uint32_t w[4];
    (void)state;
    lcm_rng_block(w, 0, 0, 0);
    assert_int_equal(w[0], 0x6627e8d5);
    assert_int_equal(w[1], 0xe169c58d);
    assert_int_equal(w[2], 0xbc57ac4c);
    assert_int_equal(w[3], 0x9b00dbd8);
    lcm_rng_block(w, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_int_equal(w[0], 0x408f276d);
    assert_int_equal(w[1], 0x41c83b0e);
    assert_int_equal(w[2], 0xa20bc7c6);
    assert_int_equal(w[3], 0x6d5451fd);
}

static void normal_has_unit_variance(void **state) {
    lcm_rng r = lcm_rng_make(7, LCM_RNG_TEST);
    double s = 0, ss = 0;
    int n = 200000;
    (void)state;
    for (int i = 0; i < n; i++) {
        double x = lcm_rng_normal(&r);
        s += x;
        ss += x * x;
    }
    /* five standard errors: 5/sqrt(n) and 5*sqrt(2/n) */
    assert_true(fabs(s / n) < 5 / sqrt(n));
    assert_true(fabs(ss / n - 1) < 5 * sqrt(2.0 / n));
}

static void arena_steady_state(void **state) {
    lcm_arena *a = lcm_arena_new(1000);
    size_t after_first = 0;
    (void)state;
    for (int step = 0; step < 5; step++) {
        for (int i = 1; i < 50; i++) {
            char *p = lcm_arena_alloc(a, (size_t)i * 97);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            memset(p, step, (size_t)i * 97);
        }
        lcm_arena_reset(a);
        if (step == 0) after_first = lcm_arena_system_allocs(a);
    }
    assert_int_equal(lcm_arena_system_allocs(a), after_first);
    lcm_arena_free(a);
}

static void utf8_strict(void **state) {
    (void)state;
    assert_int_equal(lcm_utf8_valid_prefix("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", 10), 10);
    assert_int_equal(lcm_utf8_valid_prefix("a\xc0\x80", 3), 1);         /* overlong */
    assert_int_equal(lcm_utf8_valid_prefix("ab\xed\xa0\x80", 5), 2);    /* surrogate */
    assert_int_equal(lcm_utf8_valid_prefix("\xf4\x90\x80\x80", 4), 0);  /* > U+10FFFF */
    assert_int_equal(lcm_utf8_valid_prefix("x\xe4\xb8", 3), 1);         /* cut */
}

typedef struct inner { double rate; } inner;
typedef struct outer {
    int64_t n;
    bool on;
    int mode;
    char name[8];
    inner opt;
} outer;

static const char *const modes[] = {"slow", "fast", NULL};
static const lcm_field inner_fields[] = {LCM_F_REAL(inner, rate, 0, 1, ""), LCM_F_END};
static const lcm_field outer_fields[] = {LCM_F_INT(outer, n, 1, 10, ""), LCM_F_BOOL(outer, on, ""),
                                         LCM_F_ENUM(outer, mode, modes, ""), LCM_F_STRING(outer, name, ""),
                                         LCM_F_STRUCT(outer, opt, inner_fields, ""), LCM_F_END};

static lcm_status parse(lcm_ctx *ctx, outer *o, const char *text) {
    json_t *j;
    lcm_status st = lcm_json_parse(ctx, &j, text, strlen(text), "test");
    if (st == LCM_OK) st = lcm_config_read(ctx, o, outer_fields, j, "cfg");
    json_decref(j);
    return st;
}

static void config_is_strict(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    outer o = {.n = 3};
    json_t *j;
    (void)state;
    assert_int_equal(parse(ctx, &o, "{\"on\":true,\"mode\":\"fast\",\"name\":\"abc\",\"opt\":{\"rate\":0.5}}"), LCM_OK);
    assert_true(o.n == 3 && o.on && o.mode == 1 && o.opt.rate == 0.5);
    assert_string_equal(o.name, "abc");
    assert_int_equal(parse(ctx, &o, "{\"n\":11}"), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "cfg.n: 11 is outside 1 … 10");
    assert_int_equal(parse(ctx, &o, "{\"m\":1}"), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "cfg: unknown key 'm'");
    assert_int_equal(parse(ctx, &o, "{\"opt\":{\"rate\":2}}"), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "cfg.opt.rate: 2 is outside 0 … 1");
    assert_int_equal(parse(ctx, &o, "{\"n\":1,\"n\":2}"), LCM_ERR_FORMAT);
    assert_int_equal(parse(ctx, &o, "{\"mode\":\"x\"}"), LCM_ERR_ARG);
    assert_int_equal(parse(ctx, &o, "{\"name\":\"12345678\"}"), LCM_ERR_ARG);
    j = json_pack("{}");
    assert_int_equal(lcm_json_override(ctx, j, "opt.rate=0.25"), LCM_OK);
    assert_int_equal(lcm_json_override(ctx, j, "name=hi"), LCM_OK);
    assert_int_equal(lcm_config_read(ctx, &o, outer_fields, j, "cfg"), LCM_OK);
    assert_true(o.opt.rate == 0.25);
    assert_string_equal(o.name, "hi");
    json_decref(j);
    j = lcm_config_write(&o, outer_fields);
    memset(&o, 0, sizeof o);
    assert_int_equal(lcm_config_read(ctx, &o, outer_fields, j, "cfg"), LCM_OK);
    assert_true(o.opt.rate == 0.25);
    json_decref(j);
    lcm_ctx_free(ctx);
}

static void messages_are_one_line(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    lcm_fail(ctx, LCM_ERR_FORMAT, "tensor '%s'", "a\nb\033[2Jc");
    assert_string_equal(lcm_ctx_message(ctx), "tensor 'a?b?[2Jc'");
    lcm_fail_within(ctx, LCM_ERR_FORMAT, "file '%s'", "x");
    assert_string_equal(lcm_ctx_message(ctx), "file 'x': tensor 'a?b?[2Jc'");
    lcm_ctx_free(ctx);
}

static void files_are_replaced_whole(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char dir[] = "/tmp/lcm-base-XXXXXX", path[LCM_PATH_MAX];
    lcm_buf b = {0};
    lcm_writer *w;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(lcm_path_join(ctx, path, sizeof path, dir, "a"), LCM_OK);
    assert_int_equal(lcm_write_file(ctx, path, "one", 3), LCM_OK);
    assert_int_equal(lcm_writer_open(ctx, &w, path), LCM_OK);
    assert_int_equal(lcm_writer_put(ctx, w, "two!", 4), LCM_OK);
    lcm_writer_abort(w);
    assert_int_equal(lcm_read_file(ctx, &b, path, 100), LCM_OK);
    assert_string_equal(b.data, "one");
    lcm_buf_free(&b);
    assert_int_equal(lcm_read_file(ctx, &b, path, 2), LCM_ERR_LIMIT);
    lcm_buf_free(&b);
    assert_int_equal(lcm_read_file(ctx, &b, "/nonexistent/x", 2), LCM_ERR_NOTFOUND);
    lcm_buf_free(&b);
    assert_int_equal(lcm_remove_tree(ctx, dir), LCM_OK);
    assert_false(lcm_exists(dir));
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers), cmocka_unit_test(normal_has_unit_variance),
        cmocka_unit_test(arena_steady_state),   cmocka_unit_test(utf8_strict),
        cmocka_unit_test(config_is_strict),     cmocka_unit_test(files_are_replaced_whole), cmocka_unit_test(messages_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
