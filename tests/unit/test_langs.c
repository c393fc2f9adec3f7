/* The languages of NLLB-200, their aliases, what is suggested on a miss, and source tags. */
#include "harness/test.h"

#include <string.h>

#include "base/io.h"
#include "token/langs.h"
#include "token/tokenizer.h"

static int index_of(const char *code) {
    for (int i = 0; i < LCM_SONAR_LANGS; i++)
        if (strcmp(lcm_sonar_lang_codes()[i], code) == 0) return i;
    fail_msg("no '%s'", code);
    return -1;
}

/* Ids of the released tokenizer are 256001 + position. */
static void order(void **state) {
    static const struct {
        const char *code;
        int id;
    } known[] = {{"ace_Arab", 256001}, {"eng_Latn", 256047}, {"fra_Latn", 256057}, {"deu_Latn", 256042}, {"spa_Latn", 256161},
                 {"sat_Beng", 256150}, {"zho_Hans", 256200}, {"zul_Latn", 256202}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_int_equal(256001 + index_of(known[i].code), known[i].id);
    for (int i = 0; i < LCM_SONAR_LANGS; i++) {
        const char *code = lcm_sonar_lang_codes()[i];
        assert_int_equal(strlen(code), 8);
        assert_int_equal(code[3], '_');
        assert_int_equal(index_of(code), i); /* none twice */
        assert_non_null(lcm_lang_name(code));
        assert_string_equal(lcm_lang_alias(code), code);
    }
    assert_null(lcm_lang_name("arb_Latn")); /* of FLORES-200, not of SONAR */
    assert_null(lcm_lang_name("min_Arab"));
}

static void aliases(void **state) {
    static const char *const known[][2] = {
        {"en", "eng_Latn"},       {"EN", "eng_Latn"},       {"en-GB", "eng_Latn"},   {"en_US", "eng_Latn"},   {"eng", "eng_Latn"},
        {"ENG_LATN", "eng_Latn"}, {"eng-Latn", "eng_Latn"}, {"fr", "fra_Latn"},      {"zh", "zho_Hans"},      {"zho", "zho_Hans"},
        {"zh-TW", "zho_Hant"},    {"zh_tw", "zho_Hant"},    {"zh-Hant", "zho_Hant"}, {"yue", "yue_Hant"},     {"no", "nob_Latn"},
        {"nn", "nno_Latn"},       {"ar", "arb_Arab"},       {"ara", "arb_Arab"},     {"fa", "pes_Arab"},      {"sat_Olck", "sat_Beng"},
        {"sat", "sat_Beng"},      {"sw", "swh_Latn"},       {"pt-BR", "por_Latn"},   {"iw", "heb_Hebr"},      {"ace", "ace_Arab"}};
    static const char *const unknown[] = {"", "e", "xx", "xxx", "eng_", "eng_Cyrl", "arb_Latn", "english", "en-", "en-GBR", "zh-Latn"};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *got = lcm_lang_alias(known[i][0]);
        if (got == NULL || strcmp(got, known[i][1]) != 0) fail_msg("'%s' is '%s', not '%s'", known[i][0], got ? got : "nothing", known[i][1]);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (lcm_lang_alias(unknown[i])) fail_msg("'%s' is '%s'", unknown[i], lcm_lang_alias(unknown[i]));
    assert_string_equal(lcm_lang_iso("zho_Hans"), "zh");
    assert_null(lcm_lang_iso("zho_Hant"));
    assert_string_equal(lcm_lang_by_name("French"), "fra_Latn");
    assert_string_equal(lcm_lang_by_name("chinese"), "zho_Hans");
    assert_string_equal(lcm_lang_by_name("persian"), "pes_Arab");
    assert_null(lcm_lang_by_name("Klingon"));
    assert_null(lcm_lang_by_name(""));
}

static lcm_tokenizer *load(lcm_ctx *ctx, const char *const *langs, int n, int extra) {
    lcm_buf bytes = {0};
    lcm_tokenizer *tok;
    assert_int_equal(lcm_read_file(ctx, &bytes, TEST_DATA "/golden/spm/toy_bpe.model", 1 << 20), LCM_OK);
    assert_int_equal(lcm_tokenizer_load(ctx, &tok, bytes.data, bytes.len, langs, n, extra), LCM_OK);
    lcm_buf_free(&bytes);
    return tok;
}

static void lookup(void **state) {
    static const char *const some[] = {"eng_Latn", "en", "sat_Beng"};
    static const struct {
        const char *lang, *message;
    } misses[] = {{"french", "'french' is unknown; 'fra_Latn' is French"},
                  {"fra_Latin", "the nearest of 202 is 'fra_Latn'"},
                  {"arb_Latn", "the nearest of 202 is 'arb_Arab'"},
                  {"", "''"}};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tokenizer *tok = load(ctx, lcm_sonar_lang_codes(), LCM_SONAR_LANGS, 3);
    int32_t id, exact;
    (void)state;
    for (size_t i = 0; i < sizeof misses / sizeof *misses; i++) {
        assert_int_equal(lcm_tokenizer_lang_id(ctx, &id, tok, misses[i].lang), LCM_ERR_NOTFOUND);
        if (strstr(lcm_ctx_message(ctx), misses[i].message) == NULL) fail_msg("no '%s' in '%s'", misses[i].message, lcm_ctx_message(ctx));
    }
    assert_int_equal(lcm_tokenizer_lang_id(ctx, &id, tok, "sat_Olck"), LCM_OK);
    assert_string_equal(lcm_tokenizer_piece(tok, id), "__sat_Beng__");
    lcm_tokenizer_free(tok);
    tok = load(ctx, some, 3, 0); /* a name of the file itself comes before any alias; an alias of what is not there is a miss */
    assert_int_equal(lcm_tokenizer_lang_id(ctx, &id, tok, "en"), LCM_OK);
    assert_int_equal(lcm_tokenizer_lang_id(ctx, &exact, tok, "eng_Latn"), LCM_OK);
    assert_int_equal(id, exact + 1);
    assert_int_equal(lcm_tokenizer_lang_id(ctx, &id, tok, "fr"), LCM_ERR_NOTFOUND);
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

/* Ids 424 to 426 are the reference's for three languages over 420 pieces. */
static void tags_and_reserved_ids(void **state) {
    static const char *const langs[] = {"eng_Latn", "fra_Latn", "deu_Latn"};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tokenizer *tok = load(ctx, langs, 3, 3);
    lcm_ids plain = {0}, tagged = {0};
    lcm_buf text = {0};
    (void)state;
    assert_int_equal(lcm_tokenizer_encode_source(ctx, &plain, tok, 422, "My name", 7), LCM_OK);
    for (int tag = LCM_TAG_MINED; tag <= LCM_TAG_SMT_BT; tag++) {
        tagged.len = 0;
        assert_int_equal(lcm_tokenizer_encode_tagged(ctx, &tagged, tok, 422, (lcm_source_tag)tag, "My name", 7), LCM_OK);
        assert_int_equal(tagged.len, plain.len + 1);
        assert_int_equal(tagged.data[0], 422);
        assert_int_equal(tagged.data[1], 424 + tag);
        assert_memory_equal(tagged.data + 2, plain.data + 1, (plain.len - 1) * sizeof *plain.data);
    }
    assert_int_equal(lcm_tokenizer_decode(ctx, &text, tok, tagged.data, tagged.len), LCM_OK);
    assert_string_equal(text.data, "My name");
    assert_int_equal(lcm_tokenizer_reserve(ctx, tok, 10), LCM_OK);
    assert_int_equal(lcm_tokenizer_size(tok), 1 + 420 + 3 + 10);
    assert_string_equal(lcm_tokenizer_piece(tok, 433), "<extra_9>");
    assert_null(lcm_tokenizer_piece(tok, 434));
    assert_int_equal(lcm_tokenizer_reserve(ctx, tok, LCM_TOKENIZER_MAX_LANGS + 1), LCM_ERR_ARG);
    assert_int_equal(lcm_tokenizer_reserve(ctx, tok, 2), LCM_OK);
    assert_int_equal(lcm_tokenizer_encode_tagged(ctx, &tagged, tok, 422, LCM_TAG_MINED, "a", 1), LCM_ERR_ARG);
    lcm_ids_free(&plain);
    lcm_ids_free(&tagged);
    lcm_buf_free(&text);
    lcm_tokenizer_free(tok);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(aliases), cmocka_unit_test(lookup),
                                       cmocka_unit_test(tags_and_reserved_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
