/* Cutting documents into chunks. */
#include "data/wrap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void lcm_wrap_free(lcm_wrap *p) {
    free(p->pieces);
    free(p->begin);
    memset(p, 0, sizeof *p);
}

typedef struct builder {
    lcm_wrap w;
    size_t cap_pieces, cap_begin;
} builder;

static lcm_status add_piece(lcm_ctx *ctx, builder *b, lcm_wrap_piece piece, bool new_chunk) {
    LCM_TRY(lcm_grow(ctx, &b->w.pieces, &b->cap_pieces, (size_t)b->w.n_pieces + 1, sizeof *b->w.pieces));
    LCM_TRY(lcm_grow(ctx, &b->w.begin, &b->cap_begin, (size_t)b->w.n_chunks + 2, sizeof *b->w.begin));
    if (new_chunk) b->w.begin[b->w.n_chunks++] = b->w.n_pieces;
    b->w.pieces[b->w.n_pieces++] = piece;
    b->w.begin[b->w.n_chunks] = b->w.n_pieces;
    return LCM_OK;
}

static lcm_status wrap_fill(lcm_ctx *ctx, builder *b, const int64_t *lengths, const int64_t *order, int64_t n_docs,
                            int64_t w, bool packing) {
    int64_t room = 0; /* left in the chunk that is being filled */
    for (int64_t i = 0; i < n_docs; i++) {
        int64_t doc = order ? order[i] : i, first = 0;
        if (doc < 0 || doc >= n_docs)
            LCM_FAIL(ctx, LCM_ERR_ARG, "document %lld of %lld", (long long)doc, (long long)n_docs);
        if (lengths[doc] < 0)
            LCM_FAIL(ctx, LCM_ERR_ARG, "document %lld: length %lld", (long long)doc, (long long)lengths[doc]);
        if (!packing || w == 0) room = 0;
        while (first < lengths[doc]) {
            int64_t left = lengths[doc] - first, cap = room ? room : w ? w : left;
            int64_t count = left < cap ? left : cap;
            LCM_TRY(add_piece(ctx, b, (lcm_wrap_piece){doc, first, count}, room == 0));
            room = cap - count;
            first += count;
        }
    }
    return LCM_OK;
}

lcm_status lcm_wrap_make(lcm_ctx *ctx, lcm_wrap *out, const int64_t *lengths, const int64_t *order, int64_t n_docs,
                         int64_t w, bool packing) {
    builder b = {0};
    lcm_status st;
    memset(out, 0, sizeof *out);
    if (w < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "chunks of %lld concepts", (long long)w);
    st = lcm_grow(ctx, &b.w.begin, &b.cap_begin, 1, sizeof *b.w.begin);
    if (st == LCM_OK) b.w.begin[0] = 0;
    if (st == LCM_OK) st = wrap_fill(ctx, &b, lengths, order, n_docs, w, packing);
    if (st) lcm_wrap_free(&b.w);
    else *out = b.w;
    return st;
}
