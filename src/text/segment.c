#include "text/segment.h"

#include <stdlib.h>
#include <string.h>

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/chars.h"
#include "text/resplit.h"
#include "text/rules.h"

void lcm_spans_free(lcm_spans *s) {
    if (s == NULL) return;
    free(s->data);
    *s = (lcm_spans){0};
}

lcm_status lcm_spans_push(lcm_ctx *ctx, lcm_spans *s, size_t begin, size_t end) {
    if (s->len == s->cap) LCM_TRY(lcm_grow(ctx, &s->data, &s->cap, s->len + 1, sizeof *s->data));
    s->data[s->len++] = (lcm_span){begin, end};
    return LCM_OK;
}

lcm_span lcm_span_trim(const char *text, lcm_span s) {
    while (s.begin < s.end) {
        size_t at = s.end;
        if (!lcm_char_is_space(lcm_char_prev(text, &at))) break;
        s.end = at;
    }
    while (s.begin < s.end) {
        size_t at = s.begin;
        if (!lcm_char_is_space(lcm_char_next(text, &at))) break;
        s.begin = at;
    }
    return s;
}

size_t lcm_span_chars(const char *text, lcm_span s) {
    size_t n = 0;
    for (size_t i = s.begin; i < s.end; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* State of one pass over a text. The sentence so far is sentence … left. */
typedef struct pass {
    lcm_ctx *ctx;
    lcm_gap gap;
    lcm_spans spans; /* trimmed */
    size_t max_chars;
    size_t quotes, quotes_end; /* number of '"' between gap.line and quotes_end */
    bool open;                 /* anything visible seen yet */
} pass;

static lcm_status end_sentence(pass *p) {
    lcm_span s = {p->gap.sentence, p->gap.left};
    if (p->max_chars > 0) return lcm_cap(p->ctx, &p->spans, p->gap.text, s, p->max_chars);
    return lcm_spans_push(p->ctx, &p->spans, s.begin, s.end);
}

/* 'He left."Why?" she asked.': without spaces only the number of quotes so far on the line tells that
 * the first one opens. Counts on from the last call, so that a line is counted once. */
static bool is_opening_quote(pass *p, size_t at) {
    lcm_gap *g = &p->gap;
    size_t before = at;
    if (at == g->line || g->text[at] != '"' || lcm_char_is_space(lcm_char_prev(g->text, &before)))
        return false;
    if (p->quotes_end < g->line) {
        p->quotes = 0;
        p->quotes_end = g->line;
    }
    for (; p->quotes_end < at; p->quotes_end++) p->quotes += g->text[p->quotes_end] == '"';
    return p->quotes % 2 == 0;
}

/* Without a space UAX #29 gives all quotes and brackets to the left; opening ones go to the right:
 * "。「" and '.(', and a straight quote by parity. */
static size_t before_openers(pass *p, size_t gap) {
    enum { OPENERS_MAX = 8 };
    for (int i = 0; i < OPENERS_MAX && gap > p->gap.sentence; i++) {
        size_t at = gap;
        uint32_t c = lcm_char_prev(p->gap.text, &at);
        if (u_charType((UChar32)c) != U_START_PUNCTUATION && !lcm_lang_is_opening_quote(p->gap.lang, c))
            break;
        if (at == p->gap.sentence) break;
        gap = at;
    }
    return gap > p->gap.sentence + 1 && is_opening_quote(p, gap - 1) ? gap - 1 : gap;
}

/* Decides between gap.left and `right`. */
static lcm_status cross_gap(pass *p, size_t right, size_t limit) {
    lcm_gap *g = &p->gap;
    size_t next;
    if (g->left == right) {
        right = before_openers(p, right);
        g->left = lcm_span_trim(g->text, (lcm_span){g->sentence, right}).end;
    }
    g->right = right;
    g->limit = limit;
    next = lcm_rule_break(g);
    if (next > 0) {
        if (next > right) g->left = lcm_span_trim(g->text, (lcm_span){g->left, next}).end; /* stray closers */
        LCM_TRY(end_sentence(p));
        g->sentence = next;
    }
    if (lcm_rule_count_lines(g->text, g->left, right) > 0) g->line = right;
    return LCM_OK;
}

/* "the end.Then": the stop at `stop` stands between a word in lower case, with a space or quote
 * before it, and a capitalised word. UAX #29 never breaks there (SB7), for the sake of names like
 * "Node.Js" and of hosts; a word of a text without its space is by far more common in stories. */
static bool is_missing_space(const char *s, size_t begin, size_t stop, size_t end) {
    size_t at = stop, letters = 0, next;
    while (at > begin && letters < 32) {
        size_t before = at;
        int cls = lcm_char_class(lcm_char_prev(s, &before));
        if (cls == U_SB_SP || cls == U_SB_CLOSE) break;
        if (cls != U_SB_LOWER) return false;
        at = before;
        letters++;
    }
    next = stop + 1;
    if (letters < 2 || letters == 32 || next >= end) return false;
    if (lcm_char_class(lcm_char_next(s, &next)) != U_SB_UPPER) return false;
    for (letters = 0; next < end && letters < 32; letters++) {
        size_t after = next;
        int cls = lcm_char_class(lcm_char_next(s, &after));
        if (cls != U_SB_LOWER) return cls == U_SB_SP || cls == U_SB_CLOSE ? letters > 0 : s[next] == ',';
        next = after;
    }
    return next == end;
}

/* Candidates inside a piece that ICU does not offer: a missing space, and a number in front of a word in
 * lower case ("We ran. 3 hens sat."), which SB8 takes for the middle of a sentence. `begin` … `end` has no
 * white space at its ends. */
static lcm_status inner_gaps(pass *p, size_t begin, size_t end) {
    const char *s = p->gap.text, *hit;
    size_t at = begin;
    for (at = begin; (hit = memchr(s + at, '.', end - at)) != NULL; at = (size_t)(hit - s) + 1) {
        size_t stop = (size_t)(hit - s);
        size_t right = lcm_span_trim(s, (lcm_span){stop + 1, end}).begin;
        bool digit = right > stop + 1 && right < end && s[right] >= '0' && s[right] <= '9';
        if (!digit && !is_missing_space(s, begin, stop, end)) continue;
        p->gap.left = stop + 1;
        LCM_TRY(cross_gap(p, right, end));
    }
    return LCM_OK;
}

/* The same for an ellipsis in one character, which UAX #29 does not count as an end mark. */
static lcm_status ellipsis_gaps(pass *p, size_t begin, size_t end) {
    const char *s = p->gap.text, *hit;
    size_t at = begin;
    while (at < end && (hit = lcm_find_bytes(s + at, end - at, "\xE2\x80\xA6", 3)) != NULL) {
        size_t left, right;
        at = (size_t)(hit - s) + 3;
        for (left = at; left < end; left = at) { /* a run of marks and quotes is one end */
            uint32_t c = lcm_char_next(s, &at);
            if (!lcm_rule_is_end_mark(c) && lcm_char_class(c) != U_SB_CLOSE) break;
        }
        right = lcm_span_trim(s, (lcm_span){left, end}).begin;
        if (right == left || right == end) continue;
        p->gap.left = left;
        LCM_TRY(cross_gap(p, right, end));
        at = right;
    }
    return LCM_OK;
}

static lcm_status take_piece(pass *p, size_t begin, size_t end) {
    lcm_span s = lcm_span_trim(p->gap.text, (lcm_span){begin, end});
    if (s.begin == s.end) return LCM_OK;
    if (p->open) {
        LCM_TRY(cross_gap(p, s.begin, s.end));
    } else {
        p->gap.sentence = p->gap.line = s.begin;
        p->open = true;
    }
    if (lcm_find_bytes(p->gap.text + s.begin, s.end - s.begin, "\xE2\x80\xA6", 3) != NULL) {
        LCM_TRY(ellipsis_gaps(p, s.begin, s.end));
    } else {
        LCM_TRY(inner_gaps(p, s.begin, s.end));
    }
    p->gap.left = s.end;
    return LCM_OK;
}

static lcm_status walk(pass *p, UBreakIterator *it) {
    int32_t begin = 0, end;
    for (ubrk_first(it); (end = ubrk_next(it)) != UBRK_DONE; begin = end) {
        LCM_TRY(take_piece(p, (size_t)begin, (size_t)end));
    }
    return p->open ? end_sentence(p) : LCM_OK;
}

static lcm_status walk_icu(pass *p) {
    UErrorCode err = U_ZERO_ERROR;
    UText ut = UTEXT_INITIALIZER;
    UBreakIterator *it;
    lcm_status st;
    utext_openUTF8(&ut, p->gap.text, (int64_t)p->gap.len, &err);
    it = ubrk_open(UBRK_SENTENCE, lcm_lang_locale(p->gap.lang), NULL, 0, &err);
    if (U_SUCCESS(err)) ubrk_setUText(it, &ut, &err);
    if (U_SUCCESS(err)) {
        st = walk(p, it);
    } else {
        st = lcm_fail(p->ctx, LCM_ERR_NOMEM, "sentence breaks: ICU says %s", u_errorName(err));
    }
    if (it != NULL) ubrk_close(it);
    utext_close(&ut);
    return st;
}

lcm_segment_opts lcm_segment_opts_default(void) { return (lcm_segment_opts){.lang = NULL, .max_chars = 256}; }

/* Trimmed spans of the sentences. */
static lcm_status segment(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len,
                          const lcm_segment_opts *opts) {
    lcm_segment_opts o = opts != NULL ? *opts : lcm_segment_opts_default();
    pass p = {.ctx = ctx, .gap = {.text = text, .len = len}};
    size_t good = lcm_utf8_valid_prefix(text, len);
    lcm_status st;
    if (o.max_chars < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "max_chars is %lld, must not be negative", (long long)o.max_chars);
    p.max_chars = (uint64_t)o.max_chars < SIZE_MAX ? (size_t)o.max_chars : SIZE_MAX;
    p.gap.lang = lcm_lang_find(o.lang != NULL ? o.lang : "en");
    if (p.gap.lang == NULL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%.40s' is not a language code such as en or eng_Latn", o.lang);
    if (len > INT32_MAX) LCM_FAIL(ctx, LCM_ERR_LIMIT, "text has %zu bytes, limit is %d", len, INT32_MAX);
    if (good < len) LCM_FAIL(ctx, LCM_ERR_UTF8, "text is not UTF-8 at byte %zu", good);
    st = len > 0 ? walk_icu(&p) : LCM_OK;
    if (st != LCM_OK) {
        lcm_spans_free(&p.spans);
        return st;
    }
    lcm_spans_free(out);
    *out = p.spans;
    return LCM_OK;
}

lcm_status lcm_segment(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len,
                       const lcm_segment_opts *opts) {
    lcm_spans s = {0};
    LCM_TRY(segment(ctx, &s, text, len, opts));
    if (s.len == 0 && len > 0) LCM_TRY(lcm_spans_push(ctx, &s, 0, len));
    for (size_t i = 0; i < s.len; i++) {
        s.data[i].begin = i > 0 ? s.data[i - 1].end : 0;
        s.data[i].end = i + 1 < s.len ? s.data[i + 1].begin : len;
    }
    lcm_spans_free(out);
    *out = s;
    return LCM_OK;
}

lcm_status lcm_segment_lines(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len) {
    out->len = 0;
    for (size_t at = 0; at < len;) {
        const char *stop = memchr(text + at, '\n', len - at);
        size_t end = stop ? (size_t)(stop - text) : len;
        lcm_span line = lcm_span_trim(text, (lcm_span){at, end});
        if (line.begin < line.end) LCM_TRY(lcm_spans_push(ctx, out, line.begin, line.end));
        at = end + 1;
    }
    return LCM_OK;
}
