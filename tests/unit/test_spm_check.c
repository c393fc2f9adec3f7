/* token/spm_check: hostile SentencePiece models, each built here byte by byte from a good one with a
 * single fault. Each must give its status and one line, and must never reach the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "token/spm_check.h"
#include "token/tokenizer.h"

/* ------------------------------------------------------------------ writing protobuf */

static void put(lcm_buf *b, const void *data, size_t len) { assert_int_equal(lcm_buf_append(NULL, b, data, len), 0); }

static void put_varint(lcm_buf *b, uint64_t v) {
    for (; v >= 128; v >>= 7) put(b, &(char){(char)(v | 128)}, 1);
    put(b, &(char){(char)v}, 1);
}

static void put_int(lcm_buf *b, int field, uint64_t v) {
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, v);
}

static void put_float(lcm_buf *b, int field, float v) {
    put_varint(b, (uint64_t)field << 3 | 5);
    put(b, &v, 4);
}

static void put_bytes(lcm_buf *b, int field, const void *data, size_t len) {
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, len);
    put(b, data, len);
}

static void put_message(lcm_buf *b, int field, lcm_buf *message) {
    put_bytes(b, field, message->data, message->len);
    lcm_buf_free(message);
}

static void put_piece_n(lcm_buf *b, const char *text, size_t len, float score, int type) {
    lcm_buf p = {0};
    put_bytes(&p, 1, text, len);
    put_float(&p, 2, score);
    if (type != LCM_SPM_NORMAL) put_int(&p, 3, (uint64_t)type);
    put_message(b, 1, &p);
}

static void put_piece(lcm_buf *b, const char *text, int type) {
    put_piece_n(b, text, strlen(text), type == LCM_SPM_NORMAL ? -1.5f : 0.0f, type);
}

/* ------------------------------------------------------------------ a good model in parts */

static void put_head(lcm_buf *b) {
    put_piece(b, "<unk>", LCM_SPM_UNKNOWN);
    put_piece(b, "<s>", LCM_SPM_CONTROL);
    put_piece(b, "</s>", LCM_SPM_CONTROL);
}

static void put_body(lcm_buf *b) {
    static const char *const texts[] = {"\xe2\x96\x81", "a", "b", "ab", "\xe2\x96\x81" "a"};
    for (int i = 0; i < 5; i++) put_piece(b, texts[i], LCM_SPM_NORMAL);
}

static void put_good(lcm_buf *b) {
    put_head(b);
    put_body(b);
}

static void put_trainer_int(lcm_buf *b, int field, uint64_t v) {
    lcm_buf t = {0};
    put_int(&t, field, v);
    put_message(b, 2, &t);
}

/* ------------------------------------------------------------------ character maps */

enum { BLOCK = 256, MAX_BASES = 300 };

/* Base k is unit 256 (k + 1). Untouched units have the top bit set and match no byte. */
typedef struct map {
    uint32_t units[BLOCK * (MAX_BASES + 1)];
    uint32_t n;
    lcm_buf values;
} map;

static map *new_map(int n_bases) {
    map *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->n = (uint32_t)(BLOCK * (n_bases + 1));
    for (uint32_t i = 0; i < m->n; i++) m->units[i] = 0x80000000u;
    m->units[0] = (uint32_t)BLOCK << 10; /* the root leads to base 0 */
    put(&m->values, "bb", 3);
    return m;
}

static uint32_t base(int k) { return (uint32_t)(BLOCK * (k + 1)); }

static void edge(map *m, int from, uint8_t c, int to, bool is_key) {
    uint32_t at = base(from) ^ c;
    m->units[at] = (at ^ base(to)) << 10 | (uint32_t)is_key << 8 | c;
    if (is_key) m->units[base(to)] = 0x80000000u; /* value 0: the first replacement */
}

static lcm_buf map_bytes(map *m) {
    lcm_buf b = {0};
    uint32_t trie_bytes = m->n * 4;
    put(&b, &trie_bytes, 4);
    put(&b, m->units, trie_bytes);
    put(&b, m->values.data, m->values.len);
    lcm_buf_free(&m->values);
    free(m);
    return b;
}

