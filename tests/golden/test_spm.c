/* Tokeniser against segmentations recorded from spm_encode/spm_decode 0.1.97 and fairseq2's id space
 * (SONAR's tokenizer): toy BPE and unigram models, 18 texts and 8 id lists each. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/io.h"
#include "token/tokenizer.h"

typedef struct suite {
    lcm_ctx *ctx;
    lcm_tokenizer *tok;
    json_t *golden;  /* the whole file */
    const json_t *g; /* the half of this model */
} suite;

static suite open_suite(const char *model, const char *key) {
    static const char *const langs[] = {"eng_Latn", "fra_Latn", "deu_Latn"};
    suite s = {.ctx = lcm_ctx_new()};
    lcm_buf bytes = {0};
    assert_int_equal(lcm_read_file(s.ctx, &bytes, model, 1 << 20), LCM_OK);
    assert_int_equal(lcm_tokenizer_load(s.ctx, &s.tok, bytes.data, bytes.len, langs, 3, 3), LCM_OK);
    assert_int_equal(lcm_json_load(s.ctx, &s.golden, TEST_DATA "/golden/spm/spm_golden.json"), LCM_OK);
    s.g = json_object_get(s.golden, key);
    lcm_buf_free(&bytes);
    return s;
}

static void close_suite(suite *s) {
    lcm_tokenizer_free(s->tok);
    json_decref(s->golden);
    lcm_ctx_free(s->ctx);
}

static int32_t int_at(const json_t *array, size_t i) { return (int32_t)json_integer_value(json_array_get(array, i)); }

static void check_ids(const suite *s) {
    const char *name;
    json_t *id;
    int32_t got, raw_vocab = (int32_t)json_integer_value(json_object_get(s->g, "raw_vocab"));
    assert_int_equal(lcm_tokenizer_pieces(s->tok), raw_vocab);
    assert_int_equal(lcm_tokenizer_size(s->tok), 1 + raw_vocab + 3 + 3);
    json_object_foreach(json_object_get(s->g, "lang_ids"), name, id) {
        assert_int_equal(lcm_tokenizer_lang_id(s->ctx, &got, s->tok, name), LCM_OK);
        assert_int_equal(got, json_integer_value(id));
    }
    json_object_foreach(json_object_get(s->g, "special"), name, id)
        assert_string_equal(lcm_tokenizer_piece(s->tok, (int32_t)json_integer_value(id)), name);
}

static void check_encode(const suite *s, const json_t *c) {
    const json_t *text = json_object_get(c, "text"), *ids = json_object_get(c, "fairseq2_ids");
    const json_t *pieces = json_object_get(c, "pieces"), *normal = json_object_get(c, "normalized");
    lcm_ids got = {0};
    lcm_buf plain = {0};
    assert_int_equal(
        lcm_tokenizer_encode(s->ctx, &got, s->tok, json_string_value(text), json_string_length(text)), LCM_OK);
    assert_int_equal(got.len, json_array_size(ids));
    for (size_t i = 0; i < got.len; i++) {
        assert_int_equal(got.data[i], int_at(ids, i));
        if (got.data[i] != LCM_ID_UNK)
            assert_string_equal(lcm_tokenizer_piece(s->tok, got.data[i]), json_string_value(json_array_get(pieces, i)));
    }
    assert_int_equal(
        lcm_tokenizer_normalize(s->ctx, &plain, s->tok, json_string_value(text), json_string_length(text)), LCM_OK);
    assert_int_equal(plain.len, json_string_length(normal));
    if (plain.len) assert_memory_equal(plain.data, json_string_value(normal), plain.len);
    lcm_ids_free(&got);
    lcm_buf_free(&plain);
}

static void check_decode(const suite *s, const json_t *c) {
    const json_t *list = json_object_get(c, "ids"), *text = json_object_get(c, "text");
    lcm_ids ids = {0};
    lcm_buf got = {0};
    for (size_t i = 0; i < json_array_size(list); i++)
        assert_int_equal(lcm_ids_push(s->ctx, &ids, int_at(list, i)), LCM_OK);
    assert_int_equal(lcm_tokenizer_decode(s->ctx, &got, s->tok, ids.data, ids.len), LCM_OK);
    assert_int_equal(got.len, json_string_length(text));
    if (got.len) assert_memory_equal(got.data, json_string_value(text), got.len);
    lcm_ids_free(&ids);
    lcm_buf_free(&got);
}

static void check_suite(const char *model, const char *key) {
    suite s = open_suite(model, key);
    size_t i;
    json_t *c;
    check_ids(&s);
    json_array_foreach(json_object_get(s.g, "encode"), i, c) check_encode(&s, c);
    assert_int_equal(i, 18);
    json_array_foreach(json_object_get(s.g, "decode"), i, c) check_decode(&s, c);
    assert_int_equal(i, 8);
    close_suite(&s);
}

static void bpe(void **state) {
    (void)state;
    check_suite(TEST_DATA "/golden/spm/toy_bpe.model", "bpe");
}

static void unigram(void **state) {
    (void)state;
    check_suite(TEST_DATA "/golden/spm/toy_unigram.model", "unigram");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bpe), cmocka_unit_test(unigram)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
