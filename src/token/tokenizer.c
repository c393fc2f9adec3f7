/* SONAR's id space over the raw ids of a SentencePiece model. */
#include "token/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "token/langs.h"
#include "token/spm_check.h"
#include "token/spm_shim.h"

enum { PIECE_SHIFT = 1 }; /* <pad> is put in front of the file's pieces */

struct lcm_tokenizer {
    lcm_spm *spm;
    lcm_spm_info info;
    lcm_buf model;
    int n_langs, n_extra;
    char (*labels)[LCM_TOKENIZER_MAX_LANG_NAME + 8]; /* "__eng_Latn__" … */
    char (*extras)[16];                              /* "<extra_0>" … */
    char (*langs)[LCM_TOKENIZER_MAX_LANG_NAME + 1];
};

lcm_status lcm_ids_push(lcm_ctx *ctx, lcm_ids *ids, int32_t id) {
    LCM_TRY(lcm_grow(ctx, &ids->data, &ids->cap, ids->len + 1, sizeof *ids->data));
    ids->data[ids->len++] = id;
    return LCM_OK;
}

void lcm_ids_free(lcm_ids *ids) {
    free(ids->data);
    *ids = (lcm_ids){0};
}

static lcm_status check_lang(lcm_ctx *ctx, const char *lang, int i) {
    size_t len = strlen(lang);
    if (len == 0 || len > LCM_TOKENIZER_MAX_LANG_NAME)
        LCM_FAIL(ctx, LCM_ERR_ARG, "language %d: a name of %zu bytes, 1 to %d are allowed", i, len,
                 LCM_TOKENIZER_MAX_LANG_NAME);
    for (size_t k = 0; k < len; k++) {
        if (lang[k] <= ' ' || lang[k] > '~') LCM_FAIL(ctx, LCM_ERR_ARG, "language %d: not a printable ASCII name", i);
    }
    return LCM_OK;
}

static int find_lang(const lcm_tokenizer *tok, const char *lang) {
    for (int i = 0; i < tok->n_langs; i++) {
        if (strcmp(tok->langs[i], lang) == 0) return i;
    }
    return -1;
}

static lcm_status take_langs(lcm_ctx *ctx, lcm_tokenizer *tok, const char *const *langs, int n_langs, int n_extra) {
    LCM_TRY(lcm_calloc(ctx, &tok->langs, (size_t)n_langs, sizeof *tok->langs));
    LCM_TRY(lcm_calloc(ctx, &tok->labels, (size_t)n_langs, sizeof *tok->labels));
    for (int i = 0; i < n_langs; i++) {
        LCM_TRY(check_lang(ctx, langs[i], i));
        if (find_lang(tok, langs[i]) >= 0) LCM_FAIL(ctx, LCM_ERR_ARG, "language '%s' is listed twice", langs[i]);
        memcpy(tok->langs[i], langs[i], strlen(langs[i]) + 1);
        snprintf(tok->labels[i], sizeof *tok->labels, "__%s__", langs[i]);
        tok->n_langs = i + 1;
    }
    return lcm_tokenizer_reserve(ctx, tok, n_extra);
}

lcm_status lcm_tokenizer_reserve(lcm_ctx *ctx, lcm_tokenizer *tok, int n_extra) {
    char (*extras)[16];
    if (n_extra < 0 || n_extra > LCM_TOKENIZER_MAX_LANGS)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer: %d reserved ids, 0 to %d are allowed", n_extra, LCM_TOKENIZER_MAX_LANGS);
    LCM_TRY(lcm_calloc(ctx, &extras, (size_t)n_extra, sizeof *extras));
    for (int i = 0; i < n_extra; i++) snprintf(extras[i], sizeof *extras, "<extra_%d>", i);
    free(tok->extras);
    tok->extras = extras;
    tok->n_extra = n_extra;
    return LCM_OK;
}

static lcm_status fill(lcm_ctx *ctx, lcm_tokenizer *tok, const void *model, size_t len, const char *const *langs,
                       int n_langs, int n_extra) {
    LCM_TRY(lcm_spm_check(ctx, &tok->info, model, len));
    LCM_TRY(take_langs(ctx, tok, langs, n_langs, n_extra));
    LCM_TRY(lcm_buf_append(ctx, &tok->model, model, len));
    return lcm_spm_load(ctx, &tok->spm, model, len);
}

