/* Pairs of sentences with their languages: what is kept side by side, what is counted, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/io.h"
#include "data/corpus.h"
#include "harness/tmpdir.h"

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir;
    lcm_tokenizer *tok;
    int32_t eng, fra;
} fixture;

static int setup(void **state) {
    static const char *const langs[] = {"eng_Latn", "fra_Latn"};
    lcm_buf model = {0};
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    assert_int_equal(lcm_read_file(f->ctx, &model, TEST_DATA "/golden/spm/toy_unigram.model", 1 << 24), LCM_OK);
    assert_int_equal(lcm_tokenizer_load(f->ctx, &f->tok, model.data, model.len, langs, 2, 0), LCM_OK);
    assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &f->eng, f->tok, "eng_Latn"), LCM_OK);
    assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &f->fra, f->tok, "fra_Latn"), LCM_OK);
    lcm_buf_free(&model);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_tokenizer_free(f->tok);
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

static lcm_status read_pairs(fixture *f, lcm_bitext *out, const char *text, int64_t max_pieces) {
    const char *path = tmpdir_write(f->dir, "pairs.jsonl", text, strlen(text));
    return lcm_bitext_read(f->ctx, out, f->tok, &path, 1, max_pieces);
}

static void check_sentence(fixture *f, const lcm_bitext *b, int side, int64_t i, const char *text, int32_t lang) {
    const lcm_corpus *c = &b->side[side];
    lcm_ids want = {0};
    assert_int_equal(lcm_tokenizer_encode(f->ctx, &want, f->tok, text, strlen(text)), LCM_OK);
    assert_int_equal(c->lengths[i], want.len);
    assert_int_equal(c->off[i + 1] - c->off[i], want.len);
    assert_memory_equal(c->ids + c->off[i], want.data, want.len * sizeof *want.data);
    assert_int_equal(b->lang[side][i], lang);
    lcm_ids_free(&want);
}

static void test_sides_stay_together(void **state) {
    fixture *f = *state;
    lcm_bitext b;
    assert_int_equal(read_pairs(f, &b,
                                "{\"src\": \"the cat\", \"src_lang\": \"en\", \"tgt\": \"un chat la\", \"tgt_lang\": \"fra_Latn\"}\n"
                                "{\"src\": \"no target\", \"src_lang\": \"en\", \"tgt_lang\": \"fra_Latn\"}\n"
                                "{\"src\": \"no language\", \"tgt\": \"of one\", \"tgt_lang\": \"fra_Latn\"}\n"
                                "{\"src\": \"language\", \"tgt\": \"no text\", \"src_lang\": \"en\", \"tgt_lang\": 5}\n"
                                "{\"src\": \"blank\", \"src_lang\": \"en\", \"tgt\": \" \", \"tgt_lang\": \"fra_Latn\"}\n"
                                "\n{\n"
                                "{\"src\": \"x\", \"src_lang\": \"en\", \"tgt\": \"too long a sentence for this test by far, it is\", \"tgt_lang\": \"en\"}\n"
                                "{\"tgt\": \"a dog\", \"tgt_lang\": \"eng_Latn\", \"src\": \"un chien\", \"src_lang\": \"fr\", \"more\": 1}\n",
                                16),
                     LCM_OK);
    assert_int_equal(b.side[0].n, 2);
    assert_int_equal(b.side[1].n, 2);
    check_sentence(f, &b, 0, 0, "the cat", f->eng);
    check_sentence(f, &b, 1, 0, "un chat la", f->fra);
    check_sentence(f, &b, 0, 1, "un chien", f->fra);
    check_sentence(f, &b, 1, 1, "a dog", f->eng);
    assert_int_equal(b.side[1].n_long, 1);
    assert_int_equal(b.side[1].docs.dropped[LCM_DOC_NO_TEXT], 3);
    assert_int_equal(b.side[1].docs.dropped[LCM_DOC_EMPTY], 1);
    assert_int_equal(b.side[1].docs.dropped[LCM_DOC_BAD_JSON], 1);
    lcm_bitext_free(&b);
}

static void test_refusals(void **state) {
    fixture *f = *state;
    lcm_bitext b;
    const char *txt = tmpdir_write(f->dir, "pairs.txt", "a\tb\n", 4);
    assert_int_equal(read_pairs(f, &b, "\n{\"src\": \"a\", \"src_lang\": \"deu_Latn\", \"tgt\": \"b\", \"tgt_lang\": \"en\"}\n", 16), LCM_ERR_NOTFOUND);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "pairs.jsonl:2: "));
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "deu_Latn"));
    assert_null(b.side[0].ids);
    assert_int_equal(lcm_bitext_read(f->ctx, &b, f->tok, &txt, 1, 16), LCM_ERR_ARG);
    assert_int_equal(read_pairs(f, &b, "", 16), LCM_OK);
    assert_int_equal(b.side[1].n, 0);
    lcm_bitext_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sides_stay_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
