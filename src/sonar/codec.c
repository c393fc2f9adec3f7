/* Sentences <-> concepts. */
#include "sonar/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/distance.h"
#include "modelfile/model_meta.h"
#include "sonar/draw.h"

enum { ID_EOS = 3, PASS_ROWS = 320 };

struct lcm_codec {
    const lcm_sonar_file *file, *voice; /* voice: file, if no other was set */
    int pooling;
    lcm_sonar_encoder *encoder; /* NULL: not loaded */
    lcm_arena *arena;           /* of a pass */
    lcm_ids ids;
    lcm_pieces *pieces;
    size_t *begin;
    size_t pieces_cap, begin_cap;
    uint8_t *word_begin; /* [vocab] made when first asked for */
};

lcm_status lcm_codec_new(lcm_ctx *ctx, lcm_codec **out, const lcm_sonar_file *file) {
    lcm_codec *c;
    lcm_status st = LCM_OK;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &c, 1, sizeof *c));
    c->file = c->voice = file;
    c->pooling = file->config.pooling;
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
    free(c->word_begin);
    free(c);
}

int64_t lcm_codec_dim(const lcm_codec *c) { return lcm_sonar_dim(&c->file->config); }

void lcm_codec_set_pooling(lcm_codec *c, int pooling) { c->pooling = pooling; }

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
        c->pieces[i] = (lcm_pieces){c->ids.data ? c->ids.data + c->begin[i] : NULL, /* NULL: all texts are empty */
                                    (int64_t)(c->begin[i + 1] - c->begin[i])};
        if (cut) cut[i] = c->pieces[i].n > room;
    }
    return lcm_codec_encode_ids(ctx, out, c, c->pieces, n, lang);
}

/* ---- decoding to the nearest text ---- */

/* What is known of one sentence. */
typedef struct candidate {
    char *text;    /* nearest so far */
    double least;  /* its squared distance from the concept */
    double score;
} candidate;

/* The search of some of the sentences of a call: row k of query and back belongs to sentence at[k]. */
typedef struct search {
    lcm_codec *c;
    const real *concepts;
    candidate *best; /* (n) */
    int64_t *at;     /* (n) sentences that are still searched */
    int64_t n_at;
    real *query;     /* (n, D) what the decoder reads */
    real *nearest;   /* (n, D) encoding of best[i].text */
    int32_t lang;
} search;