static void put_map(lcm_buf *b, map *m) {
    lcm_buf spec = {0}, bytes = map_bytes(m);
    put_message(&spec, 2, &bytes);
    put_message(b, 3, &spec);
}

/* A chain of `n` bytes 'a'; a key ends after each of the first `n_keys`. */
static map *chain_map(int n, int n_keys) {
    map *m = new_map(n + 1);
    for (int k = 0; k < n; k++) edge(m, k, 'a', k + 1, k < n_keys);
    return m;
}

/* ------------------------------------------------------------------ faults */

static void no_bytes(lcm_buf *b) { (void)b; }

static void empty_piece(lcm_buf *b) {
    put_good(b);
    put_piece(b, "", LCM_SPM_NORMAL);
}

static void textless_piece(lcm_buf *b) {
    lcm_buf p = {0};
    put_good(b);
    put_float(&p, 2, -1);
    put_message(b, 1, &p);
}

static void nul_piece(lcm_buf *b) {
    put_good(b);
    put_piece_n(b, "a\0b", 3, -1, LCM_SPM_NORMAL);
}

static void latin1_piece(lcm_buf *b) {
    put_good(b);
    put_piece(b, "caf\xe9", LCM_SPM_NORMAL);
}

static void duplicate_piece(lcm_buf *b) {
    put_good(b);
    put_piece(b, "ab", LCM_SPM_UNUSED);
}

static void duplicate_of_control(lcm_buf *b) {
    put_good(b);
    put_piece(b, "</s>", LCM_SPM_NORMAL);
}

static void put_long_piece(lcm_buf *b, size_t len) {
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'a', len);
    put_good(b);
    put_piece_n(b, text, len, -1, LCM_SPM_NORMAL);
    free(text);
}

static void long_piece(lcm_buf *b) { put_long_piece(b, LCM_SPM_MAX_PIECE_BYTES + 1); }
static void piece_of_100_kb(lcm_buf *b) { put_long_piece(b, 100000); }

static void too_many_pieces(lcm_buf *b) {
    put_good(b);
    for (int i = 0; i < LCM_SPM_MAX_PIECES - 7; i++) {
        char text[16];
        snprintf(text, sizeof text, "p%d", i);
        put_piece(b, text, LCM_SPM_NORMAL);
    }
}

static void no_unk(lcm_buf *b) {
    put_piece(b, "<s>", LCM_SPM_CONTROL);
    put_piece(b, "</s>", LCM_SPM_CONTROL);
    put_body(b);
}

static void two_unks(lcm_buf *b) {
    put_good(b);
    put_piece(b, "<unk2>", LCM_SPM_UNKNOWN);
}

static void pad_first(lcm_buf *b) {
    put_piece(b, "<pad>", LCM_SPM_CONTROL);
    put_good(b);
}

static void specials_only(lcm_buf *b) { put_head(b); }

static void controls_only(lcm_buf *b) {
    put_head(b);
    put_piece(b, "<mask>", LCM_SPM_CONTROL);
}

static void control_of_one_character(lcm_buf *b) {
    put_good(b);
    put_piece(b, "\xc3\xa9", LCM_SPM_CONTROL);
}

static void nan_score(lcm_buf *b) {
    put_good(b);
    put_piece_n(b, "x", 1, NAN, LCM_SPM_NORMAL);
}

static void infinite_score(lcm_buf *b) {
    put_good(b);
    put_piece_n(b, "x", 1, -INFINITY, LCM_SPM_NORMAL);
}

static void piece_type_7(lcm_buf *b) {
    put_good(b);
    put_piece(b, "x", 7);
}

static void piece_type_0(lcm_buf *b) {
    put_good(b);
    put_piece(b, "x", 0);
}

static void text_given_twice(lcm_buf *b) {
    lcm_buf p = {0};
    put_good(b);
    put_bytes(&p, 1, "x", 1);
    put_bytes(&p, 1, "", 0);
    put_message(b, 1, &p);
}

