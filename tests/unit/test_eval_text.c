/* Text metrics against numbers of sacrebleu 2.6.0 and counts by hand. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/bleu.h"
#include "eval/chrf.h"
#include "eval/overlap.h"
#include "eval/surface.h"

#define assert_near(a, b, tol) assert_true(fabs((a) - (b)) <= (tol))

static int setup(void **state) {
    *state = lcm_ctx_new();
    return *state == NULL;
}

static int teardown(void **state) {
    lcm_ctx_free(*state);
    return 0;
}

typedef struct corpus {
    const char *hyp[3], *ref[3];
    double bleu, chrf; /* BLEU().corpus_score, CHRF().corpus_score */
} corpus;

static const corpus corpora[] = {
    {{"The cat sat on the mat."}, {"The cat sat on the mat."}, 100, 100},
    {{"The cat sat on a mat.", "He said, \"Go home!\" and left.", "It cost 3,000.50 dollars - or 1990-1995?"},
     {"The cat is sitting on the mat.", "He said \"Go home\", then he left.", "It cost 3,000.5 dollars, in 1990-1995."},
     15.196340937921347, 51.050820027687315},
    {{"The cat", "A dog ran"}, {"The cat sat on the mat.", "A dog ran away from the big house."}, 0, 23.13873210609616},
    {{"the big red dog barked", "we like it"}, {"a small red dog slept", "they like that"}, 17.677669529663692, 23.468617607178},
    {{"Tom &amp; Jane [x] a/b a.b. c,d, 5.6.- 7-8 été, “no”… .,.", "a-\nb <skipped>c  "},
     {"Tom & Jane [x] a / b a.b. c,d , 5.6. - 7 -8 été , “no” … .,.", "ab c"},
     78.68532491497432, 89.06830896053025},
    {{"alpha beta gamma delta"}, {"one two three four"}, 0, 6.4004255436734905},
    {{"", "yes yes yes"}, {"something", "yes no yes"}, 0, 14.220386348196348},
    {{"a", "ab"}, {"abc", "a"}, 0, 52.63157894736842},
};

/* 1e-9 of 100: both sides add logarithms of the same integers in double. */
static void test_scores_of_sacrebleu(void **state) {
    for (size_t c = 0; c < sizeof corpora / sizeof *corpora; c++) {
        lcm_bleu b = {0};
        lcm_chrf f = {0};
        for (int i = 0; i < 3 && corpora[c].hyp[i]; i++) {
            const char *h = corpora[c].hyp[i], *r = corpora[c].ref[i];
            assert_int_equal(lcm_bleu_add(*state, &b, h, strlen(h), r, strlen(r)), LCM_OK);
            assert_int_equal(lcm_chrf_add(*state, &f, h, strlen(h), r, strlen(r)), LCM_OK);
        }
        assert_near(lcm_bleu_score(&b), corpora[c].bleu, 1e-9);
        assert_near(lcm_chrf_score(&f), corpora[c].chrf, 1e-9);
    }
}

