/* Mutual information: what is scored, what is made of it, and what a scorer may not answer. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/mutual_info.h"
#include "harness/toy_llama.h"
#include "llama/score.h"

/* Writes down what it is asked; every word of context saves a nat, a letter of the text costs two. */
typedef struct notes {
    char text[8][64];
    size_t n;
    double log_prob; /* answers this instead, when not 0 */
} notes;

static int words(const char *s, size_t n) {
    int k = n > 0;
    for (size_t i = 0; i < n; i++) k += s[i] == ' ';
    return k;
}

static lcm_status note(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n) {
    notes *s = self;
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        lcm_scored_text *t = &texts[i];
        assert_true(t->context_len > 0 && t->context[t->context_len - 1] == '\n');
        if (s->n < 8) snprintf(s->text[s->n++], 64, "%.*s|%.*s", (int)t->context_len, t->context, (int)t->len, t->text);
        t->tokens = (int64_t)t->len;
        t->alone = s->log_prob != 0 ? s->log_prob : -2.0 * (double)t->len;
        t->behind = t->alone + words(t->context, t->context_len - 1);
    }
    return LCM_OK;
}

static const char before[] = "A b.\nC d e.\n\nF.\n";

static void context_is_cut_and_joined(void **state) {
    static const char *const want[] = {"C d e. F.\n|Gh.", "\n|"};
    const lcm_mi_item items[] = {{before, sizeof before - 1, "Gh.", 3}, {NULL, 0, "", 0}};
    lcm_mi_opts o = {.sentences = 2};
    lcm_ctx *ctx = lcm_ctx_new();
    notes s = {.n = 0};
    double mi[2], tokens[2];
    (void)state;
    assert_ok(ctx, lcm_mutual_info(ctx, mi, tokens, note, &s, items, 2, &o));
    assert_int_equal(s.n, 2);
    for (int i = 0; i < 2; i++) assert_string_equal(s.text[i], want[i]);
    assert_true(mi[0] == 4.0 / 3 && tokens[0] == 3); /* four words of context, three tokens */
    assert_true(isnan(mi[1]) && tokens[1] == 0);
    s.n = 0;
    o = lcm_mi_defaults();
    o.compat = true;
    assert_ok(ctx, lcm_mutual_info(ctx, mi, tokens, note, &s, items, 1, &o));
    assert_string_equal(s.text[0], "A b. C d e. F.\n|Gh.\n");
    assert_true(mi[0] == 6.0 / 4);
    o.sentences = 0;
    assert_ok(ctx, lcm_mutual_info(ctx, mi, tokens, note, &s, items, 1, &o));
    assert_true(mi[0] == 0);
    assert_ok(ctx, lcm_mutual_info(ctx, mi, tokens, note, &s, items, 0, &o));
    lcm_ctx_free(ctx);
}

static void answers_that_cannot_be(void **state) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0.5};
    const lcm_mi_item item = {before, sizeof before - 1, "Gh.", 3};
    lcm_mi_opts o = lcm_mi_defaults();
    lcm_ctx *ctx = lcm_ctx_new();
    double mi, tokens;
    (void)state;
    for (int i = 0; i < 4; i++) {
        notes s = {.log_prob = bad[i]};
        assert_int_equal(lcm_mutual_info(ctx, &mi, &tokens, note, &s, &item, 1, &o), LCM_ERR_NUMERIC);
    }
    lcm_ctx_free(ctx);
}

/* The same two scores, asked for by hand; 1e-5: other batches round otherwise. */
static void token_model_scores(void **state) {
    static const char sentence[] = "the cat", context[] = "a dog ran.\n";
    const lcm_mi_item item = {context, sizeof context - 1, sentence, sizeof sentence - 1};
    const lcm_llama_text texts[] = {{context, sizeof context - 1, sentence, sizeof sentence - 1}, {"\n", 1, sentence, sizeof sentence - 1}};
    lcm_mi_opts o = lcm_mi_defaults();
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_llama_config config = toy_llama_config(false);
    lcm_llama_file f = {.model = toy_llama(ctx, &config, false), .tok = toy_llama_tokenizer(ctx)};
    lcm_llama_score s[2];
    double mi, tokens;
    (void)state;
    assert_ok(ctx, lcm_llama_score_texts(ctx, s, &f, texts, 2, NULL));
    assert_ok(ctx, lcm_mutual_info(ctx, &mi, &tokens, lcm_mi_score_llama, &f, &item, 1, &o));
    assert_true(s[0].n_tokens > 0 && s[0].log_prob != s[1].log_prob);
    assert_true(tokens == (double)s[0].n_tokens);
    assert_true(fabs(mi - (s[0].log_prob - s[1].log_prob) / tokens) < 1e-5);
    lcm_llama_file_close(&f);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(context_is_cut_and_joined), cmocka_unit_test(answers_that_cannot_be),
                                       cmocka_unit_test(token_model_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