/* Encodes every hypothesis of a round, h (n_at), and keeps what is nearer. */
static lcm_status judge(lcm_ctx *ctx, search *s, const lcm_hypotheses *h) {
    lcm_buf texts = {0};
    const char **at = NULL;
    size_t *len = NULL, total = 0, row = 0;
    real *back = NULL;
    int64_t D = lcm_codec_dim(s->c);
    lcm_status st = LCM_OK;
    for (int64_t k = 0; k < s->n_at; k++) {
        total += (size_t)h[k].n;
        for (int64_t i = 0; st == LCM_OK && i < h[k].n; i++) {
            st = lcm_tokenizer_decode(ctx, &texts, s->c->file->tok, h[k].items[i].ids, (size_t)h[k].items[i].n);
            if (st == LCM_OK) st = lcm_buf_append(ctx, &texts, "", 1);
        }
    }
    if (st == LCM_OK) st = lcm_calloc(ctx, &at, total + 1, sizeof *at);
    if (st == LCM_OK) st = lcm_calloc(ctx, &len, total + 1, sizeof *len);
    if (st == LCM_OK) st = lcm_calloc(ctx, &back, (total + 1) * (size_t)D, sizeof *back);
    for (size_t i = 0; st == LCM_OK && i < total; i++) {
        at[i] = i ? at[i - 1] + len[i - 1] + 1 : texts.data;
        len[i] = strlen(at[i]);
    }
    if (st == LCM_OK) st = lcm_codec_encode(ctx, back, NULL, s->c, at, len, total, s->lang);
    for (int64_t k = 0; st == LCM_OK && k < s->n_at; k++) {
        candidate *b = &s->best[s->at[k]];
        for (int64_t i = 0; st == LCM_OK && i < h[k].n; i++, row++) {
            double d = lcm_squared_distance(s->concepts + s->at[k] * D, back + (int64_t)row * D, D);
            if (b->text && !(d < b->least)) continue;
            free(b->text);
            b->text = lcm_strdup(at[row]);
            if (b->text == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: decoded text");
            b->least = d;
            b->score = h[k].items[i].score;
            memcpy(s->nearest + s->at[k] * D, back + (int64_t)row * D, (size_t)D * sizeof(real));
        }
    }
    lcm_buf_free(&texts);
    free(at);
    free(len);
    free(back);
    return st;
}

/* Drops what is found (its encoding is the concept up to rounding), and moves the queries of the others
 * beyond their concept, by `step` times what the text found misses. */
static void correct(search *s, double step) {
    int64_t D = lcm_codec_dim(s->c), kept = 0;
    for (int64_t k = 0; k < s->n_at; k++) {
        int64_t i = s->at[k];
        const real *x = s->concepts + i * D, *y = s->nearest + i * D;
        if (s->best[i].least <= 1e-8 * lcm_dot(x, x, D)) continue;
        for (int64_t d = 0; d < D; d++) s->query[kept * D + d] = x[d] + (real)step * (x[d] - y[d]);
        s->at[kept++] = i;
    }
    s->n_at = kept;
}

static lcm_status search_rounds(lcm_ctx *ctx, search *s, const lcm_beam_opts *o, const int32_t *prompt, int64_t n_prompt) {
    for (int64_t r = 0; r < o->nearest_rounds && s->n_at > 0; r++) {
        lcm_hypotheses h[PASS_ROWS];
        lcm_status st;
        LCM_TRY(lcm_beam_search(ctx, h, s->c->file->net, s->query, s->n_at, prompt, n_prompt, o));
        st = judge(ctx, s, h);
        for (int64_t k = 0; k < s->n_at; k++) lcm_hypotheses_free(&h[k]);
        LCM_TRY(st);
        correct(s, 0.5 * (double)(r + 1));
    }
    return LCM_OK;
}

/* At most PASS_ROWS sentences: texts to *out, scores. */
static lcm_status decode_nearest(lcm_ctx *ctx, lcm_buf *out, double *scores, lcm_codec *c, const real *concepts, size_t n,
                                 int32_t lang, const int32_t *prompt, int64_t n_prompt, const lcm_beam_opts *o) {
    search s = {.c = c, .concepts = concepts, .n_at = (int64_t)n, .lang = lang};
    size_t values = n * (size_t)lcm_codec_dim(c);
    lcm_status st = lcm_calloc(ctx, &s.best, n, sizeof *s.best);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s.at, n, sizeof *s.at);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s.query, values, sizeof *s.query);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s.nearest, values, sizeof *s.nearest);
    if (st == LCM_OK) {
        memcpy(s.query, concepts, values * sizeof *concepts);
        for (size_t i = 0; i < n; i++) s.at[i] = (int64_t)i;
        st = search_rounds(ctx, &s, o, prompt, n_prompt);
    }
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        const char *text = s.best[i].text ? s.best[i].text : "";
        st = lcm_buf_append(ctx, out, text, strlen(text) + 1);
        if (scores) scores[i] = s.best[i].text ? s.best[i].score : -INFINITY;
    }
    for (size_t i = 0; s.best && i < n; i++) free(s.best[i].text);
    free(s.best);
    free(s.at);
    free(s.query);
    free(s.nearest);
    return st;
}

/* ---- decoding ---- */

lcm_status lcm_codec_set_voice(lcm_ctx *ctx, lcm_codec *c, const lcm_sonar_file *voice, const char *path) {
    const lcm_sonar_config *a = &c->file->config, *b = &voice->config;
    int64_t reads = b->input_dim ? b->input_dim : lcm_sonar_dim(b);
    LCM_TRY(lcm_model_check_space(ctx, voice->space, path, c->file->space));
    if (reads != lcm_sonar_dim(a))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "'%s' reads concepts of %lld numbers, the encoder gives %lld", path, (long long)reads, (long long)lcm_sonar_dim(a));
    if (b->vocab_size != a->vocab_size || lcm_tokenizer_size(voice->tok) != lcm_tokenizer_size(c->file->tok))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "'%s' has a vocabulary of %lld, %d of them pieces; the autoencoder one of %lld, %d", path, (long long)b->vocab_size,
                 (int)lcm_tokenizer_size(voice->tok), (long long)a->vocab_size, (int)lcm_tokenizer_size(c->file->tok));
    c->voice = voice;
    return LCM_OK;
}

