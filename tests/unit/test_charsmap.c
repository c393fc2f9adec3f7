/* token/charsmap: hostile character maps inside a model that is otherwise good. */
#include "spm_build.h"

/* ------------------------------------------------------------------ faults */

static void put_raw_map(lcm_buf *b, const void *data, size_t len) {
    lcm_buf spec = {0};
    put_good(b);
    put_bytes(&spec, 2, data, len);
    put_message(b, 3, &spec);
}

static void map_of_3_bytes(lcm_buf *b) { put_raw_map(b, "\x04\x00\x00", 3); }
static void map_without_trie(lcm_buf *b) { put_raw_map(b, "\x00\x00\x00\x00x", 6); }
static void map_of_odd_trie(lcm_buf *b) { put_raw_map(b, "\x05\x00\x00\x00\x00\x00\x00\x00\x00x", 11); }
static void map_trie_too_long(lcm_buf *b) { put_raw_map(b, "\xfc\xff\xff\xff\x00\x00\x00\x00x", 10); }
static void map_without_values(lcm_buf *b) { put_raw_map(b, "\x04\x00\x00\x00\x00\x00\x00\x80", 8); }

static void map_too_big(lcm_buf *b) {
    size_t len = LCM_SPM_MAX_MAP_BYTES + 1;
    char *data = calloc(len, 1);
    assert_non_null(data);
    put_raw_map(b, data, len);
    free(data);
}

static void map_root_outside(lcm_buf *b) {
    map *m = chain_map(1, 1);
    m->units[0] = 0x80000000u; /* as if it were a leaf: leads to unit 2^21 */
    put_good(b);
    put_map(b, m);
}

static void map_unit_outside(lcm_buf *b) {
    map *m = chain_map(1, 1);
    m->units[base(0) ^ 'a'] = 0x1ffffeu << 10 | 'a';
    put_good(b);
    put_map(b, m);
}

static void map_base_at_the_rim(lcm_buf *b) { /* the base is inside, its children for high bytes are not */
    map *m = chain_map(1, 0);
    m->n -= 64;
    put_good(b);
    put_map(b, m);
}

static void map_circle(lcm_buf *b) {
    map *m = chain_map(3, 1);
    edge(m, 2, 'z', 0, false);
    put_good(b);
    put_map(b, m);
}

static void map_circle_of_zero_units(lcm_buf *b) { /* a zero unit leads from byte 0 back to itself */
    map *m = chain_map(1, 1);
    m->units[base(0)] = 0;
    put_good(b);
    put_map(b, m);
}

static void map_value_outside(lcm_buf *b) {
    map *m = chain_map(1, 1);
    m->units[base(1)] |= 3; /* three bytes of replacements, 0 to 2 */
    put_good(b);
    put_map(b, m);
}

static void map_value_endless(lcm_buf *b) {
    map *m = chain_map(1, 1);
    put(&m->values, "cc", 2);
    put_good(b);
    put_map(b, m);
}

static void map_value_too_long(lcm_buf *b) {
    map *m = chain_map(1, 1);
    char text[LCM_SPM_MAX_MAP_VALUE_BYTES + 2] = {0};
    memset(text, 'c', sizeof text - 1);
    m->values.len = 0;
    put(&m->values, text, sizeof text);
    put_good(b);
    put_map(b, m);
}

static void map_value_not_utf8(lcm_buf *b) {
    map *m = chain_map(1, 1);
    m->values.data[0] = '\xe2';
    put_good(b);
    put_map(b, m);
}

static void map_nested_keys(lcm_buf *b) {
    put_good(b);
    put_map(b, chain_map(LCM_SPM_MAX_MAP_NESTED_KEYS + 1, LCM_SPM_MAX_MAP_NESTED_KEYS + 1));
}

static void map_deep_key(lcm_buf *b) {
    put_good(b);
    put_map(b, chain_map(LCM_SPM_MAX_MAP_KEY_BYTES + 1, 1));
}

