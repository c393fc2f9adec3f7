/* Chunks of documents. */
#include "train/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "data/wrap.h"

/* Part of a document as it is trained on: n rows of the store, or given ones. */
typedef struct part {
    const real *x; /* NULL: rows of the store from `row` */
    int64_t row, n;
} part;

enum { MAX_PARTS = 6 };

static part affix(const lcm_affixes *a, lcm_affix which) { return (part){a->x[which], 0, a->n[which]}; }

/* A document of `count` rows from `first` on, `source` of them the source; returns the number of parts. */
static int parts_of(part out[MAX_PARTS], const lcm_chunks *c, int64_t first, int64_t count, int64_t source) {
    int n = 0;
    if (c->supervised) {
        out[n++] = affix(c->affixes, LCM_AFFIX_SOURCE_PREFIX);
        out[n++] = (part){NULL, first, source};
        out[n++] = affix(c->affixes, LCM_AFFIX_SOURCE_SUFFIX);
        out[n++] = affix(c->affixes, LCM_AFFIX_TARGET_PREFIX);
    }
    out[n++] = (part){NULL, first + source, count - source};
    out[n++] = affix(c->affixes, LCM_AFFIX_END);
    return n;
}

/* Concepts around the source. */
static int64_t frame(const lcm_affixes *a) { return a->n[LCM_AFFIX_SOURCE_PREFIX] + a->n[LCM_AFFIX_SOURCE_SUFFIX]; }

static int64_t extra(const lcm_chunks *c) {
    const lcm_affixes *a = c->affixes;
    return a->n[LCM_AFFIX_END] + (c->supervised ? frame(a) + a->n[LCM_AFFIX_TARGET_PREFIX] : 0);
}

static lcm_status alloc(lcm_ctx *ctx, lcm_chunks *c, int64_t n) {
    LCM_TRY(lcm_calloc(ctx, &c->lengths, (size_t)n, sizeof *c->lengths));
    LCM_TRY(lcm_calloc(ctx, &c->doc, (size_t)n, sizeof *c->doc));
    LCM_TRY(lcm_calloc(ctx, &c->first, (size_t)n, sizeof *c->first));
    return lcm_calloc(ctx, &c->source, (size_t)n, sizeof *c->source);
}

static lcm_status fill(lcm_ctx *ctx, lcm_chunks *c, const lcm_wrap *w, const int64_t *sources, const lcm_chunks_opts *o) {
    LCM_TRY(alloc(ctx, c, w->n_chunks));
    for (int64_t i = 0; i < w->n_chunks; i++) {
        const lcm_wrap_piece *p = &w->pieces[i];
        c->n_short += p->count < o->min_len;
        c->n_long += p->count > o->max_len;
        if (p->count < o->min_len || p->count > o->max_len) continue;
        c->lengths[c->n] = p->count;
        c->doc[c->n] = p->doc;
        c->first[c->n] = p->first;
        c->source[c->n++] = c->supervised ? (int32_t)(sources[p->doc] + frame(c->affixes)) : 0;
    }
    return LCM_OK;
}

static lcm_status make(lcm_ctx *ctx, lcm_chunks *c, int64_t *lengths, int64_t *sources, const lcm_chunks_opts *o) {
    int64_t docs = lcm_store_n_docs(c->store);
    lcm_wrap w;
    lcm_status st;
    lcm_store_doc_counts(lengths, c->store);
    lcm_store_targets(sources, c->store);
    for (int64_t i = 0; i < docs; i++) lengths[i] += extra(c);
    LCM_TRY(lcm_wrap_make(ctx, &w, lengths, NULL, docs, c->supervised ? 0 : o->max_len, false));
    st = fill(ctx, c, &w, sources, o);
    lcm_wrap_free(&w);
    return st;
}

