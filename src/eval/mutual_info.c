/* Mutual information. */
#include "eval/mutual_info.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "llama/score.h"

lcm_mi_opts lcm_mi_defaults(void) { return (lcm_mi_opts){.sentences = 10}; }

/* Start of the last `sentences` lines of the context; empty lines are none. */
static const char *last_lines(const lcm_mi_item *item, int64_t sentences) {
    const char *begin = item->context, *p = begin + item->context_len, *start = p;
    while (p > begin && sentences > 0) {
        const char *end = p;
        while (p > begin && p[-1] != '\n') p--;
        if (p < end) start = p, sentences--;
        if (p > begin) p--; /* the line end */
    }
    return start;
}

/* Appends the context of one item, lines joined by a space, then the text; offsets into *room, which may still move. */
static lcm_status put_item(lcm_ctx *ctx, lcm_buf *room, lcm_scored_text *t, const lcm_mi_item *item, const lcm_mi_opts *o) {
    const char *p = item->context_len ? last_lines(item, o->sentences) : NULL, *end = p ? item->context + item->context_len : NULL;
    size_t begin = room->len;
    while (p && p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        if (n && room->len > begin) LCM_TRY(lcm_buf_append(ctx, room, " ", 1));
        LCM_TRY(lcm_buf_append(ctx, room, p, n));
        p += n + (stop != NULL);
    }
    t->context_len = room->len - begin;
    begin = room->len;
    LCM_TRY(lcm_buf_append(ctx, room, "\n", 1));
    LCM_TRY(lcm_buf_append(ctx, room, item->sentence, item->len));
    if (o->compat) LCM_TRY(lcm_buf_append(ctx, room, "\n", 1));
    t->len = room->len - begin;
    return LCM_OK;
}

/* texts (2 n): with context, then the same alone. */
static lcm_status fill(lcm_ctx *ctx, lcm_scored_text *texts, lcm_buf *room, const lcm_mi_item *items, size_t n,
                       const lcm_mi_opts *o) {
    const char *at;
    for (size_t i = 0; i < n; i++) LCM_TRY(put_item(ctx, room, &texts[i], &items[i], o));
    at = room->data;
    for (size_t i = 0; i < n; i++) {
        texts[i].context = at;
        texts[i].text = at += texts[i].context_len;
        at += texts[i].len;
        texts[n + i] = (lcm_scored_text){.text = texts[i].text, .len = texts[i].len};
    }
    return LCM_OK;
}

static lcm_status check(lcm_ctx *ctx, const lcm_scored_text *with, const lcm_scored_text *alone, size_t i) {
    if (!(with->log_prob <= 0 && alone->log_prob <= 0 && isfinite(with->log_prob) && isfinite(alone->log_prob)))
        LCM_FAIL(ctx, LCM_ERR_NUMERIC, "text %zu: log-probability %g with its context, %g without", i + 1, with->log_prob,
                 alone->log_prob);
    if (with->tokens != alone->tokens || with->tokens < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "text %zu: %lld tokens with its context, %lld without", i + 1, (long long)with->tokens,
                 (long long)alone->tokens);
    return LCM_OK;
}

lcm_status lcm_mutual_info(lcm_ctx *ctx, double *mi, double *tokens, lcm_score_texts_fn score, void *self,
                           const lcm_mi_item *items, size_t n, const lcm_mi_opts *opts) {
    lcm_scored_text *texts;
    lcm_buf room = {0};
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &texts, 2 * n, sizeof *texts));
    st = fill(ctx, texts, &room, items, n, opts);
    if (st == LCM_OK) st = score(ctx, self, texts, 2 * n);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        const lcm_scored_text *with = &texts[i], *alone = &texts[n + i];
        st = check(ctx, with, alone, i);
        tokens[i] = (double)with->tokens;
        mi[i] = with->tokens ? (with->log_prob - alone->log_prob) / tokens[i] : NAN;
    }
    lcm_buf_free(&room);
    free(texts);
    return st;
}

lcm_status lcm_mi_document(lcm_ctx *ctx, double *mi, double *tokens, lcm_scorer *s, const lcm_mi_item *items, size_t n,
                           const lcm_mi_opts *opts) {
    lcm_status st = lcm_mutual_info(ctx, mi, tokens, s->score, s->self, items, n, opts);
    if (st != LCM_ERR_LIMIT) return st;
    s->too_long++;
    for (size_t i = 0; i < n; i++) mi[i] = NAN, tokens[i] = 0;
    return LCM_OK;
}

lcm_status lcm_mi_score_llama(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n) {
    lcm_llama_text *in;
    lcm_llama_score *out = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &in, n, sizeof *in));
    st = lcm_calloc(ctx, &out, n, sizeof *out);
    for (size_t i = 0; st == LCM_OK && i < n; i++)
        in[i] = (lcm_llama_text){texts[i].context_len ? texts[i].context : NULL, texts[i].context_len, texts[i].text, texts[i].len};
    if (st == LCM_OK) st = lcm_llama_score_texts(ctx, out, self, in, n, NULL);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        texts[i].log_prob = out[i].log_prob;
        texts[i].tokens = out[i].n_tokens;
    }
    free(in);
    free(out);
    return st;
}