/* BLEU(effective_order=True).sentence_score, CHRF(word_order=2).sentence_score */
static void test_sentence_scores_of_sacrebleu(void **state) {
    static const struct {
        const char *hyp, *ref;
        double bleu, chrf_pp;
    } cases[] = {
        {"The cat sat", "The cat sat on the mat.", 26.359713811572682, 45.903844729397761},
        {"a", "a", 100.00000000000004, 100},
        {"the big red", "a big red dog", 39.432237651162879, 44.693881231567154},
        {"(hi) \302\240there, \"x\"", "(hi there\342\200\203\"x", 16.515821590069027, 36.732219032142311},
        {"", "a", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *h = cases[i].hyp, *r = cases[i].ref;
        lcm_bleu b = {0};
        lcm_chrf f = {0};
        assert_int_equal(lcm_bleu_add(*state, &b, h, strlen(h), r, strlen(r)), LCM_OK);
        assert_int_equal(lcm_chrf_add(*state, &f, h, strlen(h), r, strlen(r)), LCM_OK);
        assert_near(lcm_bleu_sentence_score(&b), cases[i].bleu, 1e-9);
        assert_near(lcm_chrf_pp_score(&f), cases[i].chrf_pp, 1e-9);
    }
}

/* Counted by hand; compat by the reference's ngram_score, written down in Python:
 * A = [t[i:i+n] for n in 1..4 for i], |set(A) & set(S)| / |set(S)|, len(A) / len(set(A)) - 1. */
static void test_overlap(void **state) {
    static const char out[] = "The 3 cats sat. The 3 cats sat down.", src[] = "the 3 cats ran; the 3 dogs sat";
    lcm_overlap o;
    double d;
    assert_int_equal(lcm_overlap_measure(*state, &o, out, strlen(out), src, strlen(src)), LCM_OK);
    /* distinct 3-grams of the source: the 3 cats, 3 cats ran, cats ran the, ran the 3, the 3 dogs, 3 dogs sat */
    assert_near(o.ovl3, 1. / 6, 1e-15);
    /* 6 4-grams of the output, "the 3 cats sat" twice */
    assert_near(o.rep4, 1. / 6, 1e-15);
    assert_near(o.word_ratio, 9. / 8, 1e-15);
    assert_near(o.ovl_compat, 45. / 84, 1e-12);
    assert_near(o.rep_compat, 138. / 79 - 1, 1e-12);
    assert_int_equal(lcm_overlap_measure(*state, &o, "", 0, "", 0), LCM_OK);
    assert_true(isnan(o.ovl3) && isnan(o.rep4) && isnan(o.word_ratio) && o.ovl_compat == 0 && o.rep_compat == -1);
    assert_int_equal(lcm_distinct(*state, &d, "a b a b", 7, 2), LCM_OK);
    assert_near(d, 2. / 3, 1e-15);
    assert_int_equal(lcm_distinct(*state, &d, "a", 1, 2), LCM_OK);
    assert_true(isnan(d));
}

static void test_edits(void **state) {
    lcm_edits e;
    assert_int_equal(lcm_edit_chars(*state, &e, "kitten", 6, "sitting", 7), LCM_OK);
    assert_true(e.distance == 3 && e.common == 3 && e.longer == 7); /* itt */
    assert_int_equal(lcm_edit_chars(*state, &e, "été", 5, "ete", 3), LCM_OK);
    assert_true(e.distance == 2 && e.common == 1 && e.longer == 3); /* code points, not bytes */
    assert_int_equal(lcm_edit_words(*state, &e, "A dog, 2 cats ran", 17, "the dog 2 cats sat down", 23), LCM_OK);
    assert_true(e.distance == 3 && e.common == 3 && e.longer == 6);
    assert_int_equal(lcm_edit_words(*state, &e, "", 0, "x y", 3), LCM_OK);
    assert_true(e.distance == 2 && e.common == 0 && e.longer == 2);
    assert_int_equal(lcm_edit_words(*state, &e, "x y", 3, "", 0), LCM_OK);
    assert_true(e.distance == 2 && e.common == 0);
}

static void test_tokens_of_sacrebleu(void **state) {
    static const char *const cases[][2] = {
        {"Tom &amp; Jane [x] a/b a.b. c,d, 5.6.- 7-8 été, “no”… .,.",
         "Tom & Jane [ x ] a / b a . b . c , d , 5.6 . - 7 - 8 été , “no”… . , . "},
        {"a-\nb <skipped>c  ", "ab c "},
        {"It cost 3,000.50 dollars - or 1990-1995?", "It cost 3,000.50 dollars - or 1990 - 1995 ? "},
        {"", ""},
        {" \t\n ", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_buf out = {0};
        assert_int_equal(lcm_bleu_tokenize(*state, &out, cases[i][0], strlen(cases[i][0])), LCM_OK);
        assert_string_equal(out.data ? out.data : "", cases[i][1]);
        lcm_buf_free(&out);
    }
}

static void test_ngram_multisets(void **state) {
    static const uint32_t h[] = {1, 1, 1, 2}, r[] = {1, 1, 2, 2, 1};
    static const int64_t want[5][3] = {{4, 5, 4}, {3, 4, 2}, {2, 3, 1}, {1, 2, 0}, {0, 1, 0}};
    for (size_t n = 1; n <= 5; n++) {
        lcm_ngram_counts c = {0};
        assert_int_equal(lcm_ngram_add(*state, &c, h, 4, r, 5, n), LCM_OK);
        assert_int_equal(c.hyp, want[n - 1][0]);
        assert_int_equal(c.ref, want[n - 1][1]);
        assert_int_equal(c.match, want[n - 1][2]);
    }
}

static void test_words(void **state) {
    static const char text[] = " Don't—“STOP stop”, it’s  'Élan' 3rd";
    static const char *const want[] = {"dont", "stop", "stop", "its", "élan", "rd"};
    static const uint8_t touches[] = {0, 0, 1, 0, 0, 0};
    lcm_words w = {0};
    assert_int_equal(lcm_words_split(*state, &w, text, strlen(text), false), LCM_OK);
    assert_int_equal(w.n, 6);
    for (size_t i = 0; i < 6; i++) {
        size_t len;
        const char *s = lcm_words_at(&w, i, &len);
        assert_int_equal(len, strlen(want[i]));
        assert_memory_equal(s, want[i], len);
        assert_int_equal(w.touches[i], touches[i]);
    }
    lcm_words_free(&w);
}

static void add(lcm_ctx *ctx, lcm_surface *s, const char *text) {
    assert_int_equal(lcm_surface_add(ctx, s, text, strlen(text)), LCM_OK);
}

static void test_surface(void **state) {
    lcm_strset vocab = {0};
    lcm_words scratch = {0};
    lcm_surface s = {.vocab = &vocab};
    assert_int_equal(lcm_vocab_add(*state, &vocab, &scratch, "The dog was happy, no?", 22), LCM_OK);
    assert_true(isnan(lcm_surface_doubled(&s))); /* no word yet */
    lcm_surface_begin(&s);
    add(*state, &s, "The dog Was was happy.");
    add(*state, &s, "No, no, the dowg was happy.");
    add(*state, &s, "The dog Was was happy.");
    lcm_surface_begin(&s);
    add(*state, &s, "The dog Was was happy.");
    add(*state, &s, "42!");
    assert_int_equal(s.docs, 2);
    assert_int_equal(s.sentences, 5);
    assert_int_equal(s.words, 21);
    assert_int_equal(s.doubled, 3); /* not across a comma */
    assert_int_equal(s.unknown, 1);
    assert_near(lcm_surface_doubled(&s), 3000. / 21, 1e-12);
    assert_near(lcm_surface_unknown(&s), 1. / 21, 1e-12);
    assert_near(lcm_surface_own(&s), 4. / 5, 1e-12);
    assert_near(lcm_surface_distinct(&s), 3. / 5, 1e-12);
    assert_near(lcm_surface_ngrams(&s, 1), 6. / 21, 1e-12);  /* the dog was happy no dowg */
    assert_near(lcm_surface_ngrams(&s, 2), 8. / 17, 1e-12);  /* 4 of one sentence, 5 of the other, "was happy" twice */
    assert_near(lcm_surface_ngrams(&s, 3), 7. / 13, 1e-12);
    s.vocab = NULL;
    assert_true(isnan(lcm_surface_unknown(&s)));
    lcm_surface_free(&s);
    lcm_words_free(&scratch);
    lcm_strset_free(&vocab);
}

static void test_set_of_many(void **state) {
    lcm_strset s = {0};
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            uint32_t id, key = i * 2654435761u;
            assert_int_equal(lcm_strset_add(*state, &id, &s, (const char *)&key, 1 + i % 4), LCM_OK);
            if (i % 4 == 3) assert_true(lcm_strset_has(&s, (const char *)&key, 4));
        }
    }
    assert_false(lcm_strset_has(&s, "12345", 5));
    assert_int_equal(s.end[s.n - 1], s.bytes.len);
    lcm_strset_clear(&s);
    assert_false(lcm_strset_has(&s, "1", 1));
    assert_int_equal(lcm_strset_add(*state, NULL, &s, "", 0), LCM_OK);
    assert_true(lcm_strset_has(&s, "", 0));
    lcm_strset_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_of_sacrebleu), cmocka_unit_test(test_tokens_of_sacrebleu),
        cmocka_unit_test(test_ngram_multisets),     cmocka_unit_test(test_words),
        cmocka_unit_test(test_surface),             cmocka_unit_test(test_set_of_many),
        cmocka_unit_test(test_overlap),             cmocka_unit_test(test_edits),
        cmocka_unit_test(test_sentence_scores_of_sacrebleu),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
