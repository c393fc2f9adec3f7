/* Sentences <-> concepts. */
#include "sonar/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ID_EOS = 3, PASS_ROWS = 320 };

struct lcm_codec {
    const lcm_sonar_file *file;
    lcm_pool pooling;
    lcm_sonar_encoder *encoder; /* NULL: not loaded */
    lcm_arena *arena;           /* of a pass */
    lcm_ids ids;
    lcm_pieces *pieces;
    size_t *begin;
    size_t pieces_cap, begin_cap;
};

lcm_status lcm_codec_new(lcm_ctx *ctx, lcm_codec **out, const lcm_sonar_file *file) {
    lcm_codec *c;
    lcm_status st = LCM_OK;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &c, 1, sizeof *c));
    c->file = file;
    c->pooling = (lcm_pool)file->config.pooling;
    c->arena = lcm_arena_new(1 << 16);
    if (c->arena == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: codec");
    if (st == LCM_OK && (file->net->parts & LCM_SONAR_ENCODER)) st = lcm_sonar_encoder_new(ctx, &c->encoder, file->net);
    if (st) {
        lcm_codec_free(c);
        return st;
    }
    *out = c;
    return LCM_OK;
}

void lcm_codec_free(lcm_codec *c) {
    if (c == NULL) return;
    lcm_sonar_encoder_free(c->encoder);
    lcm_arena_free(c->arena);
    lcm_ids_free(&c->ids);
    free(c->pieces);
    free(c->begin);
    free(c);
}

int64_t lcm_codec_dim(const lcm_codec *c) { return c->file->config.model_dim; }

void lcm_codec_set_pooling(lcm_codec *c, lcm_pool pooling) { c->pooling = pooling; }

/* One packed pass over n sentences. */
static lcm_status encode_pass(lcm_ctx *ctx, real *out, lcm_codec *c, const lcm_pieces *s, size_t n, int32_t lang) {
    int64_t L = lang >= 0, T = 0, room = c->file->config.max_seq_len + 2;
    int32_t eos = ID_EOS;
    lcm_sonar_packer p;
    lcm_arena_reset(c->arena);
    for (size_t i = 0; i < n; i++) T += s[i].n + 1 + L;
    LCM_TRY(lcm_sonar_packer_begin(ctx, &p, c->arena, (int64_t)n, T));
    for (size_t i = 0; i < n; i++) {
        lcm_pieces cut = s[i];
        int64_t tail = 1;
        if (cut.n + 1 + L > room) { /* the first tokens win, the end token falls off */
            tail = 0;
            cut.n = room - L;
        }
        lcm_sonar_packer_push(&p, &lang, L, cut, &eos, tail);
    }
    return lcm_sonar_encoder_run(ctx, out, c->encoder, &p.b, c->pooling);
}

lcm_status lcm_codec_encode_ids(lcm_ctx *ctx, real *out, lcm_codec *c, const lcm_pieces *s, size_t n, int32_t lang) {
    int64_t pass = lcm_sonar_encoder_pass(c->file->net);
    if (lang < 0) lang = c->file->lang;
    for (size_t i = 0; i < n;) {
        int64_t tokens = 0;
        size_t first = i;
        for (; i < n && (i == first || tokens + s[i].n < pass); i++) tokens += s[i].n + 2;
        LCM_TRY(encode_pass(ctx, out + (int64_t)first * lcm_codec_dim(c), c, s + first, i - first, lang));
    }
    return LCM_OK;
}

lcm_status lcm_codec_encode(lcm_ctx *ctx, real *out, uint8_t *cut, lcm_codec *c, const char *const *text,
                            const size_t *len, size_t n, int32_t lang) {
    int64_t room = c->file->config.max_seq_len + 2 - 1 - ((lang < 0 ? c->file->lang : lang) >= 0);
    LCM_TRY(lcm_grow(ctx, &c->pieces, &c->pieces_cap, n + 1, sizeof *c->pieces));
    LCM_TRY(lcm_grow(ctx, &c->begin, &c->begin_cap, n + 1, sizeof *c->begin));
    c->ids.len = 0;
    for (size_t i = 0; i < n; i++) {
        lcm_status st;
        c->begin[i] = c->ids.len;
        st = lcm_tokenizer_encode(ctx, &c->ids, c->file->tok, text[i], len[i]);
        if (st) return lcm_fail_within(ctx, st, "sentence %zu", i + 1);
    }
    c->begin[n] = c->ids.len;
    for (size_t i = 0; i < n; i++) {
        c->pieces[i] = (lcm_pieces){c->ids.data + c->begin[i], (int64_t)(c->begin[i + 1] - c->begin[i])};
        if (cut) cut[i] = c->pieces[i].n > room;
    }
    return lcm_codec_encode_ids(ctx, out, c, c->pieces, n, lang);
}

