/* token/spm_check: hostile SentencePiece models, each built from a good one with a single fault. Each must
 * give its status and one line, and must never reach the library. */
#include "spm_build.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

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

static const hostile CASES[] = {
    HOSTILE(no_bytes, LCM_ERR_FORMAT, "no piece is <unk>"),
    HOSTILE(empty_piece, LCM_ERR_FORMAT, "piece 8 is empty"),
    HOSTILE(textless_piece, LCM_ERR_FORMAT, "piece 8 is empty"),
    HOSTILE(nul_piece, LCM_ERR_FORMAT, "piece 8 contains a NUL"),
    HOSTILE(latin1_piece, LCM_ERR_FORMAT, "piece 8 is not valid UTF-8"),
    HOSTILE(duplicate_piece, LCM_ERR_FORMAT, "'ab' appears twice"),
    HOSTILE(duplicate_of_control, LCM_ERR_FORMAT, "'</s>' appears twice"),
    HOSTILE(long_piece, LCM_ERR_LIMIT, "4097 bytes, the limit is 4096"),
    HOSTILE(piece_of_100_kb, LCM_ERR_LIMIT, "100000 bytes, the limit is 4096"),
    HOSTILE(too_many_pieces, LCM_ERR_LIMIT, "more than 1048576 pieces"),
    HOSTILE(no_unk, LCM_ERR_FORMAT, "no piece is <unk>"),
    HOSTILE(two_unks, LCM_ERR_FORMAT, "pieces 0 and 8 are both <unk>"),
    HOSTILE(pad_first, LCM_ERR_UNSUPPORTED, "<unk>, <s>, </s>"),
    HOSTILE(specials_only, LCM_ERR_FORMAT, "no piece of text"),
    HOSTILE(controls_only, LCM_ERR_FORMAT, "no piece of text"),
    HOSTILE(control_of_one_character, LCM_ERR_FORMAT, "piece 8: a control piece of one character"),
    HOSTILE(nan_score, LCM_ERR_FORMAT, "piece 8: the score is not finite"),
    HOSTILE(infinite_score, LCM_ERR_FORMAT, "piece 8: the score is not finite"),
    HOSTILE(piece_type_7, LCM_ERR_FORMAT, "piece 8: type 7"),
    HOSTILE(piece_type_0, LCM_ERR_FORMAT, "piece 8: type 0"),
    HOSTILE(text_given_twice, LCM_ERR_FORMAT, "text appears twice"),
    HOSTILE(word_model, LCM_ERR_UNSUPPORTED, "type 3"),
    HOSTILE(model_type_beyond_32_bits, LCM_ERR_UNSUPPORTED, "type 4294967298"),
    HOSTILE(two_trainer_specs, LCM_ERR_FORMAT, "trainer_spec appears twice"),
    HOSTILE(missing_byte_pieces, LCM_ERR_FORMAT, "0 byte pieces with byte_fallback on"),
    HOSTILE(byte_pieces_without_fallback, LCM_ERR_FORMAT, "256 byte pieces with byte_fallback off"),
    HOSTILE(one_byte_piece_short, LCM_ERR_FORMAT, "255 byte pieces"),
    HOSTILE(lower_case_byte_pieces, LCM_ERR_FORMAT, "of type byte but not spelt"),
    HOSTILE(negative_byte_piece, LCM_ERR_FORMAT, "of type byte but not spelt"),
    HOSTILE(huge_surface, LCM_ERR_LIMIT, "257 bytes, the limit is 256"),
    HOSTILE(broken_surface, LCM_ERR_FORMAT, "surface of <unk> is not valid UTF-8"),
    HOSTILE(huge_self_test, LCM_ERR_LIMIT, "self_test_data"),
    HOSTILE(nested_symbols, LCM_ERR_LIMIT, "more than 64 user-defined pieces"),
    HOSTILE(field_past_the_end, LCM_ERR_FORMAT, "field 1 of 127 bytes, 3 are left"),
    HOSTILE(field_of_2_63_bytes, LCM_ERR_FORMAT, "field 1 of 9223372036854775808 bytes, 0 are left"),
    HOSTILE(endless_varint, LCM_ERR_FORMAT, "a broken number"),
    HOSTILE(group, LCM_ERR_FORMAT, "field 6 has wire type 3"),
    HOSTILE(field_0, LCM_ERR_FORMAT, "field number 0"),
    HOSTILE(section_of_wrong_type, LCM_ERR_FORMAT, "a section has wire type 0"),
    HOSTILE(score_of_wrong_type, LCM_ERR_FORMAT, "a piece's score has wire type 0"),
};

/* ------------------------------------------------------------------ tests */

static void hostile_models_are_refused(void **state) {
    (void)state;
    assert_refused(CASES, sizeof CASES / sizeof *CASES);
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
        tok = load_model(ctx, &b);
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
    tok = load_model(ctx, &b);
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
    tok = load_model(ctx, &b);
    assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, many_x, sizeof many_x), LCM_OK);
    lcm_tokenizer_free(tok);

    put_long_piece(&b, LCM_SPM_MAX_PIECE_BYTES);
    lcm_tokenizer_free(load_model(ctx, &b));
    lcm_ids_free(&ids);
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
        cmocka_unit_test(damaged_models_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
