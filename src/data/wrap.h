/* Cutting documents into chunks of at most W concepts (arXiv 2412.08821 trains on documents
 * wrapped at 128; the reference code's len_to_wrap_long_seq and packing). */
#ifndef LCM_DATA_WRAP_H
#define LCM_DATA_WRAP_H

#include <stdbool.h>

#include "base/ctx_int.h"

typedef struct lcm_wrap_piece {
    int64_t doc, first, count; /* concepts first … first+count-1 of a document */
} lcm_wrap_piece;

/* Chunk c is pieces[begin[c]] … pieces[begin[c + 1] - 1]; without packing one piece each. */
typedef struct lcm_wrap {
    lcm_wrap_piece *pieces;
    int64_t *begin; /* n_chunks + 1 */
    int64_t n_pieces, n_chunks;
} lcm_wrap;

/* Documents are taken in `order` (n_docs numbers; NULL = 0, 1, …). Without packing each is cut
 * every W concepts, the last chunk being shorter; with packing they are joined end to end and
 * the whole is cut every W. W = 0: no cut, one chunk per document (packing is then ignored).
 * Documents without concepts give no chunk. Every concept is in exactly one piece.
 * LCM_ERR_ARG for a negative length or W, or an order that leaves 0 … n_docs-1. */
lcm_status lcm_wrap_make(lcm_ctx *ctx, lcm_wrap *out, const int64_t *lengths, const int64_t *order, int64_t n_docs,
                         int64_t w, bool packing);
void lcm_wrap_free(lcm_wrap *p); /* leaves it empty */

#endif