/* Texts of hypotheses, each followed by a NUL byte. */
static lcm_status hypothesis_texts(lcm_ctx *ctx, lcm_buf *out, lcm_codec *c, const lcm_hypotheses *h) {
    for (int64_t k = 0; k < h->n; k++) {
        LCM_TRY(lcm_tokenizer_decode(ctx, out, c->file->tok, h->items[k].ids, (size_t)h->items[k].n));
        LCM_TRY(lcm_buf_append(ctx, out, "", 1));
    }
    return LCM_OK;
}

static double squared_distance(const real *a, const real *b, int64_t D) {
    double s = 0;
    for (int64_t i = 0; i < D; i++) s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return s;
}

/* best (n): of each sentence the hypothesis whose text, encoded again, is nearest to its concept. */
static lcm_status find_nearest(lcm_ctx *ctx, int64_t *best, lcm_codec *c, const real *concepts, const lcm_hypotheses *h,
                               size_t n, int32_t lang) {
    lcm_buf texts = {0};
    const char **at = NULL;
    size_t *len = NULL, total = 0, row = 0;
    real *back = NULL;
    int64_t D = lcm_codec_dim(c);
    lcm_status st = LCM_OK;
    for (size_t i = 0; i < n; i++) total += (size_t)h[i].n;
    for (size_t i = 0; st == LCM_OK && i < n; i++) st = hypothesis_texts(ctx, &texts, c, &h[i]);
    if (st == LCM_OK) st = lcm_calloc(ctx, &at, total + 1, sizeof *at);
    if (st == LCM_OK) st = lcm_calloc(ctx, &len, total + 1, sizeof *len);
    if (st == LCM_OK) st = lcm_calloc(ctx, &back, (total + 1) * (size_t)D, sizeof *back);
    for (size_t k = 0; st == LCM_OK && k < total; k++) {
        at[k] = k ? at[k - 1] + len[k - 1] + 1 : texts.data;
        len[k] = strlen(at[k]);
    }
    if (st == LCM_OK) st = lcm_codec_encode(ctx, back, NULL, c, at, len, total, lang);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        double least = INFINITY;
        best[i] = 0;
        for (int64_t k = 0; k < h[i].n; k++, row++) {
            double d = squared_distance(concepts + (int64_t)i * D, back + (int64_t)row * D, D);
            if (d < least) {
                least = d;
                best[i] = k;
            }
        }
    }
    lcm_buf_free(&texts);
    free(at);
    free(len);
    free(back);
    return st;
}

lcm_status lcm_codec_decode(lcm_ctx *ctx, lcm_buf *out, double *scores, lcm_codec *c, const real *concepts, size_t n,
                            int32_t lang, const lcm_beam_opts *opts) {
    lcm_beam_opts o = opts ? *opts : lcm_beam_opts_default();
    int64_t D = lcm_codec_dim(c), per_call = PASS_ROWS / (o.beam_size > 0 ? o.beam_size : 1);
    int32_t prompt[2] = {ID_EOS, lang < 0 ? c->file->lang : lang};
    lcm_status st = LCM_OK;
    if (per_call < 1) per_call = 1;
    for (size_t i = 0; st == LCM_OK && i < n; i += (size_t)per_call) {
        lcm_hypotheses h[PASS_ROWS];
        int64_t best[PASS_ROWS] = {0};
        size_t k = n - i < (size_t)per_call ? n - i : (size_t)per_call;
        LCM_TRY(lcm_beam_search(ctx, h, c->file->net, concepts + (int64_t)i * D, (int64_t)k, prompt,
                                prompt[1] >= 0 ? 2 : 1, &o));
        if (o.nearest && o.beam_size > 1)
            st = find_nearest(ctx, best, c, concepts + (int64_t)i * D, h, k, lang);
        for (size_t j = 0; j < k; j++) {
            const lcm_hypothesis *b = &h[j].items[best[j]];
            if (st == LCM_OK && h[j].n > 0) st = lcm_tokenizer_decode(ctx, out, c->file->tok, b->ids, (size_t)b->n);
            if (st == LCM_OK) st = lcm_buf_append(ctx, out, "", 1);
            if (scores) scores[i + j] = h[j].n > 0 ? b->score : -INFINITY;
            lcm_hypotheses_free(&h[j]);
        }
    }
    return st;
}