static void word_model(lcm_buf *b) {
    put_good(b);
    put_trainer_int(b, 3, 3);
}

static void model_type_beyond_32_bits(lcm_buf *b) { /* a reader that cuts to 32 bits sees BPE */
    put_good(b);
    put_trainer_int(b, 3, (UINT64_C(1) << 32) + 2);
}

static void two_trainer_specs(lcm_buf *b) {
    put_good(b);
    put_trainer_int(b, 3, 1);
    put_trainer_int(b, 3, 2);
}

static void missing_byte_pieces(lcm_buf *b) {
    put_good(b);
    put_trainer_int(b, 35, 1);
}

static void put_byte_pieces(lcm_buf *b, int n, const char *format) {
    for (int i = 0; i < n; i++) {
        char text[16];
        snprintf(text, sizeof text, format, i);
        put_piece(b, text, LCM_SPM_BYTE);
    }
}

static void byte_pieces_without_fallback(lcm_buf *b) {
    put_good(b);
    put_byte_pieces(b, 256, "<0x%02X>");
}

static void one_byte_piece_short(lcm_buf *b) {
    put_good(b);
    put_byte_pieces(b, 255, "<0x%02X>");
    put_trainer_int(b, 35, 1);
}

static void lower_case_byte_pieces(lcm_buf *b) {
    put_good(b);
    put_byte_pieces(b, 256, "<0x%02x>");
    put_trainer_int(b, 35, 1);
}

static void negative_byte_piece(lcm_buf *b) {
    put_good(b);
    put_byte_pieces(b, 255, "<0x%02X>");
    put_piece(b, "<0x-1>", LCM_SPM_BYTE);
    put_trainer_int(b, 35, 1);
}

static void huge_surface(lcm_buf *b) {
    char text[LCM_SPM_MAX_SURFACE_BYTES + 1];
    lcm_buf t = {0};
    memset(text, 'u', sizeof text);
    put_good(b);
    put_bytes(&t, 44, text, sizeof text);
    put_message(b, 2, &t);
}

static void broken_surface(lcm_buf *b) {
    lcm_buf t = {0};
    put_good(b);
    put_bytes(&t, 44, "\xff", 1);
    put_message(b, 2, &t);
}

static void huge_self_test(lcm_buf *b) {
    size_t len = LCM_SPM_MAX_SELF_TEST_BYTES + 1;
    char *text = calloc(len, 1);
    assert_non_null(text);
    put_good(b);
    put_bytes(b, 4, text, len);
    free(text);
}

static void put_nested_symbols(lcm_buf *b, int n) {
    char text[128];
    memset(text, 'x', sizeof text);
    put_good(b);
    for (int i = 1; i <= n; i++) put_piece_n(b, text, (size_t)i, 0, LCM_SPM_USER_DEFINED);
}

static void nested_symbols(lcm_buf *b) { put_nested_symbols(b, LCM_SPM_MAX_NESTED_SYMBOLS + 1); }

static void field_past_the_end(lcm_buf *b) {
    put_good(b);
    put(b, "\x0a\x7f" "abc", 5);
}

static void field_of_2_63_bytes(lcm_buf *b) {
    put_good(b);
    put_varint(b, 1 << 3 | 2);
    put_varint(b, UINT64_C(1) << 63);
}