lcm_status lcm_chunks_make(lcm_ctx *ctx, lcm_chunks *out, const lcm_store *store, const lcm_affixes *affixes,
                           const lcm_chunks_opts *opts) {
    lcm_chunks c = {.store = store, .affixes = affixes, .supervised = opts->supervised};
    int64_t *lengths;
    size_t docs = (size_t)lcm_store_n_docs(store);
    lcm_status st;
    memset(out, 0, sizeof *out);
    if (opts->supervised && !lcm_store_has_targets(store))
        LCM_FAIL(ctx, LCM_ERR_ARG, "supervised training needs a store of pairs (lcm prepare --source-key)");
    LCM_TRY(lcm_calloc(ctx, &lengths, 2 * docs, sizeof *lengths));
    st = make(ctx, &c, lengths, lengths + docs, opts);
    free(lengths);
    if (st) lcm_chunks_free(&c);
    else *out = c;
    return st;
}

void lcm_chunks_free(lcm_chunks *c) {
    free(c->lengths);
    free(c->doc);
    free(c->first);
    free(c->source);
    memset(c, 0, sizeof *c);
}

/* The n parts of chunk i; what lies outside of it is cut off. */
static lcm_status parts_in(lcm_ctx *ctx, part parts[MAX_PARTS], int *n, const lcm_chunks *c, int64_t i) {
    int64_t first, count, at = 0, from = c->first[i], to = from + c->lengths[i], D = lcm_store_dim(c->store);
    LCM_TRY(lcm_store_doc(ctx, &first, &count, c->store, c->doc[i]));
    *n = parts_of(parts, c, first, count, c->supervised ? c->source[i] - frame(c->affixes) : 0);
    for (int k = 0; k < *n; k++) { /* part k begins at `at` */
        int64_t lo = from > at ? from - at : 0, hi = to - at < parts[k].n ? to - at : parts[k].n;
        at += parts[k].n;
        parts[k].n = hi > lo ? hi - lo : 0;
        parts[k].row += lo;
        if (parts[k].x) parts[k].x += lo * D;
    }
    return LCM_OK;
}

lcm_status lcm_chunks_read(lcm_ctx *ctx, real *dst, const lcm_chunks *c, int64_t i) {
    int64_t D = lcm_store_dim(c->store);
    part parts[MAX_PARTS];
    int n;
    LCM_TRY(parts_in(ctx, parts, &n, c, i));
    for (int k = 0; k < n; dst += parts[k++].n * D) {
        if (parts[k].n == 0) continue;
        if (parts[k].x) memcpy(dst, parts[k].x, (size_t)(parts[k].n * D) * sizeof *dst);
        else LCM_TRY(lcm_store_vectors(ctx, dst, c->store, parts[k].row, parts[k].n));
    }
    return LCM_OK;
}

lcm_status lcm_chunks_weigh(lcm_ctx *ctx, real *dst, const lcm_chunks *c, int64_t i) {
    part parts[MAX_PARTS];
    int n;
    LCM_TRY(parts_in(ctx, parts, &n, c, i));
    for (int k = 0; k < n; k++)
        for (int64_t r = 0; r < parts[k].n; r++) *dst++ = parts[k].x || c->weights == NULL ? 1 : c->weights[parts[k].row + r];
    return LCM_OK;
}

lcm_status lcm_chunks_text(lcm_ctx *ctx, lcm_pieces *dst, const lcm_chunks *c, int64_t i) {
    const lcm_store_pieces *p = c->text;
    part parts[MAX_PARTS];
    int n;
    LCM_TRY(parts_in(ctx, parts, &n, c, i));
    for (int k = 0; k < n; k++)
        for (int64_t r = 0; r < parts[k].n; r++)
            *dst++ = parts[k].x == NULL                             ? lcm_store_pieces_of(p, parts[k].row + r)
                     : parts[k].x == c->affixes->x[LCM_AFFIX_END] ? (lcm_pieces){p->end.data, (int64_t)p->end.len}
                                                                    : (lcm_pieces){NULL, 0};
    return LCM_OK;
}
