/* ROUGE and the stemmer against google's rouge-score 0.1.2 with NLTK 3.10.4: RougeScorer([...], use_stemmer) of
 * (prediction, target), PorterStemmer().stem. */
#include "harness/test.h"

#include <math.h>
#include <string.h>

#include "eval/porter.h"
#include "eval/rouge.h"

typedef struct rouge_case {
    const char *predicted, *target;
    lcm_prf want[2][LCM_ROUGE_KINDS]; /* without and with the stemmer */
} rouge_case;

static const rouge_case cases[] = {
    {"The cat sat on the mat.", "The cat sat on the mat.",
     {{{1, 1, 1}, {1, 1, 1},
       {1, 1, 1}, {1, 1, 1}},
      {{1, 1, 1}, {1, 1, 1},
       {1, 1, 1}, {1, 1, 1}}}},
    {"The cats were running.\nThey liked the mats", "A cat runs on a mat.\nIt was running and likes mats",
     {{{0.25, 0.1666666667, 0.2}, {0, 0, 0},
       {0.25, 0.1666666667, 0.2}, {0.25, 0.1666666667, 0.2}},
      {{0.5, 0.3333333333, 0.4}, {0, 0, 0},
       {0.5, 0.3333333333, 0.4}, {0.5, 0.3333333333, 0.4}}}},
    {"one two three four\nfive six", "five six one two\nthree four\nfive",
     {{{1, 0.8571428571, 0.9230769231}, {1, 0.8333333333, 0.9090909091},
       {0.8333333333, 0.7142857143, 0.7692307692}, {1, 0.8571428571, 0.9230769231}},
      {{1, 0.8571428571, 0.9230769231}, {1, 0.8333333333, 0.9090909091},
       {0.8333333333, 0.7142857143, 0.7692307692}, {1, 0.8571428571, 0.9230769231}}}},
    {"w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5",
     {{{0.4, 0.8, 0.5333333333}, {0.1111111111, 0.25, 0.1538461538},
       {0.4, 0.8, 0.5333333333}, {0.4, 0.8, 0.5333333333}},
      {{0.4, 0.8, 0.5333333333}, {0.1111111111, 0.25, 0.1538461538},
       {0.4, 0.8, 0.5333333333}, {0.4, 0.8, 0.5333333333}}}},
    {"a a a b", "a b b a a",
     {{{1, 0.8, 0.8888888889}, {0.6666666667, 0.5, 0.5714285714},
       {0.75, 0.6, 0.6666666667}, {0.75, 0.6, 0.6666666667}},
      {{1, 0.8, 0.8888888889}, {0.6666666667, 0.5, 0.5714285714},
       {0.75, 0.6, 0.6666666667}, {0.75, 0.6, 0.6666666667}}}},
    {"", "nothing predicted",
     {{{0, 0, 0}, {0, 0, 0},
       {0, 0, 0}, {0, 0, 0}},
      {{0, 0, 0}, {0, 0, 0},
       {0, 0, 0}, {0, 0, 0}}}},
    {"Don't stop-believing 3,000.5 times!", "dont stop believing 3 000 5 times",
     {{{0.75, 0.8571428571, 0.8}, {0.7142857143, 0.8333333333, 0.7692307692},
       {0.75, 0.8571428571, 0.8}, {0.75, 0.8571428571, 0.8}},
      {{0.75, 0.8571428571, 0.8}, {0.7142857143, 0.8333333333, 0.7692307692},
       {0.75, 0.8571428571, 0.8}, {0.75, 0.8571428571, 0.8}}}},
    {"\304\260stanbul \342\204\252elvin \303\251t\303\251 \346\235\261\344\272\254", "i stanbul kelvin t",
     {{{1, 1, 1}, {1, 1, 1},
       {1, 1, 1}, {1, 1, 1}},
      {{1, 1, 1}, {1, 1, 1},
       {1, 1, 1}, {1, 1, 1}}}},
    {"nationally rational\nhappily flying skies dying news", "national rationalize\nhappy flies sky die new",
     {{{0, 0, 0}, {0, 0, 0},
       {0, 0, 0}, {0, 0, 0}},
      {{0.7142857143, 0.7142857143, 0.7142857143}, {0.5, 0.5, 0.5},
       {0.7142857143, 0.7142857143, 0.7142857143}, {0.7142857143, 0.7142857143, 0.7142857143}}}},
    {"x y x y x y", "y x y x y x",
     {{{1, 1, 1}, {0.8, 0.8, 0.8},
       {0.8333333333, 0.8333333333, 0.8333333333}, {0.8333333333, 0.8333333333, 0.8333333333}},
      {{1, 1, 1}, {0.8, 0.8, 0.8},
       {0.8333333333, 0.8333333333, 0.8333333333}, {0.8333333333, 0.8333333333, 0.8333333333}}}},
};