static void endless_varint(lcm_buf *b) {
    put_good(b);
    put(b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void group(lcm_buf *b) {
    put_good(b);
    put(b, "\x33\x34", 2); /* field 6, start and end of a group */
}

static void field_0(lcm_buf *b) {
    put_good(b);
    put(b, "\x00\x00", 2);
}

static void section_of_wrong_type(lcm_buf *b) {
    put_good(b);
    put_int(b, 2, 5);
}

static void score_of_wrong_type(lcm_buf *b) {
    lcm_buf p = {0};
    put_good(b);
    put_bytes(&p, 1, "x", 1);
    put_int(&p, 2, 5);
    put_message(b, 1, &p);
}

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

typedef struct hostile {
    const char *name;
    void (*build)(lcm_buf *b);
    lcm_status code;
    const char *says;
} hostile;

#define H(name, code, says) {#name, name, code, says}

static const hostile CASES[] = {
    H(no_bytes, LCM_ERR_FORMAT, "no piece is <unk>"),
    H(empty_piece, LCM_ERR_FORMAT, "piece 8 is empty"),
    H(textless_piece, LCM_ERR_FORMAT, "piece 8 is empty"),
    H(nul_piece, LCM_ERR_FORMAT, "piece 8 contains a NUL"),
    H(latin1_piece, LCM_ERR_FORMAT, "piece 8 is not valid UTF-8"),
    H(duplicate_piece, LCM_ERR_FORMAT, "'ab' appears twice"),
    H(duplicate_of_control, LCM_ERR_FORMAT, "'</s>' appears twice"),
    H(long_piece, LCM_ERR_LIMIT, "4097 bytes, the limit is 4096"),
    H(piece_of_100_kb, LCM_ERR_LIMIT, "100000 bytes, the limit is 4096"),
    H(too_many_pieces, LCM_ERR_LIMIT, "more than 1048576 pieces"),
    H(no_unk, LCM_ERR_FORMAT, "no piece is <unk>"),
    H(two_unks, LCM_ERR_FORMAT, "pieces 0 and 8 are both <unk>"),
    H(pad_first, LCM_ERR_UNSUPPORTED, "<unk>, <s>, </s>"),
    H(specials_only, LCM_ERR_FORMAT, "no piece of text"),
    H(controls_only, LCM_ERR_FORMAT, "no piece of text"),
    H(control_of_one_character, LCM_ERR_FORMAT, "piece 8: a control piece of one character"),
    H(nan_score, LCM_ERR_FORMAT, "piece 8: the score is not finite"),
    H(infinite_score, LCM_ERR_FORMAT, "piece 8: the score is not finite"),
    H(piece_type_7, LCM_ERR_FORMAT, "piece 8: type 7"),
    H(piece_type_0, LCM_ERR_FORMAT, "piece 8: type 0"),
    H(text_given_twice, LCM_ERR_FORMAT, "text appears twice"),
    H(word_model, LCM_ERR_UNSUPPORTED, "type 3"),
    H(model_type_beyond_32_bits, LCM_ERR_UNSUPPORTED, "type 4294967298"),
    H(two_trainer_specs, LCM_ERR_FORMAT, "trainer_spec appears twice"),
    H(missing_byte_pieces, LCM_ERR_FORMAT, "0 byte pieces with byte_fallback on"),
    H(byte_pieces_without_fallback, LCM_ERR_FORMAT, "256 byte pieces with byte_fallback off"),
    H(one_byte_piece_short, LCM_ERR_FORMAT, "255 byte pieces"),
    H(lower_case_byte_pieces, LCM_ERR_FORMAT, "of type byte but not spelt"),
    H(negative_byte_piece, LCM_ERR_FORMAT, "of type byte but not spelt"),
    H(huge_surface, LCM_ERR_LIMIT, "257 bytes, the limit is 256"),
    H(broken_surface, LCM_ERR_FORMAT, "surface of <unk> is not valid UTF-8"),
    H(huge_self_test, LCM_ERR_LIMIT, "self_test_data"),
    H(nested_symbols, LCM_ERR_LIMIT, "more than 64 user-defined pieces"),
    H(field_past_the_end, LCM_ERR_FORMAT, "field 1 of 127 bytes, 3 are left"),
    H(field_of_2_63_bytes, LCM_ERR_FORMAT, "field 1 of 9223372036854775808 bytes, 0 are left"),
    H(endless_varint, LCM_ERR_FORMAT, "a broken number"),
    H(group, LCM_ERR_FORMAT, "field 6 has wire type 3"),
    H(field_0, LCM_ERR_FORMAT, "field number 0"),
    H(section_of_wrong_type, LCM_ERR_FORMAT, "a section has wire type 0"),
    H(score_of_wrong_type, LCM_ERR_FORMAT, "a piece's score has wire type 0"),
    H(map_of_3_bytes, LCM_ERR_FORMAT, "3 bytes hold no header"),
    H(map_without_trie, LCM_ERR_FORMAT, "a trie of 0 bytes"),
    H(map_of_odd_trie, LCM_ERR_FORMAT, "a trie of 5 bytes"),
    H(map_trie_too_long, LCM_ERR_FORMAT, "a trie of 4294967292 bytes in a map of 10"),
    H(map_without_values, LCM_ERR_FORMAT, "a trie of 4 bytes in a map of 8"),
    H(map_too_big, LCM_ERR_LIMIT, "4194305 bytes, the limit is 4194304"),
    H(map_root_outside, LCM_ERR_FORMAT, "unit 2097152, the trie has 768"),
    H(map_unit_outside, LCM_ERR_FORMAT, "the trie has 768"),
    H(map_base_at_the_rim, LCM_ERR_FORMAT, "unit 704, the trie has 704"),
    H(map_circle, LCM_ERR_FORMAT, "in a circle"),
    H(map_circle_of_zero_units, LCM_ERR_FORMAT, "in a circle"),
    H(map_value_outside, LCM_ERR_FORMAT, "replacement at 3, there are 3 bytes"),
    H(map_value_endless, LCM_ERR_FORMAT, "the last replacement has no end"),
    H(map_value_too_long, LCM_ERR_LIMIT, "longer than 64 bytes"),
    H(map_value_not_utf8, LCM_ERR_FORMAT, "replacement at 0 is not valid UTF-8"),
    H(map_nested_keys, LCM_ERR_LIMIT, "more than 32 keys"),
    H(map_deep_key, LCM_ERR_LIMIT, "more than 256 bytes"),
    H(map_of_denormalizer, LCM_ERR_FORMAT, "in a circle"),
};

/* ------------------------------------------------------------------ tests */

static void hostile_models_are_refused(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const hostile *h = &CASES[i];
        lcm_buf b = {0};
        lcm_tokenizer *tok;
        lcm_status st;
        h->build(&b);
        st = lcm_tokenizer_load(ctx, &tok, b.data, b.len, NULL, 0, 0);
        if (st != h->code || strstr(lcm_ctx_message(ctx), h->says) == NULL || strchr(lcm_ctx_message(ctx), '\n'))
            fail_msg("%s: %s, '%s'", h->name, lcm_status_name(st), st ? lcm_ctx_message(ctx) : "");
        assert_null(tok);
        lcm_buf_free(&b);
    }
    lcm_ctx_free(ctx);
}

static void oversized_file_is_not_read(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tokenizer *tok;
    char one = 0; /* the length alone must decide: reading on would fault under ASan */
    (void)state;
    assert_int_equal(lcm_tokenizer_load(ctx, &tok, &one, (size_t)LCM_SPM_MAX_BYTES + 1, NULL, 0, 0), LCM_ERR_LIMIT);
    assert_null(tok);
    lcm_ctx_free(ctx);
}

static lcm_tokenizer *load(lcm_ctx *ctx, lcm_buf *b) {
    lcm_tokenizer *tok;
    if (lcm_tokenizer_load(ctx, &tok, b->data, b->len, NULL, 0, 0) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    lcm_buf_free(b);
    return tok;
}

static void assert_normal(lcm_ctx *ctx, const lcm_tokenizer *tok, const char *text, size_t len, const char *want) {
    lcm_buf got = {0};
    assert_int_equal(lcm_tokenizer_normalize(ctx, &got, tok, text, len), LCM_OK);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
    lcm_buf_free(&got);
}

/* The builders above must make models that are good but for the fault, or the cases prove nothing. */
static void good_models_load(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tokenizer *tok;
    (void)state;
    for (int type = 1; type <= 2; type++) {
        lcm_buf b = {0};
        lcm_ids ids = {0};
        put_good(&b);
        put_trainer_int(&b, 3, (uint64_t)type);
        put_bytes(&b, 900, "later", 5); /* unknown fields are skipped */
        tok = load(ctx, &b);
        assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, "ab", 2), LCM_OK);
        assert_int_equal(ids.len, 2);
        lcm_ids_free(&ids);
        lcm_tokenizer_free(tok);
    }
    lcm_ctx_free(ctx);
}

