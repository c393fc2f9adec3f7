/* Sentences found among the tokens that a scorer behind a callback has, whatever its tokeniser does. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/remote_scorer.h"

/* A tokeniser of words, with the ways of real ones. */
typedef struct model {
    const char *first;  /* listed before the prompt: a beginning of sequence, a space; NULL: nothing */
    bool merges_dot;    /* ".\n" is one token, as byte pairs have it */
    bool swallows_line; /* a line end is the space of the next word, as SentencePiece's normaliser makes it */
    bool sees_context;  /* cuts words behind a context otherwise */
    int bad;            /* token with the log-probability `bad_value`, from 1; 0: none */
    double bad_value;
    const char *error;
    int asked;
    char prompt[128]; /* the last one */
} model;

/* Length of the token at s, behind `begin`. */
static size_t cut(const model *m, const char *begin, const char *s) {
    size_t n = strspn(s, " ");
    if ((unsigned char)*s >= 0x80) return 1; /* a byte of a character */
    if (*s == '\n' && !m->swallows_line) return 1;
    n += *s == '\n';
    if (m->sees_context && s > begin + 4) return n + 1;
    n += strcspn(s + n, " \n.");
    if (s[n] == '.' && n == 0) return m->merges_dot && s[1] == '\n' ? 2 : 1;
    return n;
}

/* The i-th token, from 1, costs i / 16 nats, the first of all has no probability. */
static int score(void *user, const char *prompt, lcm_eval_token_fn token, void *to, char *error, size_t cap) {
    model *m = user;
    int i = 0;
    snprintf(m->prompt, sizeof m->prompt, "%s", prompt);
    m->asked++;
    if (m->error) {
        snprintf(error, cap, "%s", m->error);
        return -1;
    }
    if (m->first) assert_int_equal(token(to, m->first, i++ ? 0 : (double)NAN), 0);
    for (const char *s = prompt; *s;) {
        char text[32];
        size_t n = cut(m, prompt, s);
        assert_true(n > 0 && n < sizeof text);
        memcpy(text, s, n);
        text[n] = '\0';
        s += n;
        i++;
        if ((unsigned char)text[0] >= 0x80) text[0] = '\0'; /* as llama-cpp-python has it */
        assert_int_equal(token(to, text[0] == '\n' && n > 1 ? text + 1 : text, i == m->bad ? m->bad_value : i == 1 ? (double)NAN : -i / 16.0), 0);
    }
    return 0;
}

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_eval_scorer scorer;
    lcm_remote_scorer remote;
    lcm_scored_text t;
    lcm_status st;
} fixture;

#define CONTEXT "A cat. It ran.\n"

static fixture ask(model *m, const char *text) {
    fixture f = {.ctx = lcm_ctx_new(), .scorer = {.url = "http://h", .score = score, .user = m},
                 .t = {.context = CONTEXT, .context_len = sizeof CONTEXT - 1, .text = text, .len = strlen(text)}};
    f.remote.model = &f.scorer;
    f.st = lcm_mi_score_remote(f.ctx, &f.remote, &f.t, 1);
    f.remote.model = NULL;
    return f;
}

static double cost(int first, int last) {
    double sum = 0;
    for (int i = first; i <= last; i++) sum -= i / 16.0;
    return sum;
}

/* The tokens of the text end at `alone` and `behind`. */
static void expect_text(model m, const char *text, int tokens, int alone, int behind) {
    fixture f = ask(&m, text);
    assert_ok(f.ctx, f.st);
    assert_int_equal(f.t.tokens, tokens);
    assert_true(f.t.alone == cost(alone - tokens + 1, alone)); /* sixteenths add up exactly */
    assert_true(f.t.behind == cost(behind - tokens + 1, behind));
    assert_int_equal(f.remote.requests, 2);
    assert_int_equal(f.remote.unmatched, 0);
    assert_memory_equal(m.prompt, CONTEXT, sizeof CONTEXT - 1);
    assert_string_equal(m.prompt + sizeof CONTEXT - 1, text);
    lcm_ctx_free(f.ctx);
}

static void expect(model m, int alone, int behind) { expect_text(m, "We sat.", 3, alone, behind); }

static void the_ways_of_tokenisers(void **state) {
    (void)state;
    expect((model){0}, 4, 10);                                       /* "\n" has no probability: nothing is before it */
    expect((model){.merges_dot = true}, 4, 9);                       /* "\n" is its own only where nothing is before it */
    expect((model){.first = "<s>"}, 5, 11);                          /* beginning of sequence, "\n" */
    expect((model){.first = " "}, 5, 11);                            /* the space that SentencePiece puts before a prompt */
    expect((model){.first = "<s>", .swallows_line = true}, 4, 10);   /* no line end to be seen */
    expect_text((model){0}, "\u201cWe sat.\u201d", 9, 10, 16);       /* bytes of characters, without a text of their own */
}

static void nothing_to_score(void **state) {
    static const char *const blank[] = {"", "\n", " \n"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        model m = {0};
        fixture f = ask(&m, blank[i]);
        assert_ok(f.ctx, f.st);
        assert_int_equal(f.t.tokens, 0);
        assert_int_equal(m.asked, 0);
        lcm_ctx_free(f.ctx);
    }
}

static void other_tokens_behind_the_context(void **state) {
    model m = {.sees_context = true};
    fixture f = ask(&m, "We sat.");
    (void)state;
    assert_ok(f.ctx, f.st);
    assert_int_equal(f.t.tokens, 0);
    assert_int_equal(f.remote.unmatched, 1);
    assert_int_equal(lcm_remote_scorer_probe(f.ctx, &(lcm_eval_scorer){.url = "http://h", .score = score, .user = &m}), LCM_ERR_IO);
    assert_non_null(strstr(lcm_ctx_message(f.ctx), "http://h: 'The street was wet.' has other tokens"));
    m.sees_context = false;
    assert_ok(f.ctx, lcm_remote_scorer_probe(f.ctx, &(lcm_eval_scorer){.url = "http://h", .score = score, .user = &m}));
    lcm_ctx_free(f.ctx);
}

static void answers_that_cannot_be(void **state) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0.5};
    (void)state;
    for (int i = 0; i < 4; i++) {
        model m = {.bad = 3, .bad_value = bad[i]};
        fixture f = ask(&m, "We sat.");
        assert_int_equal(f.st, LCM_ERR_IO);
        assert_non_null(strstr(lcm_ctx_message(f.ctx), "http://h: token 3 of 4, ' sat', has the log-probability"));
        lcm_ctx_free(f.ctx);
    }
    {
        model m = {.bad = 6, .bad_value = 0.5}; /* of the context: not asked for */
        fixture f = ask(&m, "We sat.");
        assert_ok(f.ctx, f.st);
        lcm_ctx_free(f.ctx);
    }
    {
        model m = {.error = "http://h: gone"};
        fixture f = ask(&m, "We sat.");
        assert_int_equal(f.st, LCM_ERR_IO);
        assert_string_equal(lcm_ctx_message(f.ctx), "http://h: gone");
        assert_int_equal(m.asked, 1);
        lcm_ctx_free(f.ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_ways_of_tokenisers), cmocka_unit_test(nothing_to_score),
                                       cmocka_unit_test(other_tokens_behind_the_context), cmocka_unit_test(answers_that_cannot_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
