/* One unit of preparation. */
#include "data/unit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text/segment.h"

typedef struct part {
    size_t begin, len; /* in `text` */
    bool lines;        /* each is a sentence */
} part;

typedef struct unit_doc {
    part source, body;
    const char *path;
    int64_t line;
    size_t first, target, end; /* sentences; those before `target` are the source */
} unit_doc;

struct lcm_unit_maker {
    const lcm_prepare_opts *opts;
    size_t batch;
    lcm_buf text;
    unit_doc *docs;
    size_t n_docs, cap_docs;
    const char **sentences; /* of all documents, into `text` */
    size_t *lens, n_sentences, cap_sentences, cap_lens;
    lcm_spans spans;
    int64_t kept_source; /* concepts of the document in hand */
    real *rows;          /* [batch, dim] */
    uint8_t *fate;       /* [batch] */
};

lcm_status lcm_unit_maker_new(lcm_ctx *ctx, lcm_unit_maker **out, const lcm_prepare_opts *opts) {
    lcm_unit_maker *m;
    lcm_shard *probe;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_shard_new(ctx, &probe, opts->dim, opts->dtype)); /* is there such a shard at all? */
    lcm_shard_free(probe);
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->opts = opts;
    m->batch = opts->batch ? (size_t)opts->batch : 256;
    st = lcm_calloc(ctx, &m->rows, m->batch * (size_t)opts->dim, sizeof *m->rows);
    if (st == LCM_OK) st = lcm_calloc(ctx, &m->fate, m->batch, 1);
    if (st) lcm_unit_maker_free(m);
    else *out = m;
    return st;
}

void lcm_unit_maker_free(lcm_unit_maker *m) {
    if (m == NULL) return;
    lcm_buf_free(&m->text);
    lcm_spans_free(&m->spans);
    free(m->docs);
    free(m->sentences);
    free(m->lens);
    free(m->rows);
    free(m->fate);
    free(m);
}

void lcm_unit_clear(lcm_unit_maker *m) {
    m->text.len = 0;
    m->n_docs = m->n_sentences = 0;
}

static lcm_status add_part(lcm_ctx *ctx, lcm_unit_maker *m, part *out, const char *text, size_t len, bool lines) {
    *out = (part){m->text.len, len, lines};
    return lcm_buf_append(ctx, &m->text, text, len);
}

lcm_status lcm_unit_add(lcm_ctx *ctx, lcm_unit_maker *m, const lcm_doc *doc) {
    unit_doc *d;
    LCM_TRY(lcm_grow(ctx, &m->docs, &m->cap_docs, m->n_docs + 1, sizeof *m->docs));
    d = &m->docs[m->n_docs++];
    *d = (unit_doc){.path = doc->path, .line = doc->line};
    if (doc->source) LCM_TRY(add_part(ctx, m, &d->source, doc->source, doc->source_len, doc->source_lines));
    return add_part(ctx, m, &d->body, doc->text, doc->len, doc->lines);
}

static lcm_status fail_at(lcm_ctx *ctx, lcm_status st, const unit_doc *d) {
    return lcm_fail_within(ctx, st, "%s:%" PRId64, d->path, d->line);
}

static lcm_status segment(lcm_ctx *ctx, lcm_unit_maker *m, const part *p, const char *text) {
    const lcm_prepare_opts *o = m->opts;
    if (p->lines) return lcm_segment_lines(ctx, &m->spans, text, p->len);
    if (o->segment) return o->segment(ctx, o->user, &m->spans, text, p->len);
    return lcm_segment_text(ctx, &m->spans, text, p->len, NULL);
}

static lcm_status cut_part(lcm_ctx *ctx, lcm_unit_maker *m, const unit_doc *d, const part *p) {
    const char *text = m->text.data + p->begin;
    lcm_status st = segment(ctx, m, p, text);
    if (st) return fail_at(ctx, st, d);
    LCM_TRY(lcm_grow(ctx, &m->sentences, &m->cap_sentences, m->n_sentences + m->spans.len, sizeof *m->sentences));
    LCM_TRY(lcm_grow(ctx, &m->lens, &m->cap_lens, m->n_sentences + m->spans.len, sizeof *m->lens));
    for (size_t i = 0; i < m->spans.len; i++) {
        lcm_span s = m->spans.data[i];
        if (s.begin >= s.end || s.end > p->len)
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s:%" PRId64 ": the segmenter gave the span %zu … %zu of %zu bytes", d->path,
                     d->line, s.begin, s.end, p->len);
        m->sentences[m->n_sentences] = text + s.begin;
        m->lens[m->n_sentences++] = s.end - s.begin;
    }
    return LCM_OK;
}