lcm_status lcm_tokenizer_load(lcm_ctx *ctx, lcm_tokenizer **out, const void *model, size_t len,
                              const char *const *langs, int n_langs, int n_extra) {
    lcm_tokenizer *tok;
    lcm_status st;
    *out = NULL;
    if (n_langs < 0 || n_langs > LCM_TOKENIZER_MAX_LANGS)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer: %d languages, 0 to %d are allowed", n_langs, LCM_TOKENIZER_MAX_LANGS);
    LCM_TRY(lcm_calloc(ctx, &tok, 1, sizeof *tok));
    st = fill(ctx, tok, model, len, langs, n_langs, n_extra);
    if (st != LCM_OK) {
        lcm_tokenizer_free(tok);
        return st;
    }
    *out = tok;
    return LCM_OK;
}

void lcm_tokenizer_free(lcm_tokenizer *tok) {
    if (tok == NULL) return;
    lcm_spm_free(tok->spm);
    lcm_buf_free(&tok->model);
    free(tok->labels);
    free(tok->extras);
    free(tok->langs);
    free(tok);
}

static int32_t first_lang(const lcm_tokenizer *tok) { return PIECE_SHIFT + tok->info.n_pieces; }

int32_t lcm_tokenizer_size(const lcm_tokenizer *tok) { return first_lang(tok) + tok->n_langs + tok->n_extra; }

int32_t lcm_tokenizer_pieces(const lcm_tokenizer *tok) { return tok->info.n_pieces; }

int lcm_tokenizer_n_langs(const lcm_tokenizer *tok) { return tok->n_langs; }

int lcm_tokenizer_n_extra(const lcm_tokenizer *tok) { return tok->n_extra; }

const char *lcm_tokenizer_lang(const lcm_tokenizer *tok, int i) {
    return i >= 0 && i < tok->n_langs ? tok->langs[i] : NULL;
}

const void *lcm_tokenizer_model(const lcm_tokenizer *tok, size_t *len) {
    *len = tok->model.len;
    return tok->model.data;
}

const char *lcm_tokenizer_piece(const lcm_tokenizer *tok, int32_t id) {
    if (id < 0 || id >= lcm_tokenizer_size(tok)) return NULL;
    if (id == LCM_ID_PAD) return "<pad>";
    if (id >= first_lang(tok) + tok->n_langs) return tok->extras[id - first_lang(tok) - tok->n_langs];
    if (id >= first_lang(tok)) return tok->labels[id - first_lang(tok)];
    return lcm_spm_piece(tok->spm, id - PIECE_SHIFT);
}

/* Levenshtein distance; names are at most LCM_TOKENIZER_MAX_LANG_NAME bytes, `a` is cut to that. */
static int edit_distance(const char *a, const char *b) {
    int row[LCM_TOKENIZER_MAX_LANG_NAME + 1], n = (int)strlen(b);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 0; a[i] && i < LCM_TOKENIZER_MAX_LANG_NAME; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (corner + 1 < best) best = corner + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

lcm_status lcm_tokenizer_lang_id(lcm_ctx *ctx, int32_t *id, const lcm_tokenizer *tok, const char *lang) {
    const char *alias = lcm_lang_alias(lang), *meant;
    int i = find_lang(tok, lang), nearest = 0, least = INT32_MAX;
    if (i < 0 && alias) i = find_lang(tok, alias);
    if (i >= 0) {
        *id = first_lang(tok) + i;
        return LCM_OK;
    }
    if (tok->n_langs == 0) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "language '%.64s' is unknown: the tokenizer has none", lang);
    meant = lcm_lang_by_name(lang);
    if (meant && find_lang(tok, meant) >= 0)
        LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "language '%.64s' is unknown; '%s' is %s", lang, meant, lcm_lang_name(meant));
    for (i = 0; i < tok->n_langs; i++) {
        int d = edit_distance(lang, tok->langs[i]);
        if (strncmp(lang, tok->langs[i], 3) != 0) d += LCM_TOKENIZER_MAX_LANG_NAME; /* the language before the script */
        if (d < least) least = d, nearest = i;
    }
    LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "language '%.64s' is unknown; the nearest of %d is '%s'", lang, tok->n_langs,
             tok->langs[nearest]);
}

static lcm_status check_text(lcm_ctx *ctx, const char *text, size_t len) {
    size_t valid;
    if (len > LCM_TOKENIZER_MAX_TEXT)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "text of %zu bytes, at most %d can be tokenized at once", len,
                 LCM_TOKENIZER_MAX_TEXT);
    valid = lcm_utf8_valid_prefix(text, len);
    if (valid < len) LCM_FAIL(ctx, LCM_ERR_UTF8, "text is not valid UTF-8 at byte %zu", valid);
    return LCM_OK;
}

static lcm_status append_pieces(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const char *text, size_t len) {
    size_t first = out->len;
    LCM_TRY(check_text(ctx, text, len));
    LCM_TRY(lcm_spm_encode(ctx, out, NULL, tok->spm, text, len));
    for (size_t i = first; i < out->len; i++) out->data[i] += PIECE_SHIFT;
    return LCM_OK;
}

