/* Splitting into words. */
#include "eval/words.h"

#include <stdlib.h>
#include <string.h>

#include "text/chars.h"

static lcm_status put_char(lcm_ctx *ctx, lcm_buf *out, uint32_t c) {
    char s[4];
    size_t n = 0;
    if (c < 0x80) s[n++] = (char)c;
    else {
        if (c < 0x800) s[n++] = (char)(0xC0 | c >> 6);
        else {
            if (c < 0x10000) s[n++] = (char)(0xE0 | c >> 12);
            else {
                s[n++] = (char)(0xF0 | c >> 18);
                s[n++] = (char)(0x80 | (c >> 12 & 0x3F));
            }
            s[n++] = (char)(0x80 | (c >> 6 & 0x3F));
        }
        s[n++] = (char)(0x80 | (c & 0x3F));
    }
    return lcm_buf_append(ctx, out, s, n);
}

static lcm_status end_word(lcm_ctx *ctx, lcm_words *w, bool touches) {
    LCM_TRY(lcm_grow(ctx, &w->end, &w->end_cap, w->n + 1, sizeof *w->end));
    LCM_TRY(lcm_grow(ctx, &w->touches, &w->touches_cap, w->n + 1, sizeof *w->touches));
    w->touches[w->n] = touches && w->n > 0;
    w->end[w->n++] = w->bytes.len;
    return LCM_OK;
}

static bool letter_at(const char *text, size_t len, size_t i) {
    return i < len && lcm_char_is_letter(lcm_char_next(text, &i));
}

lcm_status lcm_words_split(lcm_ctx *ctx, lcm_words *w, const char *text, size_t len, bool numbers) {
    bool inside = false, white = true, touches = false;
    w->n = w->bytes.len = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c = lcm_char_next(text, &i);
        if (lcm_char_is_letter(c) || (numbers && lcm_char_is_digit(c))) {
            if (!inside) touches = white;
            inside = white = true;
            LCM_TRY(put_char(ctx, &w->bytes, lcm_char_lower(c)));
        } else if (!(inside && (c == '\'' || c == 0x2019) && letter_at(text, len, i))) {
            if (inside) LCM_TRY(end_word(ctx, w, touches));
            inside = false;
            white &= lcm_char_is_space(c);
        }
    }
    return inside ? end_word(ctx, w, touches) : LCM_OK;
}

const char *lcm_words_at(const lcm_words *w, size_t i, size_t *len) {
    size_t begin = i ? w->end[i - 1] : 0;
    *len = w->end[i] - begin;
    return w->bytes.data + begin;
}

void lcm_words_free(lcm_words *w) {
    lcm_buf_free(&w->bytes);
    free(w->end);
    free(w->touches);
    memset(w, 0, sizeof *w);
}