static lcm_status cut_doc(lcm_ctx *ctx, lcm_unit_maker *m, unit_doc *d) {
    d->first = m->n_sentences;
    if (d->source.len) LCM_TRY(cut_part(ctx, m, d, &d->source));
    d->target = m->n_sentences;
    LCM_TRY(cut_part(ctx, m, d, &d->body));
    d->end = m->n_sentences;
    return LCM_OK;
}

/* Takes the row of sentence i, which belongs to document d. */
static lcm_status take_row(lcm_ctx *ctx, lcm_unit_maker *m, lcm_shard *shard, lcm_store_report *r, const unit_doc *d,
                           size_t i, const real *row, uint8_t fate) {
    lcm_status st;
    if (fate != LCM_SENTENCE_KEPT && m->opts->docs.strict)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%s:%" PRId64 ": sentence %zu was %s by the encoder", d->path, d->line, i - d->first,
                 fate == LCM_SENTENCE_DROPPED ? "dropped" : "shortened");
    if (fate == LCM_SENTENCE_DROPPED) {
        r->sentences_dropped++;
        return LCM_OK;
    }
    st = lcm_shard_add(ctx, shard, row, m->sentences[i], m->lens[i]);
    if (st) return lcm_fail_within(ctx, st, "%s:%" PRId64 ": sentence %zu", d->path, d->line, i - d->first);
    r->sentences_shortened += fate == LCM_SENTENCE_SHORTENED;
    m->kept_source += i < d->target;
    return LCM_OK;
}

/* Ends the documents whose last sentence is before i, from *next on. */
static lcm_status end_docs(lcm_ctx *ctx, lcm_unit_maker *m, lcm_shard *shard, lcm_store_report *r, size_t *next, size_t i) {
    for (; *next < m->n_docs && m->docs[*next].end <= i; ++*next) {
        bool kept;
        LCM_TRY(m->opts->docs.source_key ? lcm_shard_end_pair(ctx, shard, m->kept_source, &kept)
                                         : lcm_shard_end_doc(ctx, shard, &kept));
        m->kept_source = 0;
        r->docs_no_sentence += !kept;
        if (!kept && m->opts->docs.strict)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s:%" PRId64 ": no sentence%s", m->docs[*next].path, m->docs[*next].line,
                     m->opts->docs.source_key ? " on one side" : "");
    }
    return LCM_OK;
}

static lcm_status encode_all(lcm_ctx *ctx, lcm_unit_maker *m, lcm_shard *shard, lcm_store_report *r,
                             lcm_status (*tick)(lcm_ctx *ctx, void *user, int64_t sentences), void *user) {
    const lcm_prepare_opts *o = m->opts;
    size_t doc = 0;
    for (size_t at = 0; at < m->n_sentences; at += m->batch) {
        size_t n = m->n_sentences - at < m->batch ? m->n_sentences - at : m->batch;
        lcm_status st;
        LCM_TRY(end_docs(ctx, m, shard, r, &doc, at));
        memset(m->fate, 0, n);
        st = o->encode(ctx, o->user, m->rows, m->fate, m->sentences + at, m->lens + at, n);
        if (st) return fail_at(ctx, st, &m->docs[doc]);
        for (size_t k = 0; k < n; k++) {
            LCM_TRY(end_docs(ctx, m, shard, r, &doc, at + k));
            LCM_TRY(take_row(ctx, m, shard, r, &m->docs[doc], at + k, m->rows + k * (size_t)o->dim, m->fate[k]));
        }
        LCM_TRY(tick(ctx, user, (int64_t)n));
    }
    return end_docs(ctx, m, shard, r, &doc, m->n_sentences);
}

lcm_status lcm_unit_write(lcm_ctx *ctx, lcm_unit_maker *m, const char *dir, int64_t index, lcm_store_report *report,
                          lcm_status (*tick)(lcm_ctx *ctx, void *user, int64_t sentences), void *user) {
    lcm_shard *shard;
    lcm_status st = LCM_OK;
    m->n_sentences = 0;
    m->kept_source = 0;
    for (size_t i = 0; i < m->n_docs; i++) LCM_TRY(cut_doc(ctx, m, &m->docs[i]));
    LCM_TRY(lcm_shard_new(ctx, &shard, m->opts->dim, m->opts->dtype));
    if (m->opts->docs.source_key) lcm_shard_set_pairs(shard);
    st = encode_all(ctx, m, shard, report, tick, user);
    if (st == LCM_OK) st = lcm_shard_write(ctx, shard, dir, index, m->opts->space, report);
    lcm_shard_free(shard);
    return st;
}
