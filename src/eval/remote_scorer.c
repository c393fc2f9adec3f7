/* Scorers that the caller reaches. */
#include "eval/remote_scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct token {
    size_t at; /* of its text */
    double log_prob;
} token;

/* What was said of one prompt. */
typedef struct echo {
    lcm_ctx *ctx;
    lcm_status st;
    lcm_buf text; /* of all tokens, each with its NUL */
    token *token;
    size_t n, cap;
} echo;

static void echo_free(echo *e) {
    lcm_buf_free(&e->text);
    free(e->token);
}

static const char *text_of(const echo *e, size_t i) { return e->text.data + e->token[i].at; }

static int take(void *to, const char *text, double log_prob) {
    echo *e = to;
    e->st = lcm_grow(e->ctx, &e->token, &e->cap, e->n + 1, sizeof *e->token);
    if (e->st) return 1;
    e->token[e->n++] = (token){e->text.len, log_prob};
    e->st = lcm_buf_append(e->ctx, &e->text, text, strlen(text) + 1);
    return e->st != LCM_OK;
}

static lcm_status ask(lcm_ctx *ctx, echo *e, lcm_remote_scorer *s, const char *context, size_t len, const lcm_scored_text *t) {
    const lcm_eval_scorer *m = s->model;
    char error[512] = "";
    lcm_buf prompt = {0};
    lcm_status st = lcm_buf_append(ctx, &prompt, context, len);
    *e = (echo){.ctx = ctx};
    if (st == LCM_OK) st = lcm_buf_append(ctx, &prompt, t->text, t->len);
    if (st == LCM_OK) {
        s->requests++;
        if (m->score(m->user, prompt.data, take, e, error, sizeof error) != 0)
            st = e->st ? e->st : lcm_fail(ctx, LCM_ERR_IO, "%s", *error ? error : "the scorer does not answer");
    }
    lcm_buf_free(&prompt);
    return st;
}

static const char *behind_space(const char *s) { return s + strspn(s, " \t\n\r"); }

/* White space; an empty text is none, but a part of a character. */
static bool is_space(const char *s) { return *s && *behind_space(s) == '\0'; }

/* Number of the tokens before the text, in what was said of it alone: what stands for its beginning, and the line end. */
static size_t skipped(const echo *e) {
    size_t i = 0;
    while (i < e->n && (is_space(text_of(e, i)) || (i == 0 && isnan(e->token[i].log_prob)))) i++;
    return i;
}

/* Whether the last k tokens are the same. A tokeniser may draw the line end before them into the first one, or drop it. */
static bool same_end(const echo *a, const echo *b, size_t k) {
    if (a->n < k || b->n < k) return false;
    for (size_t i = 0; i < k; i++) {
        const char *x = text_of(a, a->n - k + i), *y = text_of(b, b->n - k + i);
        if (strcmp(i ? x : behind_space(x), i ? y : behind_space(y)) != 0) return false;
    }
    return true;
}

static lcm_status sum_of_last(lcm_ctx *ctx, double *sum, const lcm_remote_scorer *s, const echo *e, size_t k) {
    *sum = 0;
    for (size_t i = e->n - k; i < e->n; i++) {
        double x = e->token[i].log_prob;
        if (!(x <= 0 && isfinite(x)))
            LCM_FAIL(ctx, LCM_ERR_IO, "%s: token %zu of %zu, '%.40s', has the log-probability %g", s->model->url, i + 1, e->n,
                     text_of(e, i), x);
        *sum += x;
    }
    return LCM_OK;
}

static lcm_status score_text(lcm_ctx *ctx, lcm_remote_scorer *s, lcm_scored_text *t, echo *behind, echo *alone) {
    size_t k;
    LCM_TRY(ask(ctx, alone, s, t->context + t->context_len - 1, 1, t));
    LCM_TRY(ask(ctx, behind, s, t->context, t->context_len, t));
    k = alone->n - skipped(alone);
    if (!same_end(behind, alone, k)) {
        s->unmatched++;
        return LCM_OK;
    }
    LCM_TRY(sum_of_last(ctx, &t->behind, s, behind, k));
    LCM_TRY(sum_of_last(ctx, &t->alone, s, alone, k));
    t->tokens = (int64_t)k;
    return LCM_OK;
}

static bool is_blank(const lcm_scored_text *t) {
    size_t i = 0;
    while (i < t->len && strchr(" \t\n\r", t->text[i])) i++;
    return i == t->len;
}

lcm_status lcm_mi_score_remote(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n) {
    lcm_status st = LCM_OK;
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        echo behind = {0}, alone = {0};
        texts[i].behind = texts[i].alone = 0;
        texts[i].tokens = 0;
        if (is_blank(&texts[i])) continue;
        st = score_text(ctx, self, &texts[i], &behind, &alone);
        echo_free(&behind);
        echo_free(&alone);
    }
    return st;
}

lcm_status lcm_remote_scorer_probe(lcm_ctx *ctx, const lcm_eval_scorer *model) {
    static const char context[] = "It rained.\n", text[] = "The street was wet.";
    lcm_remote_scorer s = {.model = model};
    lcm_scored_text t = {.context = context, .context_len = sizeof context - 1, .text = text, .len = sizeof text - 1};
    LCM_TRY(lcm_mi_score_remote(ctx, &s, &t, 1));
    if (t.tokens == 0)
        LCM_FAIL(ctx, LCM_ERR_IO, "%s: '%s' has other tokens behind a sentence than alone", model->url, text);
    return LCM_OK;
}
