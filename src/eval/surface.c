/* Surface counts. */
#include "eval/surface.h"

#include <math.h>
#include <string.h>

void lcm_surface_begin(lcm_surface *s) {
    s->docs++;
    lcm_strset_clear(&s->doc_texts);
}

static lcm_status add_word(lcm_ctx *ctx, lcm_surface *s, size_t i, uint32_t last[LCM_SURFACE_ORDER]) {
    size_t len;
    const char *word = lcm_words_at(&s->split, i, &len);
    uint32_t id;
    LCM_TRY(lcm_strset_add(ctx, &id, &s->types, word, len));
    s->words++;
    s->doubled += s->split.touches[i] && last[LCM_SURFACE_ORDER - 1] == id;
    s->unknown += s->vocab && !lcm_strset_has(s->vocab, word, len);
    memmove(last, last + 1, (LCM_SURFACE_ORDER - 1) * sizeof *last);
    last[LCM_SURFACE_ORDER - 1] = id;
    for (size_t n = 1; n <= LCM_SURFACE_ORDER && n <= i + 1; n++) {
        s->grams[n - 1]++;
        LCM_TRY(lcm_strset_add(ctx, NULL, &s->distinct[n - 1], (const char *)(last + LCM_SURFACE_ORDER - n), n * sizeof *last));
    }
    return LCM_OK;
}

lcm_status lcm_surface_add(lcm_ctx *ctx, lcm_surface *s, const char *text, size_t len) {
    uint32_t last[LCM_SURFACE_ORDER] = {0};
    size_t before = s->doc_texts.n;
    LCM_TRY(lcm_words_split(ctx, &s->split, text, len, false));
    LCM_TRY(lcm_strset_add(ctx, NULL, &s->texts, text, len));
    LCM_TRY(lcm_strset_add(ctx, NULL, &s->doc_texts, text, len));
    for (size_t i = 0; i < s->split.n; i++) LCM_TRY(add_word(ctx, s, i, last));
    s->own += s->doc_texts.n > before;
    s->sentences++;
    return LCM_OK;
}

void lcm_surface_free(lcm_surface *s) {
    lcm_strset_free(&s->texts);
    lcm_strset_free(&s->doc_texts);
    lcm_strset_free(&s->types);
    for (int n = 0; n < LCM_SURFACE_ORDER; n++) lcm_strset_free(&s->distinct[n]);
    lcm_words_free(&s->split);
}

static double ratio(int64_t a, int64_t b) { return b > 0 ? (double)a / (double)b : NAN; }

double lcm_surface_doubled(const lcm_surface *s) { return 1000 * ratio(s->doubled, s->words); }
double lcm_surface_unknown(const lcm_surface *s) { return s->vocab ? ratio(s->unknown, s->words) : NAN; }
double lcm_surface_own(const lcm_surface *s) { return ratio(s->own, s->sentences); }
double lcm_surface_distinct(const lcm_surface *s) { return ratio((int64_t)s->texts.n, s->sentences); }
double lcm_surface_ngrams(const lcm_surface *s, int n) { return ratio((int64_t)s->distinct[n - 1].n, s->grams[n - 1]); }

lcm_status lcm_vocab_add(lcm_ctx *ctx, lcm_strset *vocab, lcm_words *scratch, const char *text, size_t len) {
    LCM_TRY(lcm_words_split(ctx, scratch, text, len, false));
    for (size_t i = 0; i < scratch->n; i++) {
        size_t n;
        const char *word = lcm_words_at(scratch, i, &n);
        LCM_TRY(lcm_strset_add(ctx, NULL, vocab, word, n));
    }
    return LCM_OK;
}
