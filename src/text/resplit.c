#include "text/resplit.h"

#include <string.h>

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include "text/chars.h"

lcm_status lcm_resplit(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span piece, const char *sep,
                       size_t max_chars) {
    size_t begin = piece.begin, chars = 0, sep_len = strlen(sep), at = piece.begin;
    LCM_ASSERT(sep_len > 0 && max_chars > 0);
    while (at < piece.end) {
        const char *hit = lcm_find_bytes(text + at, piece.end - at, sep, sep_len);
        size_t end = hit != NULL ? (size_t)(hit - text) + sep_len : piece.end;
        size_t n = lcm_span_chars(text, (lcm_span){at, end});
        if (chars + n > max_chars && at > begin) {
            LCM_TRY(lcm_spans_push(ctx, out, begin, at));
            begin = at;
            chars = 0;
        }
        chars += n;
        at = end;
    }
    if (begin < piece.end) LCM_TRY(lcm_spans_push(ctx, out, begin, piece.end));
    return LCM_OK;
}

static lcm_status push_trimmed(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t begin, size_t end) {
    lcm_span s = lcm_span_trim(text, (lcm_span){begin, end});
    return s.begin < s.end ? lcm_spans_push(ctx, out, s.begin, s.end) : LCM_OK;
}

static bool too_long(const char *text, lcm_span s, size_t max_chars) {
    return s.end - s.begin > max_chars && lcm_span_chars(text, s) > max_chars;
}

static lcm_status cut_code_points(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span s,
                                  size_t max_chars) {
    size_t begin = s.begin, n = 0;
    for (size_t at = s.begin; at < s.end;) {
        lcm_char_next(text, &at);
        if (++n < max_chars) continue;
        LCM_TRY(push_trimmed(ctx, out, text, begin, at));
        begin = at;
        n = 0;
    }
    return push_trimmed(ctx, out, text, begin, s.end);
}

/* Glues the units between the breaks of `it` like lcm_resplit its words: a unit over the cap stands alone. */
static lcm_status glue_units(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span s, size_t max_chars,
                             UBreakIterator *it) {
    size_t begin = s.begin, chars = 0, last = s.begin;
    int32_t b;
    for (ubrk_first(it); (b = ubrk_next(it)) != UBRK_DONE; last = s.begin + (size_t)b) {
        size_t n = lcm_span_chars(text, (lcm_span){last, s.begin + (size_t)b});
        if (chars + n > max_chars && last > begin) {
            LCM_TRY(push_trimmed(ctx, out, text, begin, last));
            begin = last;
            chars = 0;
        }
        chars += n;
    }
    return push_trimmed(ctx, out, text, begin, s.end);
}

static lcm_status cut_units(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span s, size_t max_chars,
                            UBreakIteratorType type) {
    UErrorCode err = U_ZERO_ERROR;
    UText ut = UTEXT_INITIALIZER;
    UBreakIterator *it;
    lcm_status st;
    utext_openUTF8(&ut, text + s.begin, (int64_t)(s.end - s.begin), &err);
    it = ubrk_open(type, "en", NULL, 0, &err);
    if (U_SUCCESS(err)) ubrk_setUText(it, &ut, &err);
    if (U_SUCCESS(err)) {
        st = glue_units(ctx, out, text, s, max_chars, it);
    } else {
        st = lcm_fail(ctx, LCM_ERR_NOMEM, "breaks for the cap: ICU says %s", u_errorName(err));
    }
    if (it != NULL) ubrk_close(it);
    utext_close(&ut);
    return st;
}

/* One pass with a finer knife over what is still too long. */
typedef enum knife { KNIFE_LINE, KNIFE_GRAPHEME, KNIFE_CODE_POINT, N_KNIVES } knife;

static lcm_status knife_pass(lcm_ctx *ctx, lcm_spans *out, const char *text, const lcm_spans *in, knife k,
                             size_t max_chars) {
    for (size_t i = 0; i < in->len; i++) {
        lcm_span s = in->data[i];
        if (!too_long(text, s, max_chars)) {
            LCM_TRY(lcm_spans_push(ctx, out, s.begin, s.end));
        } else if (k == KNIFE_CODE_POINT) {
            LCM_TRY(cut_code_points(ctx, out, text, s, max_chars));
        } else {
            LCM_TRY(cut_units(ctx, out, text, s, max_chars, k == KNIFE_LINE ? UBRK_LINE : UBRK_CHARACTER));
        }
    }
    return LCM_OK;
}

/* One pass of the reference over the pieces `in`: resplit, strip, drop the empty. */
static lcm_status split_pass(lcm_ctx *ctx, lcm_spans *out, lcm_spans *raw, const char *text,
                             const lcm_spans *in, const char *sep, size_t max_chars) {
    out->len = 0;
    for (size_t i = 0; i < in->len; i++) {
        raw->len = 0;
        LCM_TRY(lcm_resplit(ctx, raw, text, in->data[i], sep, max_chars));
        for (size_t k = 0; k < raw->len; k++) {
            LCM_TRY(push_trimmed(ctx, out, text, raw->data[k].begin, raw->data[k].end));
        }
    }
    return LCM_OK;
}

static lcm_status cap_into(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span piece, size_t max_chars,
                           lcm_spans work[3]) {
    static const char *const seps[] = {"...", "\n", "!",  "?",  ";",  ":",  ".",  ",",
                                       "\t",  " ",  "。", "！", "？", "；", "，", "、"};
    lcm_spans *from = &work[0], *to = &work[1];
    LCM_TRY(lcm_spans_push(ctx, from, piece.begin, piece.end));
    for (size_t i = 0; i < sizeof seps / sizeof *seps; i++) {
        lcm_spans *swap = from;
        LCM_TRY(split_pass(ctx, to, &work[2], text, from, seps[i], max_chars));
        from = to;
        to = swap;
    }
    for (knife k = KNIFE_LINE; k < N_KNIVES; k++) {
        lcm_spans *swap = from;
        to->len = 0;
        LCM_TRY(knife_pass(ctx, k + 1 < N_KNIVES ? to : out, text, from, k, max_chars));
        from = to;
        to = swap;
    }
    return LCM_OK;
}

lcm_status lcm_cap(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span piece, size_t max_chars) {
    lcm_spans work[3] = {{0}};
    lcm_span s = lcm_span_trim(text, piece);
    lcm_status st;
    if (s.begin == s.end) return LCM_OK;
    if (!too_long(text, s, max_chars)) return lcm_spans_push(ctx, out, s.begin, s.end);
    st = cap_into(ctx, out, text, s, max_chars, work);
    for (int i = 0; i < 3; i++) lcm_spans_free(&work[i]);
    return st;
}
