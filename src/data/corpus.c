/* Token corpora. */
#include "data/corpus.h"

#include <stdlib.h>
#include <string.h>

static lcm_status add_sentence(lcm_ctx *ctx, lcm_corpus *c, const lcm_tokenizer *tok, lcm_ids *tmp, const char *text,
                               size_t len, int64_t max_pieces) {
    int64_t at = c->off[c->n], n;
    tmp->len = 0;
    LCM_TRY(lcm_tokenizer_encode(ctx, tmp, tok, text, len));
    n = (int64_t)tmp->len;
    if (n == 0) {
        c->n_empty++;
        return LCM_OK;
    }
    if (n > max_pieces) {
        c->n_long++;
        return LCM_OK;
    }
    LCM_TRY(lcm_grow(ctx, &c->ids, &c->ids_cap, (size_t)(at + n), sizeof *c->ids));
    LCM_TRY(lcm_grow(ctx, &c->off, &c->off_cap, (size_t)c->n + 2, sizeof *c->off));
    LCM_TRY(lcm_grow(ctx, &c->lengths, &c->len_cap, (size_t)c->n + 1, sizeof *c->lengths));
    memcpy(c->ids + at, tmp->data, (size_t)n * sizeof *c->ids);
    c->lengths[c->n] = n;
    c->off[++c->n] = at + n;
    return LCM_OK;
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
    if (st == LCM_OK) st = lcm_grow(ctx, &c.off, &c.off_cap, 1, sizeof *c.off);
    if (st == LCM_OK) c.off[0] = 0;
    while (st == LCM_OK) {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        c.n_docs++;
        st = add_document(ctx, &c, tok, &tmp, &spans, &doc, opts);
    }
    if (st == LCM_OK) c.docs = *lcm_docs_get_report(docs);
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