static lcm_status decode_likeliest(lcm_ctx *ctx, lcm_buf *out, double *scores, lcm_codec *c, const real *concepts, size_t n,
                                   const int32_t *prompt, int64_t n_prompt, const lcm_beam_opts *o) {
    const lcm_sonar_net *net = (o->predicted ? c->voice : c->file)->net;
    lcm_hypotheses h[PASS_ROWS];
    lcm_status st = LCM_OK;
    LCM_TRY((o->draw.sampler.temperature > 0 ? lcm_draw : lcm_beam_search)(ctx, h, net, concepts, (int64_t)n, prompt, n_prompt, o));
    for (size_t j = 0; j < n; j++) {
        if (st == LCM_OK && h[j].n > 0)
            st = lcm_tokenizer_decode(ctx, out, c->file->tok, h[j].items[0].ids, (size_t)h[j].items[0].n);
        if (st == LCM_OK) st = lcm_buf_append(ctx, out, "", 1);
        if (scores) scores[j] = h[j].n > 0 ? h[j].items[0].score : -INFINITY;
        lcm_hypotheses_free(&h[j]);
    }
    return st;
}

static lcm_status find_word_begins(lcm_ctx *ctx, lcm_codec *c) {
    static const char space[] = "\xe2\x96\x81"; /* U+2581 */
    const lcm_tokenizer *tok = c->file->tok;
    int64_t V = c->file->config.vocab_size;
    if (c->word_begin) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &c->word_begin, (size_t)V, 1));
    for (int32_t id = 0; id < V && id < lcm_tokenizer_size(tok); id++) {
        const char *piece = lcm_tokenizer_piece(tok, id);
        c->word_begin[id] = strncmp(piece, space, sizeof space - 1) == 0 && piece[sizeof space - 1] != '\0';
    }
    return LCM_OK;
}

lcm_status lcm_codec_decode(lcm_ctx *ctx, lcm_buf *out, double *scores, lcm_codec *c, const real *concepts, size_t n,
                            int32_t lang, const lcm_beam_opts *opts) {
    lcm_beam_opts o = opts ? *opts : lcm_beam_opts_default();
    int64_t D = lcm_codec_dim(c), per_call = PASS_ROWS / (o.beam_size > 0 ? o.beam_size : 1);
    int32_t prompt[2] = {ID_EOS, lang < 0 ? c->file->lang : lang};
    int64_t n_prompt = prompt[1] >= 0 ? 2 : 1;
    if (per_call < 1) per_call = 1;
    if (o.block_doubles) {
        LCM_TRY(find_word_begins(ctx, c));
        o.not_twice = c->word_begin;
    }
    for (size_t i = 0; i < n; i += (size_t)per_call) {
        const real *x = concepts + (int64_t)i * D;
        double *score = scores ? scores + i : NULL;
        size_t k = n - i < (size_t)per_call ? n - i : (size_t)per_call;
        if (o.nearest_rounds > 0 && o.draw.sampler.temperature == 0) LCM_TRY(decode_nearest(ctx, out, score, c, x, k, lang, prompt, n_prompt, &o));
        else LCM_TRY(decode_likeliest(ctx, out, score, c, x, k, prompt, n_prompt, &o));
        o.draw.first += k;
    }
    return LCM_OK;
}

lcm_status lcm_codec_decode_best(lcm_ctx *ctx, lcm_buf *out, lcm_said *said, lcm_codec *c, const real *concepts, size_t n,
                                 double min_score, int32_t lang, const lcm_beam_opts *opts) {
    size_t begin = out->len, end = begin; /* of the best text so far */
    lcm_beam_opts o = opts ? *opts : lcm_beam_opts_default();
    lcm_said best = {0, -INFINITY};
    for (size_t i = 0; i < n; i++, o.draw.first++) {
        double score;
        lcm_status st = lcm_codec_decode(ctx, out, &score, c, concepts + (int64_t)i * lcm_codec_dim(c), 1, lang, &o);
        if (st) {
            out->len = begin;
            return st;
        }
        if (i == 0 || score > best.score) {
            size_t len = out->len - end;
            memmove(out->data + begin, out->data + end, len);
            end = begin + len;
            best = (lcm_said){i, score};
        }
        out->len = end;
        if (best.score >= min_score) break;
    }
    *said = best;
    return LCM_OK;
}
