/* Symbols. */
#include "eval/symbols.h"

#include <stdlib.h>

#include "eval/words.h"
#include "text/chars.h"

static bool parts(uint32_t c) { return lcm_char_is_space(c) || (c >= 0x1C && c <= 0x1F); }

static lcm_status push(lcm_ctx *ctx, lcm_symbols *s, uint32_t x) {
    LCM_TRY(lcm_grow(ctx, &s->x, &s->cap, s->n + 1, sizeof *s->x));
    s->x[s->n++] = x;
    return LCM_OK;
}

lcm_status lcm_symbols_add(lcm_ctx *ctx, lcm_symbols *s, lcm_strset *words, const char *word, size_t n) {
    uint32_t id;
    LCM_TRY(lcm_strset_add(ctx, &id, words, word, n));
    return push(ctx, s, id);
}

lcm_status lcm_symbols_chars(lcm_ctx *ctx, lcm_symbols *s, const char *text, size_t len, bool with_space) {
    for (size_t i = 0; i < len;) {
        uint32_t c = lcm_char_next(text, &i);
        if (with_space || !parts(c)) LCM_TRY(push(ctx, s, c));
    }
    return LCM_OK;
}

lcm_status lcm_symbols_words(lcm_ctx *ctx, lcm_symbols *s, lcm_strset *words, const char *text, size_t len) {
    lcm_words split = {0};
    lcm_status st = lcm_words_split(ctx, &split, text, len, true);
    for (size_t i = 0; st == LCM_OK && i < split.n; i++) {
        size_t n;
        const char *word = lcm_words_at(&split, i, &n);
        st = lcm_symbols_add(ctx, s, words, word, n);
    }
    lcm_words_free(&split);
    return st;
}

void lcm_symbols_free(lcm_symbols *s) {
    free(s->x);
    *s = (lcm_symbols){0};
}

const char *lcm_next_token(const char *text, size_t len, size_t *at, size_t *n) {
    size_t begin = *at, i = *at;
    while (i < len) {
        size_t here = i;
        if (!parts(lcm_char_next(text, &i))) continue;
        if (here > begin) {
            *at = i;
            *n = here - begin;
            return text + begin;
        }
        begin = i;
    }
    *at = len;
    *n = len - begin;
    return *n ? text + begin : NULL;
}
