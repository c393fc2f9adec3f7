/* chrF. */
#include "eval/chrf.h"

#include <stdlib.h>
#include <string.h>

#include "eval/symbols.h"

static bool is_mark(char c) { return c != '\0' && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL; }

/* One mark is cut off a word of two characters or more: the last, or else the first. */
static lcm_status add_word(lcm_ctx *ctx, lcm_symbols *out, lcm_strset *words, const char *word, size_t n) {
    if (n < 2 || (!is_mark(word[0]) && !is_mark(word[n - 1]))) return lcm_symbols_add(ctx, out, words, word, n);
    if (is_mark(word[n - 1])) {
        LCM_TRY(lcm_symbols_add(ctx, out, words, word, n - 1));
        return lcm_symbols_add(ctx, out, words, word + n - 1, 1);
    }
    LCM_TRY(lcm_symbols_add(ctx, out, words, word, 1));
    return lcm_symbols_add(ctx, out, words, word + 1, n - 1);
}

typedef struct side {
    lcm_symbols chars, words;
} side;

static lcm_status split(lcm_ctx *ctx, side *s, lcm_strset *words, const char *text, size_t len) {
    size_t at = 0, n;
    const char *word;
    LCM_TRY(lcm_symbols_chars(ctx, &s->chars, text, len, false));
    while ((word = lcm_next_token(text, len, &at, &n)) != NULL) LCM_TRY(add_word(ctx, &s->words, words, word, n));
    return LCM_OK;
}

static lcm_status count(lcm_ctx *ctx, lcm_ngram_counts *sum, const lcm_symbols *h, const lcm_symbols *r, size_t n) {
    lcm_ngram_counts one = {0};
    LCM_TRY(lcm_ngram_add(ctx, &one, h->x, h->n, r->x, r->n, n));
    if (one.ref > 0) sum->hyp += one.hyp; /* sacrebleu: no count where the reference has none */
    sum->ref += one.ref;
    sum->match += one.match;
    return LCM_OK;
}

lcm_status lcm_chrf_add(lcm_ctx *ctx, lcm_chrf *c, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len) {
    side h = {0}, r = {0};
    lcm_strset words = {0};
    lcm_status st = split(ctx, &h, &words, hyp, hyp_len);
    if (st == LCM_OK) st = split(ctx, &r, &words, ref, ref_len);
    for (size_t n = 1; st == LCM_OK && n <= LCM_CHRF_ORDER; n++) st = count(ctx, &c->n[n - 1], &h.chars, &r.chars, n);
    for (size_t n = 1; st == LCM_OK && n <= LCM_CHRF_WORD_ORDER; n++)
        st = count(ctx, &c->n[LCM_CHRF_ORDER + n - 1], &h.words, &r.words, n);
    lcm_symbols_free(&h.chars);
    lcm_symbols_free(&h.words);
    lcm_symbols_free(&r.chars);
    lcm_symbols_free(&r.words);
    lcm_strset_free(&words);
    return st;
}

static double score(const lcm_chrf *c, int n) {
    double precision = 0, recall = 0, sum;
    int orders = 0;
    for (int i = 0; i < n; i++) {
        if (c->n[i].hyp == 0 || c->n[i].ref == 0) continue;
        precision += (double)c->n[i].match / (double)c->n[i].hyp;
        recall += (double)c->n[i].match / (double)c->n[i].ref;
        orders++;
    }
    sum = 4 * precision + recall;
    return orders && sum > 0 ? 100 * 5 * precision * recall / sum / orders : 0;
}

double lcm_chrf_score(const lcm_chrf *c) { return score(c, LCM_CHRF_ORDER); }
double lcm_chrf_pp_score(const lcm_chrf *c) { return score(c, LCM_CHRF_ORDER + LCM_CHRF_WORD_ORDER); }