static lcm_status append_framed(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const int32_t *head,
                                size_t n_head, const char *text, size_t len) {
    for (size_t i = 0; i < n_head; i++) LCM_TRY(lcm_ids_push(ctx, out, head[i]));
    LCM_TRY(append_pieces(ctx, out, tok, text, len));
    return n_head ? lcm_ids_push(ctx, out, LCM_ID_EOS) : LCM_OK;
}

static lcm_status encode(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const int32_t *head, size_t n_head,
                         const char *text, size_t len) {
    size_t keep = out->len;
    lcm_status st = append_framed(ctx, out, tok, head, n_head, text, len);
    if (st != LCM_OK) out->len = keep;
    return st;
}

static lcm_status check_lang_id(lcm_ctx *ctx, const lcm_tokenizer *tok, int32_t lang) {
    int32_t lo = first_lang(tok), hi = lo + tok->n_langs;
    if (lang < lo || lang >= hi)
        LCM_FAIL(ctx, LCM_ERR_ARG, "id %d is no language: those are %d to %d", lang, lo, hi - 1);
    return LCM_OK;
}

lcm_status lcm_tokenizer_encode(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const char *text,
                                size_t len) {
    return encode(ctx, out, tok, NULL, 0, text, len);
}

lcm_status lcm_tokenizer_encode_source(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       const char *text, size_t len) {
    LCM_TRY(check_lang_id(ctx, tok, lang));
    return encode(ctx, out, tok, &lang, 1, text, len);
}

lcm_status lcm_tokenizer_encode_tagged(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       lcm_source_tag tag, const char *text, size_t len) {
    int32_t head[2] = {lang, first_lang(tok) + tok->n_langs + (int32_t)tag};
    LCM_TRY(check_lang_id(ctx, tok, lang));
    if (tok->n_extra < 3) LCM_FAIL(ctx, LCM_ERR_ARG, "the tokenizer has no ids for source tags");
    return encode(ctx, out, tok, head, 2, text, len);
}

lcm_status lcm_tokenizer_encode_target(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       const char *text, size_t len) {
    int32_t head[2] = {LCM_ID_EOS, lang};
    LCM_TRY(check_lang_id(ctx, tok, lang));
    return encode(ctx, out, tok, head, 2, text, len);
}

lcm_status lcm_tokenizer_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const int32_t *ids, size_t n) {
    int32_t *raw;
    size_t n_raw = 0;
    lcm_status st;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= lcm_tokenizer_size(tok))
            LCM_FAIL(ctx, LCM_ERR_ARG, "token %zu: id %d, the tokenizer has %d", i, ids[i], lcm_tokenizer_size(tok));
    }
    LCM_TRY(lcm_calloc(ctx, &raw, n, sizeof *raw));
    for (size_t i = 0; i < n; i++) {
        if (ids[i] != LCM_ID_PAD && ids[i] < first_lang(tok)) raw[n_raw++] = ids[i] - PIECE_SHIFT;
    }
    st = lcm_spm_decode(ctx, out, tok->spm, raw, n_raw);
    free(raw);
    return st;
}

/* Undoes the escape of spaces as decoding does: the leading ones go, the others become ' '. */
static lcm_status unescape(lcm_ctx *ctx, lcm_buf *out, const lcm_spm_info *info, const lcm_buf *escaped) {
    static const char space[] = "\xe2\x96\x81";
    const char *s = escaped->data, *end = s + escaped->len;
    if (info->remove_extra_whitespaces) {
        while (end - s >= 3 && memcmp(s, space, 3) == 0) s += 3;
    } else if (info->add_dummy_prefix && end - s >= 3 && memcmp(s, space, 3) == 0) {
        s += 3;
    }
    while (s < end) {
        const char *hit = memmem(s, (size_t)(end - s), space, 3);
        LCM_TRY(lcm_buf_append(ctx, out, s, (size_t)((hit ? hit : end) - s)));
        if (hit == NULL) break;
        LCM_TRY(lcm_buf_append(ctx, out, " ", 1));
        s = hit + 3;
    }
    return LCM_OK;
}

lcm_status lcm_tokenizer_normalize(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const char *text, size_t len) {
    lcm_buf escaped = {0};
    size_t keep = out->len;
    lcm_status st = check_text(ctx, text, len);
    if (st == LCM_OK) st = lcm_spm_encode(ctx, NULL, &escaped, tok->spm, text, len);
    if (st == LCM_OK && escaped.len) st = unescape(ctx, out, &tok->info, &escaped);
    if (st != LCM_OK) out->len = keep;
    lcm_buf_free(&escaped);
    return st;
}
