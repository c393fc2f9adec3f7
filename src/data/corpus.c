/* Token corpora. */
#include "data/corpus.h"

#include <stdlib.h>
#include <string.h>

static lcm_status begin(lcm_ctx *ctx, lcm_corpus *c) {
    LCM_TRY(lcm_grow(ctx, &c->off, &c->off_cap, 1, sizeof *c->off));
    c->off[0] = 0;
    return LCM_OK;
}

/* False, and counted, when a sentence of n pieces is of no use. */
static bool is_usable(lcm_corpus *c, int64_t n, int64_t max_pieces) {
    c->n_empty += n == 0;
    c->n_long += n > max_pieces;
    return n > 0 && n <= max_pieces;
}

static lcm_status push(lcm_ctx *ctx, lcm_corpus *c, const lcm_ids *ids) {
    int64_t at = c->off[c->n], n = (int64_t)ids->len;
    LCM_TRY(lcm_grow(ctx, &c->ids, &c->ids_cap, (size_t)(at + n), sizeof *c->ids));
    LCM_TRY(lcm_grow(ctx, &c->off, &c->off_cap, (size_t)c->n + 2, sizeof *c->off));
    LCM_TRY(lcm_grow(ctx, &c->lengths, &c->len_cap, (size_t)c->n + 1, sizeof *c->lengths));
    memcpy(c->ids + at, ids->data, (size_t)n * sizeof *c->ids);
    c->lengths[c->n] = n;
    c->off[++c->n] = at + n;
    return LCM_OK;
}

static lcm_status add_sentence(lcm_ctx *ctx, lcm_corpus *c, const lcm_tokenizer *tok, lcm_ids *tmp, const char *text,
                               size_t len, int64_t max_pieces) {
    tmp->len = 0;
    LCM_TRY(lcm_tokenizer_encode(ctx, tmp, tok, text, len));
    return is_usable(c, (int64_t)tmp->len, max_pieces) ? push(ctx, c, tmp) : LCM_OK;
}

static lcm_status add_document(lcm_ctx *ctx, lcm_corpus *c, const lcm_tokenizer *tok, lcm_ids *tmp, lcm_spans *spans,
                               const lcm_doc *doc, const lcm_corpus_opts *o) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    if (o->presegmented) return add_sentence(ctx, c, tok, tmp, doc->text, doc->len, o->max_pieces);
    seg.lang = o->lang;
    if (o->max_chars) seg.max_chars = o->max_chars;
    spans->len = 0;
    LCM_TRY(lcm_segment(ctx, spans, doc->text, doc->len, &seg));
    for (size_t i = 0; i < spans->len; i++) {
        lcm_span s = lcm_span_trim(doc->text, spans->data[i]);
        LCM_TRY(add_sentence(ctx, c, tok, tmp, doc->text + s.begin, s.end - s.begin, o->max_pieces));
    }
    return LCM_OK;
}

lcm_status lcm_corpus_read(lcm_ctx *ctx, lcm_corpus *out, const lcm_tokenizer *tok, const char *const *inputs,
                           size_t n_inputs, const lcm_corpus_opts *opts) {
    lcm_docs *docs = NULL;
    lcm_ids tmp = {0};
    lcm_spans spans = {0};
    lcm_corpus c = {0};
    lcm_status st = lcm_docs_open(ctx, &docs, inputs, n_inputs, &opts->docs);
    memset(out, 0, sizeof *out);
    if (st == LCM_OK) st = begin(ctx, &c);
    while (st == LCM_OK) {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        c.n_docs++;
        st = add_document(ctx, &c, tok, &tmp, &spans, &doc, opts);
    }
    if (st == LCM_OK) {
        c.docs = *lcm_docs_get_report(docs);
        lcm_docs_log_drops(ctx, &c.docs);
    }
    lcm_docs_close(docs);
    lcm_ids_free(&tmp);
    lcm_spans_free(&spans);
    if (st) lcm_corpus_free(&c);
    else *out = c;
    return st;
}

void lcm_corpus_free(lcm_corpus *c) {
    free(c->ids);
    free(c->off);
    free(c->lengths);
    memset(c, 0, sizeof *c);
}

/* ---- pairs ---- */

static lcm_status add_pair(lcm_ctx *ctx, lcm_bitext *b, const lcm_tokenizer *tok, lcm_ids tmp[2], const lcm_doc *doc, int64_t max_pieces) {
    const char *const text[2] = {doc->source, doc->text}, *const names[2] = {doc->source_lang, doc->lang};
    const size_t len[2] = {doc->source_len, doc->len};
    int32_t lang[2];
    for (int k = 0; k < 2; k++) {
        lcm_status st = lcm_tokenizer_lang_id(ctx, &lang[k], tok, names[k]);
        if (st) return lcm_fail_within(ctx, st, "%s:%lld", doc->path, (long long)doc->line);
        tmp[k].len = 0;
        LCM_TRY(lcm_tokenizer_encode(ctx, &tmp[k], tok, text[k], len[k]));
    }
    for (int k = 0; k < 2; k++)
        if (!is_usable(&b->side[1], (int64_t)tmp[k].len, max_pieces)) return LCM_OK;
    for (int k = 0; k < 2; k++) {
        LCM_TRY(lcm_grow(ctx, &b->lang[k], &b->lang_cap[k], (size_t)b->side[k].n + 1, sizeof *b->lang[k]));
        b->lang[k][b->side[k].n] = lang[k];
        LCM_TRY(push(ctx, &b->side[k], &tmp[k]));
    }
    return LCM_OK;
}

lcm_status lcm_bitext_read(lcm_ctx *ctx, lcm_bitext *out, const lcm_tokenizer *tok, const char *const *inputs, size_t n_inputs,
                           int64_t max_pieces) {
    lcm_docs_opts o = {.key = "tgt", .source_key = "src", .lang_key = "tgt_lang", .source_lang_key = "src_lang"};
    lcm_docs *docs = NULL;
    lcm_ids tmp[2] = {{0}, {0}};
    lcm_bitext b = {0};
    lcm_status st = lcm_docs_open(ctx, &docs, inputs, n_inputs, &o);
    memset(out, 0, sizeof *out);
    for (int k = 0; k < 2 && st == LCM_OK; k++) st = begin(ctx, &b.side[k]);
    while (st == LCM_OK) {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        b.side[0].n_docs = ++b.side[1].n_docs;
        st = add_pair(ctx, &b, tok, tmp, &doc, max_pieces);
    }
    if (st == LCM_OK) {
        b.side[1].docs = *lcm_docs_get_report(docs);
        lcm_docs_log_drops(ctx, &b.side[1].docs);
    }
    lcm_docs_close(docs);
    for (int k = 0; k < 2; k++) lcm_ids_free(&tmp[k]);
    if (st) lcm_bitext_free(&b);
    else *out = b;
    return st;
}

void lcm_bitext_free(lcm_bitext *b) {
    for (int k = 0; k < 2; k++) {
        lcm_corpus_free(&b->side[k]);
        free(b->lang[k]);
    }
    memset(b, 0, sizeof *b);
}