/* Printed with ten digits. */
static void scores_of_rouge_score(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int stem = 0; stem < 2; stem++) {
            const rouge_case *c = &cases[i];
            lcm_prf got[LCM_ROUGE_KINDS];
            assert_int_equal(lcm_rouge(ctx, got, c->predicted, strlen(c->predicted), c->target, strlen(c->target), stem), LCM_OK);
            for (int k = 0; k < LCM_ROUGE_KINDS; k++)
                if (fabs(got[k].precision - c->want[stem][k].precision) > 1e-9 ||
                    fabs(got[k].recall - c->want[stem][k].recall) > 1e-9 || fabs(got[k].f - c->want[stem][k].f) > 1e-9)
                    fail_msg("case %zu, stem %d, %s: %.10g %.10g %.10g", i, stem, lcm_rouge_names[k], got[k].precision, got[k].recall,
                             got[k].f);
        }
    lcm_ctx_free(ctx);
}

static const char *const stems[][2] = {
    {"caresses", "caress"}, {"ponies", "poni"}, {"ties", "tie"}, {"caress", "caress"}, {"cats", "cat"},
    {"feed", "feed"}, {"agreed", "agre"}, {"plastered", "plaster"}, {"bled", "bled"}, {"motoring", "motor"},
    {"sing", "sing"}, {"conflated", "conflat"}, {"troubled", "troubl"}, {"sized", "size"}, {"hopping", "hop"},
    {"tanned", "tan"}, {"falling", "fall"}, {"hissing", "hiss"}, {"fizzed", "fizz"}, {"failing", "fail"},
    {"filing", "file"}, {"happy", "happi"}, {"enjoy", "enjoy"}, {"sky", "sky"}, {"skies", "sky"},
    {"fly", "fli"}, {"relational", "relat"}, {"conditional", "condit"}, {"rational", "ration"},
    {"valency", "valenc"}, {"hesitancy", "hesit"}, {"digitizer", "digit"}, {"conformably", "conform"},
    {"radically", "radic"}, {"differently", "differ"}, {"vilely", "vile"}, {"analogously", "analog"},
    {"vietnamization", "vietnam"}, {"predication", "predic"}, {"operator", "oper"}, {"feudalism", "feudal"},
    {"decisiveness", "decis"}, {"hopefulness", "hope"}, {"callousness", "callous"}, {"formality", "formal"},
    {"sensitivity", "sensit"}, {"sensibility", "sensibl"}, {"hopefully", "hope"}, {"geology", "geolog"},
    {"theology", "theolog"}, {"triplicate", "triplic"}, {"formative", "form"}, {"formalize", "formal"},
    {"electricity", "electr"}, {"electrical", "electr"}, {"goodness", "good"}, {"revival", "reviv"},
    {"allowance", "allow"}, {"inference", "infer"}, {"airliner", "airlin"}, {"gyroscopic", "gyroscop"},
    {"adjustable", "adjust"}, {"defensible", "defens"}, {"irritant", "irrit"}, {"replacement", "replac"},
    {"adjustment", "adjust"}, {"dependent", "depend"}, {"adoption", "adopt"}, {"homologous", "homolog"},
    {"communism", "commun"}, {"activate", "activ"}, {"angularity", "angular"}, {"effective", "effect"},
    {"bowdlerize", "bowdler"}, {"probate", "probat"}, {"rate", "rate"}, {"cease", "ceas"},
    {"controlling", "control"}, {"roll", "roll"}, {"dying", "die"}, {"lying", "lie"}, {"news", "news"},
    {"innings", "inning"}, {"proceed", "proceed"}, {"dies", "die"}, {"died", "die"}, {"spied", "spi"},
    {"flies", "fli"}, {"rationally", "ration"}, {"syzygy", "syzygi"}, {"yyyyed", "yyyi"}, {"toying", "toy"},
    {"by1s", "by1"}, {"2000s", "2000"}, {"ion", "ion"}, {"nion", "nion"}, {"sion", "sion"},
    {"arguing", "argu"},
};

static void stems_of_nltk(void **state) {
    char word[32];
    (void)state;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        size_t n = strlen(stems[i][0]);
        memcpy(word, stems[i][0], n);
        n = lcm_porter_stem(word, n);
        if (n != strlen(stems[i][1]) || memcmp(word, stems[i][1], n) != 0) fail_msg("%s: %.*s", stems[i][0], (int)n, word);
    }
    assert_int_equal(lcm_porter_stem(word, 0), 0);
}

/* score_multi: per kind the target with the largest f. */
static void the_best_target_counts(void **state) {
    lcm_prf best[LCM_ROUGE_KINDS] = {{.1, .1, .1}, {.4, .4, .4}}, next[LCM_ROUGE_KINDS] = {{.2, .3, .25}, {.5, .3, .4}};
    (void)state;
    lcm_rouge_best(best, next);
    assert_true(best[LCM_ROUGE_1].recall == .3 && best[LCM_ROUGE_2].precision == .4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_of_rouge_score), cmocka_unit_test(stems_of_nltk),
                                       cmocka_unit_test(the_best_target_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