static void byte_pieces_load(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_buf b = {0}, out = {0};
    lcm_ids ids = {0};
    lcm_tokenizer *tok;
    (void)state;
    put_good(&b);
    put_byte_pieces(&b, 256, "<0x%02X>");
    put_trainer_int(&b, 35, 1);
    tok = load(ctx, &b);
    assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, "a\0b", 3), LCM_OK);
    assert_int_equal(lcm_tokenizer_decode(ctx, &out, tok, ids.data, ids.len), LCM_OK);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "a\0b", 3);
    lcm_ids_free(&ids);
    lcm_buf_free(&out);
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

/* One step inside each limit is accepted, and the library really runs at that limit. */
static void models_at_the_limit_load(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char many_x[100];
    lcm_buf b = {0};
    lcm_ids ids = {0};
    lcm_tokenizer *tok;
    (void)state;
    memset(many_x, 'x', sizeof many_x);
    put_nested_symbols(&b, LCM_SPM_MAX_NESTED_SYMBOLS);
    tok = load(ctx, &b);
    assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, many_x, sizeof many_x), LCM_OK);
    lcm_tokenizer_free(tok);

    put_long_piece(&b, LCM_SPM_MAX_PIECE_BYTES);
    lcm_tokenizer_free(load(ctx, &b));

    put_good(&b);
    put_map(&b, chain_map(LCM_SPM_MAX_MAP_KEY_BYTES, LCM_SPM_MAX_MAP_NESTED_KEYS));
    tok = load(ctx, &b);
    memset(many_x, 'a', sizeof many_x); /* 32 at a time become "bb", the last 4 too */
    assert_normal(ctx, tok, many_x, sizeof many_x, "bbbbbbbb");
    lcm_tokenizer_free(tok);
    lcm_ids_free(&ids);
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
    tok = load(ctx, &b);
    assert_normal(ctx, tok, "xzayzx", 6, "bbabbx");
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

