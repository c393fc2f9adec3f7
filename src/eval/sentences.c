/* Lists of sentences. */
#include "eval/sentences.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/simd.h"
#include "text/segment.h"

enum { ENCODE_BLOCK = 512, DECODE_BLOCK = 256 };

lcm_status lcm_sentences_add(lcm_ctx *ctx, lcm_sentences *s, const char *text, size_t len) {
    LCM_TRY(lcm_grow(ctx, &s->end, &s->end_cap, (size_t)s->n + 1, sizeof *s->end));
    LCM_TRY(lcm_buf_append(ctx, &s->text, text, len));
    LCM_TRY(lcm_buf_append(ctx, &s->text, "", 1));
    s->end[s->n++] = s->text.len;
    return LCM_OK;
}

lcm_status lcm_sentences_end_doc(lcm_ctx *ctx, lcm_sentences *s) {
    LCM_TRY(lcm_grow(ctx, &s->doc_end, &s->doc_cap, (size_t)s->n_docs + 1, sizeof *s->doc_end));
    s->doc_end[s->n_docs++] = s->n;
    return LCM_OK;
}

const char *lcm_sentences_at(const lcm_sentences *s, int64_t i, size_t *len) {
    size_t begin = i ? s->end[i - 1] : 0;
    if (len) *len = s->end[i] - begin - 1;
    return s->text.data + begin;
}

int64_t lcm_sentences_doc(const lcm_sentences *s, int64_t d, int64_t *count) {
    int64_t first = d ? s->doc_end[d - 1] : 0;
    *count = s->doc_end[d] - first;
    return first;
}

static void cut_back(lcm_sentences *s, int64_t n) {
    s->n = n;
    s->text.len = n ? s->end[n - 1] : 0;
}

void lcm_sentences_clear(lcm_sentences *s) {
    cut_back(s, 0);
    s->n_docs = 0;
}

void lcm_sentences_free(lcm_sentences *s) {
    lcm_buf_free(&s->text);
    free(s->end);
    free(s->doc_end);
    memset(s, 0, sizeof *s);
}

/* ---- reading ---- */

typedef struct reader {
    lcm_sentences *out;
    lcm_sentences_report *report;
    const lcm_tokenizer *tok;
    const lcm_sentences_opts *opts;
    int64_t begin; /* sentences of *out before this call */
    lcm_ids ids;
    lcm_spans spans;
} reader;

static bool full(const reader *r) {
    const lcm_sentences_opts *o = r->opts;
    return (o->max_docs && r->report->docs >= o->max_docs) || (o->max_sentences && r->out->n - r->begin >= o->max_sentences);
}

static lcm_status add_sentence(lcm_ctx *ctx, reader *r, const char *text, size_t len) {
    if (full(r)) return LCM_OK;
    if (r->tok) {
        r->ids.len = 0;
        LCM_TRY(lcm_tokenizer_encode(ctx, &r->ids, r->tok, text, len));
        if (r->ids.len == 0) {
            r->report->empty++;
            return LCM_OK;
        }
        if (r->opts->max_pieces && (int64_t)r->ids.len > r->opts->max_pieces) {
            r->report->long_sentences++;
            return LCM_OK;
        }
        r->report->pieces += (int64_t)r->ids.len;
    }
    return lcm_sentences_add(ctx, r->out, text, len);
}

static lcm_status add_document(lcm_ctx *ctx, reader *r, const lcm_doc *doc) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    int64_t before = r->out->n;
    seg.lang = r->opts->lang;
    if (r->opts->presegmented) LCM_TRY(add_sentence(ctx, r, doc->text, doc->len));
    else {
        LCM_TRY(lcm_segment_text(ctx, &r->spans, doc->text, doc->len, &seg));
        for (size_t i = 0; i < r->spans.len; i++)
            LCM_TRY(add_sentence(ctx, r, doc->text + r->spans.data[i].begin, r->spans.data[i].end - r->spans.data[i].begin));
    }
    if (r->out->n == before || r->out->n - before < r->opts->min_doc) {
        cut_back(r->out, before);
        r->report->short_docs++;
        return LCM_OK;
    }
    r->report->docs++;
    return lcm_sentences_end_doc(ctx, r->out);
}

