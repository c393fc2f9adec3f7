/* BLEU. */
#include "eval/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/chars.h"

/* ---- tokenizer 13a: the substitutions of mteval-v13a, one pass each, left to right ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_point(char c) { return c == '.' || c == ','; }

/* ASCII punctuation but ' , - . */
static bool is_split(char c) {
    return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
           (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static lcm_status put(lcm_ctx *ctx, lcm_buf *out, const char *s) { return lcm_buf_append(ctx, out, s, strlen(s)); }

static lcm_status put_spaced(lcm_ctx *ctx, lcm_buf *out, const char *before, char c, const char *after) {
    LCM_TRY(put(ctx, out, before));
    LCM_TRY(lcm_buf_append(ctx, out, &c, 1));
    return put(ctx, out, after);
}

static lcm_status replace(lcm_ctx *ctx, lcm_buf *out, const lcm_buf *in, const char *from, const char *to) {
    const char *s = in->data, *end = in->data + in->len, *hit;
    size_t n = strlen(from);
    for (; (hit = lcm_find_bytes(s, (size_t)(end - s), from, n)) != NULL; s = hit + n) {
        LCM_TRY(lcm_buf_append(ctx, out, s, (size_t)(hit - s)));
        LCM_TRY(put(ctx, out, to));
    }
    return lcm_buf_append(ctx, out, s, (size_t)(end - s));
}

/* Each pass copies `in` to `out`; a match takes one byte or two, as the regular expression does. */
static lcm_status split_pass(lcm_ctx *ctx, lcm_buf *out, const lcm_buf *in, int pass) {
    for (size_t i = 0; i < in->len; i++) {
        char c = in->data[i], next = i + 1 < in->len ? in->data[i + 1] : '\0';
        bool more = i + 1 < in->len;
        if (pass == 0 && is_split(c)) LCM_TRY(put_spaced(ctx, out, " ", c, " "));
        else if (pass == 1 && more && !is_digit(c) && is_point(next)) {
            LCM_TRY(lcm_buf_append(ctx, out, &c, 1));
            LCM_TRY(put_spaced(ctx, out, " ", next, " "));
            i++;
        } else if (pass == 2 && more && is_point(c) && !is_digit(next)) {
            LCM_TRY(put_spaced(ctx, out, " ", c, " "));
            LCM_TRY(lcm_buf_append(ctx, out, &next, 1));
            i++;
        } else if (pass == 3 && more && is_digit(c) && next == '-') {
            LCM_TRY(lcm_buf_append(ctx, out, &c, 1));
            LCM_TRY(put_spaced(ctx, out, " ", next, " "));
            i++;
        } else LCM_TRY(lcm_buf_append(ctx, out, &c, 1));
    }
    return LCM_OK;
}

static lcm_status join_words(lcm_ctx *ctx, lcm_buf *out, const lcm_buf *in) {
    for (size_t i = 0, begin = 0; i <= in->len;) {
        size_t at = i;
        uint32_t c = i < in->len ? lcm_char_next(in->data, &i) : (i++, ' ');
        if (!lcm_char_is_space(c) && !(c >= 0x1C && c <= 0x1F)) continue; /* Python's split() also parts there */
        if (at > begin) {
            LCM_TRY(lcm_buf_append(ctx, out, in->data + begin, at - begin));
            LCM_TRY(put(ctx, out, " "));
        }
        begin = i;
    }
    return LCM_OK;
}

static lcm_status tokenize(lcm_ctx *ctx, lcm_buf *out, lcm_buf b[2]) {
    static const char *const pairs[][2] = {{"<skipped>", ""}, {"-\n", ""},    {"\n", " "},  {"&quot;", "\""},
                                           {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"}};
    int now = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++, now ^= 1) {
        b[now ^ 1].len = 0;
        LCM_TRY(replace(ctx, &b[now ^ 1], &b[now], pairs[i][0], pairs[i][1]));
    }
    b[now ^ 1].len = 0;
    LCM_TRY(put(ctx, &b[now ^ 1], " "));
    LCM_TRY(lcm_buf_append(ctx, &b[now ^ 1], b[now].data, b[now].len));
    LCM_TRY(put(ctx, &b[now ^ 1], " "));
    now ^= 1;
    for (int pass = 0; pass < 4; pass++, now ^= 1) {
        b[now ^ 1].len = 0;
        LCM_TRY(split_pass(ctx, &b[now ^ 1], &b[now], pass));
    }
    return join_words(ctx, out, &b[now]);
}

lcm_status lcm_bleu_tokenize(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len) {
    lcm_buf b[2] = {{0}};
    lcm_status st;
    size_t kept = len;
    while (kept > 0) { /* sacrebleu strips the end before it looks for line ends */
        size_t at = kept;
        if (!lcm_char_is_space(lcm_char_prev(text, &at))) break;
        kept = at;
    }
    st = lcm_buf_append(ctx, &b[0], text, kept);
    if (st == LCM_OK) st = tokenize(ctx, out, b);
    lcm_buf_free(&b[0]);
    lcm_buf_free(&b[1]);
    return st;
}

/* ---- score ---- */

static lcm_status to_symbols(lcm_ctx *ctx, lcm_symbols *out, lcm_strset *words, const char *text, size_t len) {
    lcm_buf t = {0};
    lcm_status st = lcm_bleu_tokenize(ctx, &t, text, len);
    for (size_t i = 0; st == LCM_OK && i < t.len;) {
        size_t n = (size_t)((const char *)memchr(t.data + i, ' ', t.len - i) - (t.data + i));
        st = lcm_symbols_add(ctx, out, words, t.data + i, n);
        i += n + 1;
    }
    lcm_buf_free(&t);
    return st;
}

lcm_status lcm_bleu_add(lcm_ctx *ctx, lcm_bleu *b, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len) {
    lcm_strset words = {0};
    lcm_symbols h = {0}, r = {0};
    lcm_status st = to_symbols(ctx, &h, &words, hyp, hyp_len);
    if (st == LCM_OK) st = to_symbols(ctx, &r, &words, ref, ref_len);
    for (size_t n = 1; st == LCM_OK && n <= LCM_BLEU_ORDER; n++) st = lcm_ngram_add(ctx, &b->n[n - 1], h.x, h.n, r.x, r.n, n);
    lcm_strset_free(&words);
    lcm_symbols_free(&h);
    lcm_symbols_free(&r);
    return st;
}

static double score(const lcm_bleu *b, bool effective_order) {
    int orders = 0;
    double halves = 1, log_sum = 0, hyp = (double)b->n[0].hyp, ref = (double)b->n[0].ref;
    if (b->n[0].match == 0) return 0; /* then no longer n-gram matches either */
    for (int i = 0; i < LCM_BLEU_ORDER; i++) {
        const lcm_ngram_counts *c = &b->n[i];
        if (c->hyp == 0 && !effective_order) return 0;
        if (c->hyp == 0) break;
        orders++;
        if (c->match == 0) log_sum += log(1 / ((halves *= 2) * (double)c->hyp));
        else log_sum += log((double)c->match / (double)c->hyp);
    }
    return 100 * exp(log_sum / orders) * (hyp < ref ? exp(1 - ref / hyp) : 1);
}

double lcm_bleu_score(const lcm_bleu *b) { return score(b, false); }
double lcm_bleu_sentence_score(const lcm_bleu *b) { return score(b, true); }