/* Every prefix of a model, and every byte of it changed, is either refused or works. */
static void damaged_models_are_harmless(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_buf good = {0}, out = {0};
    lcm_rng r = lcm_rng_make(1, LCM_RNG_TEST);
    lcm_ids ids = {0};
    int n_refused = 0;
    (void)state;
    put_good(&good);
    put_map(&good, chain_map(2, 2));
    for (size_t i = 0; i < 6000; i++) {
        size_t len = i < 300 ? i : good.len;
        char *copy = malloc(len ? len : 1);
        lcm_tokenizer *tok;
        assert_non_null(copy);
        memcpy(copy, good.data, len);
        if (i >= 300) copy[lcm_rng_below(&r, len)] ^= (char)(1 << lcm_rng_below(&r, 8));
        if (lcm_tokenizer_load(ctx, &tok, copy, len, NULL, 0, 0) == LCM_OK) {
            ids.len = out.len = 0;
            assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, "aab\0 ba", 7), LCM_OK);
            assert_int_equal(lcm_tokenizer_decode(ctx, &out, tok, ids.data, ids.len), LCM_OK);
            lcm_tokenizer_free(tok);
        } else {
            n_refused++;
        }
        free(copy);
    }
    assert_true(n_refused > 300);
    lcm_buf_free(&good);
    lcm_buf_free(&out);
    lcm_ids_free(&ids);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_models_load),
        cmocka_unit_test(byte_pieces_load),
        cmocka_unit_test(hostile_models_are_refused),
        cmocka_unit_test(oversized_file_is_not_read),
        cmocka_unit_test(models_at_the_limit_load),
        cmocka_unit_test(shared_tails_are_legal),
        cmocka_unit_test(damaged_models_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