lcm_status lcm_sentences_read(lcm_ctx *ctx, lcm_sentences *out, lcm_sentences_report *report, const lcm_tokenizer *tok,
                              const char *const *inputs, size_t n_inputs, const lcm_sentences_opts *opts) {
    reader r = {.out = out, .report = report, .tok = tok, .opts = opts, .begin = out->n};
    lcm_docs *docs = NULL;
    lcm_status st = lcm_docs_open(ctx, &docs, inputs, n_inputs, &opts->docs);
    memset(report, 0, sizeof *report);
    while (st == LCM_OK && !full(&r)) {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        st = add_document(ctx, &r, &doc);
    }
    report->sentences = out->n - r.begin;
    for (int i = 0; docs && i < LCM_DOC_N_DROPS; i++) report->bad_docs += lcm_docs_get_report(docs)->dropped[i];
    if (docs) lcm_docs_log_drops(ctx, lcm_docs_get_report(docs));
    lcm_docs_close(docs);
    lcm_ids_free(&r.ids);
    lcm_spans_free(&r.spans);
    if (st == LCM_OK && report->sentences == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "the input holds no sentence that can be used");
    return st;
}

/* ---- through the autoencoder ---- */

lcm_status lcm_sentences_encode(lcm_ctx *ctx, real *out, int64_t *n_cut, lcm_codec *codec, const lcm_sentences *s,
                                int64_t first, int64_t count) {
    const char *text[ENCODE_BLOCK];
    size_t len[ENCODE_BLOCK];
    uint8_t cut[ENCODE_BLOCK];
    int64_t D = lcm_codec_dim(codec);
    for (int64_t i = 0; i < count; i += ENCODE_BLOCK) {
        int64_t n = lcm_min_i(count - i, ENCODE_BLOCK);
        for (int64_t k = 0; k < n; k++) text[k] = lcm_sentences_at(s, first + i + k, &len[k]);
        LCM_TRY(lcm_codec_encode(ctx, out + i * D, cut, codec, text, len, (size_t)n, -1));
        for (int64_t k = 0; n_cut && k < n; k++) *n_cut += cut[k];
    }
    return LCM_OK;
}

static lcm_status decode_block(lcm_ctx *ctx, lcm_sentences *out, lcm_buf *tmp, lcm_codec *codec, const real *x, int64_t n,
                               const lcm_beam_opts *beam) {
    int64_t nuls = 0, D = lcm_codec_dim(codec);
    tmp->len = 0;
    LCM_TRY(lcm_codec_decode(ctx, tmp, NULL, codec, x, (size_t)n, -1, beam));
    for (size_t i = 0; i < tmp->len; i++) nuls += tmp->data[i] == '\0';
    if (nuls != n && n > 1) { /* some text holds a NUL itself: one at a time, to know which */
        for (int64_t i = 0; i < n; i++) LCM_TRY(decode_block(ctx, out, tmp, codec, x + i * D, 1, beam));
        return LCM_OK;
    }
    for (size_t i = 0; n == 1 && i + 1 < tmp->len; i++)
        if (tmp->data[i] == '\0') tmp->data[i] = ' ';
    for (size_t at = 0; at < tmp->len;) {
        size_t len = strlen(tmp->data + at);
        LCM_TRY(lcm_sentences_add(ctx, out, tmp->data + at, len));
        at += len + 1;
    }
    return LCM_OK;
}

lcm_status lcm_sentences_decode(lcm_ctx *ctx, lcm_sentences *out, lcm_codec *codec, const real *x, int64_t n,
                                const lcm_beam_opts *beam) {
    lcm_buf tmp = {0};
    lcm_status st = LCM_OK;
    for (int64_t i = 0; st == LCM_OK && i < n; i += DECODE_BLOCK)
        st = decode_block(ctx, out, &tmp, codec, x + i * lcm_codec_dim(codec), lcm_min_i(n - i, DECODE_BLOCK), beam);
    lcm_buf_free(&tmp);
    return st;
}
