#include "text/compat.h"

#include <string.h>

#include "base/io.h"
#include "text/chars.h"

static lcm_status check_utf8(lcm_ctx *ctx, const char *text, size_t len) {
    size_t good = lcm_utf8_valid_prefix(text, len);
    if (good < len) LCM_FAIL(ctx, LCM_ERR_UTF8, "text is not UTF-8 at byte %zu", good);
    return LCM_OK;
}

/* Appends the characters of `text` for which `keep` holds, in runs. */
static lcm_status copy_if(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len, bool (*keep)(uint32_t)) {
    size_t run = 0, at = 0;
    LCM_TRY(check_utf8(ctx, text, len));
    while (at < len) {
        size_t here = at;
        if (keep(lcm_char_next(text, &at))) continue;
        LCM_TRY(lcm_buf_append(ctx, out, text + run, here - run));
        run = at;
    }
    return run < len ? lcm_buf_append(ctx, out, text + run, len - run) : LCM_OK;
}

/* The union of the reference's ranges; those it lists inside others are left out. */
static bool is_not_emoji(uint32_t c) {
    static const uint32_t ranges[][2] = {
        {0x24C2, 0x1F251}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F8FF}, {0x1F900, 0x1F9FF}, {0x1FA00, 0x1FAFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) return false;
    }
    return true;
}

static bool is_printable_ascii(uint32_t c) { return c >= 0x20 && c <= 0x7E; }

lcm_status lcm_compat_remove_emojis(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len) {
    return copy_if(ctx, out, text, len, is_not_emoji);
}

lcm_status lcm_compat_keep_printable_ascii(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len) {
    return copy_if(ctx, out, text, len, is_printable_ascii);
}

bool lcm_compat_is_empty(const char *text, size_t len) {
    for (size_t at = 0; at < len;) {
        UChar32 c = (UChar32)lcm_char_next(text, &at);
        if ((U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_N_MASK)) != 0) return false;
    }
    return true;
}

static lcm_status append_char(lcm_ctx *ctx, lcm_buf *out, uint32_t c) {
    char b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (char)c;
    } else {
        if (c >= 0x10000) b[n++] = (char)(0xF0 | c >> 18);
        if (c >= 0x800) b[n++] = (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3F) : 0xE0 | c >> 12);
        b[n++] = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3F) : 0xC0 | c >> 6);
        b[n++] = (char)(0x80 | (c & 0x3F));
    }
    return lcm_buf_append(ctx, out, b, n);
}

/* Value of up to `max` digits of `base` at *at. Returns how many there were. */
static int read_digits(const char *s, size_t len, size_t *at, int max, unsigned base, uint32_t *value) {
    int n = 0;
    for (*value = 0; n < max && *at < len; n++, ++*at) {
        char c = s[*at];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : base;
        if (d >= base) break;
        *value = *value * base + d;
    }
    return n;
}

/* `at` is behind the backslash. */
static lcm_status unescape_one(lcm_ctx *ctx, lcm_buf *out, const char *s, size_t len, size_t *at) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    size_t start = *at - 1;
    const char *hit;
    uint32_t c;
    int digits;
    if (*at == len) LCM_FAIL(ctx, LCM_ERR_FORMAT, "byte %zu: a backslash ends the text", start);
    if (s[*at] >= '0' && s[*at] <= '7') {
        read_digits(s, len, at, 3, 8, &c);
        return append_char(ctx, out, c);
    }
    hit = s[*at] != 0 ? strchr(from, s[*at]) : NULL;
    digits = s[*at] == 'x' ? 2 : s[*at] == 'u' ? 4 : s[*at] == 'U' ? 8 : 0;
    ++*at;
    if (s[*at - 1] == '\n') return LCM_OK; /* an escaped line end joins two lines */
    if (hit != NULL) return lcm_buf_append(ctx, out, to + (hit - from), 1);
    if (digits == 0) return lcm_buf_append(ctx, out, s + start, 2);
    if (read_digits(s, len, at, digits, 16, &c) < digits) {
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "byte %zu: escape \\%c needs %d hexadecimal digits", start,
                 s[start + 1], digits);
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "byte %zu: escape names U+%X, which is no character", start,
                 (unsigned)c);
    }
    return append_char(ctx, out, c);
}

lcm_status lcm_compat_unescape(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len) {
    size_t at = 0;
    LCM_TRY(check_utf8(ctx, text, len));
    while (at < len) {
        const char *slash = memchr(text + at, '\\', len - at);
        size_t end = slash != NULL ? (size_t)(slash - text) : len;
        if (end > at) LCM_TRY(lcm_buf_append(ctx, out, text + at, end - at));
        at = end;
        if (slash != NULL) {
            at++;
            LCM_TRY(unescape_one(ctx, out, text, len, &at));
        }
    }
    return LCM_OK;
}