static void map_of_denormalizer(lcm_buf *b) {
    lcm_buf spec = {0}, bytes;
    map *m = chain_map(3, 1);
    edge(m, 2, 'z', 0, false);
    bytes = map_bytes(m);
    put_good(b);
    put_message(&spec, 2, &bytes);
    put_message(b, 5, &spec);
}

static const hostile CASES[] = {
    HOSTILE(map_of_3_bytes, LCM_ERR_FORMAT, "3 bytes hold no header"),
    HOSTILE(map_without_trie, LCM_ERR_FORMAT, "a trie of 0 bytes"),
    HOSTILE(map_of_odd_trie, LCM_ERR_FORMAT, "a trie of 5 bytes"),
    HOSTILE(map_trie_too_long, LCM_ERR_FORMAT, "a trie of 4294967292 bytes in a map of 10"),
    HOSTILE(map_without_values, LCM_ERR_FORMAT, "a trie of 4 bytes in a map of 8"),
    HOSTILE(map_too_big, LCM_ERR_LIMIT, "4194305 bytes, the limit is 4194304"),
    HOSTILE(map_root_outside, LCM_ERR_FORMAT, "unit 2097152, the trie has 768"),
    HOSTILE(map_unit_outside, LCM_ERR_FORMAT, "the trie has 768"),
    HOSTILE(map_base_at_the_rim, LCM_ERR_FORMAT, "unit 704, the trie has 704"),
    HOSTILE(map_circle, LCM_ERR_FORMAT, "in a circle"),
    HOSTILE(map_circle_of_zero_units, LCM_ERR_FORMAT, "in a circle"),
    HOSTILE(map_value_outside, LCM_ERR_FORMAT, "replacement at 3, there are 3 bytes"),
    HOSTILE(map_value_endless, LCM_ERR_FORMAT, "the last replacement has no end"),
    HOSTILE(map_value_too_long, LCM_ERR_LIMIT, "longer than 64 bytes"),
    HOSTILE(map_value_not_utf8, LCM_ERR_FORMAT, "replacement at 0 is not valid UTF-8"),
    HOSTILE(map_nested_keys, LCM_ERR_LIMIT, "more than 32 keys"),
    HOSTILE(map_deep_key, LCM_ERR_LIMIT, "more than 256 bytes"),
    HOSTILE(map_of_denormalizer, LCM_ERR_FORMAT, "in a circle"),
};

/* ------------------------------------------------------------------ tests */

static void hostile_maps_are_refused(void **state) {
    (void)state;
    assert_refused(CASES, sizeof CASES / sizeof *CASES);
}

static void assert_normal(lcm_ctx *ctx, const lcm_tokenizer *tok, const char *text, size_t len, const char *want) {
    lcm_buf got = {0};
    assert_int_equal(lcm_tokenizer_normalize(ctx, &got, tok, text, len), LCM_OK);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
    lcm_buf_free(&got);
}

/* One step inside the limits is accepted, and the library really runs there. */
static void map_at_the_limit_works(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char text[100];
    lcm_buf b = {0};
    lcm_tokenizer *tok;
    (void)state;
    put_good(&b);
    put_map(&b, chain_map(LCM_SPM_MAX_MAP_KEY_BYTES, LCM_SPM_MAX_MAP_NESTED_KEYS));
    tok = load_model(ctx, &b);
    memset(text, 'a', sizeof text); /* 32 at a time become "bb", the last 4 too */
    assert_normal(ctx, tok, text, sizeof text, "bbbbbbbb");
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

/* Two ways into one base is no circle: tries that share their tails are legal. */
static void shared_tails_are_legal(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_buf b = {0};
    map *m = new_map(3);
    lcm_tokenizer *tok;
    (void)state;
    edge(m, 0, 'x', 1, false);
    edge(m, 0, 'y', 1, false);
    edge(m, 1, 'z', 2, true);
    put_good(&b);
    put_map(&b, m);
    tok = load_model(ctx, &b);
    assert_normal(ctx, tok, "xzayzx", 6, "bbabbx");
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_maps_are_refused),
        cmocka_unit_test(map_at_the_limit_works),
        cmocka_unit_test(shared_tails_are_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
