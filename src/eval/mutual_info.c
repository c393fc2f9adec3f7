/* Mutual information. */
#include "eval/mutual_info.h"

#include <math.h>
#include <stdio.h>
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

/* Appends the context of one item, lines joined by a space, a line end, then the text; offsets into *room, which may
 * still move. */
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
    LCM_TRY(lcm_buf_append(ctx, room, "\n", 1));
    t->context_len = room->len - begin;
    begin = room->len;
    LCM_TRY(lcm_buf_append(ctx, room, item->sentence, item->len));
    if (o->compat) LCM_TRY(lcm_buf_append(ctx, room, "\n", 1));
    t->len = room->len - begin;
    return LCM_OK;
}

static lcm_status fill(lcm_ctx *ctx, lcm_scored_text *texts, lcm_buf *room, const lcm_mi_item *items, size_t n,
                       const lcm_mi_opts *o) {
    const char *at;
    for (size_t i = 0; i < n; i++) LCM_TRY(put_item(ctx, room, &texts[i], &items[i], o));
    at = room->data;
    for (size_t i = 0; i < n; i++) {
        texts[i].context = at;
        texts[i].text = at += texts[i].context_len;
        at += texts[i].len;
    }
    return LCM_OK;
}

static lcm_status check(lcm_ctx *ctx, const lcm_scored_text *t, size_t i) {
    if (!(t->behind <= 0 && t->alone <= 0 && isfinite(t->behind) && isfinite(t->alone)))
        LCM_FAIL(ctx, LCM_ERR_NUMERIC, "text %zu: log-probability %g with its context, %g without", i + 1, t->behind, t->alone);
    return LCM_OK;
}

lcm_status lcm_mutual_info(lcm_ctx *ctx, double *mi, double *tokens, lcm_score_texts_fn score, void *self,
                           const lcm_mi_item *items, size_t n, const lcm_mi_opts *opts) {
    lcm_scored_text *texts;
    lcm_buf room = {0};
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &texts, n, sizeof *texts));
    st = fill(ctx, texts, &room, items, n, opts);
    if (st == LCM_OK) st = score(ctx, self, texts, n);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        const lcm_scored_text *t = &texts[i];
        st = check(ctx, t, i);
        tokens[i] = (double)t->tokens;
        mi[i] = t->tokens ? (t->behind - t->alone) / tokens[i] : NAN;
    }
    lcm_buf_free(&room);
    free(texts);
    return st;
}

lcm_status lcm_mi_document(lcm_ctx *ctx, double *mi, double *tokens, lcm_scorer *s, const lcm_mi_item *items, size_t n,
                           const lcm_mi_opts *opts) {
    lcm_status st = *s->failed ? LCM_ERR_IO : lcm_mutual_info(ctx, mi, tokens, s->score, s->self, items, n, opts);
    if (st != LCM_ERR_LIMIT && st != LCM_ERR_IO) return st;
    if (st == LCM_ERR_LIMIT) s->too_long++;
    else if (*s->failed == '\0') snprintf(s->failed, sizeof s->failed, "%s", lcm_ctx_message(ctx));
    for (size_t i = 0; i < n; i++) mi[i] = NAN, tokens[i] = 0;
    return LCM_OK;
}

/* texts (2 n): behind their contexts, then alone. */
static void pair_up(lcm_llama_text *out, const lcm_scored_text *texts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const lcm_scored_text *t = &texts[i];
        out[i] = (lcm_llama_text){t->context, t->context_len, t->text, t->len};
        out[n + i] = (lcm_llama_text){t->context + t->context_len - 1, 1, t->text, t->len};
    }
}

lcm_status lcm_mi_score_llama(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n) {
    lcm_llama_text *in;
    lcm_llama_score *out = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &in, 2 * n, sizeof *in));
    st = lcm_calloc(ctx, &out, 2 * n, sizeof *out);
    if (st == LCM_OK) pair_up(in, texts, n);
    if (st == LCM_OK) st = lcm_llama_score_texts(ctx, out, self, in, 2 * n, NULL);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        LCM_ASSERT(out[i].n_tokens == out[n + i].n_tokens); /* contexts and texts are tokenised apart */
        texts[i].behind = out[i].log_prob;
        texts[i].alone = out[n + i].log_prob;
        texts[i].tokens = out[i].n_tokens;
    }
    free(in);
    free(out);
    return st;
}
