/* Documents of a concept store as chunks to train on.
 *
 * Unsupervised: each document, ended by the end-of-text concept if there is one, cut every max_len
 * concepts. Supervised: each pair with its affixes (sonar/affixes.h) is one chunk; source and target
 * are never parted, and a pair of more than max_len concepts is left out, as the reference code's
 * loader leaves out rows over its limit. What is left out is counted. */
#ifndef LCM_TRAIN_CHUNKS_H
#define LCM_TRAIN_CHUNKS_H

#include "data/store.h"
#include "sonar/affixes.h"
#include "train/store_text.h"

typedef struct lcm_chunks_opts {
    int64_t max_len, min_len; /* concepts, affixes included */
    bool supervised;
} lcm_chunks_opts;

typedef struct lcm_chunks {
    const lcm_store *store;
    const lcm_affixes *affixes;
    bool supervised;
    const real *weights;         /* of the store's concepts, set by the owner; NULL = 1 each */
    const lcm_store_pieces *text; /* their sentences, set by the owner; or NULL */
    int64_t *lengths;            /* (n) concepts */
    int64_t *doc, *first;        /* (n) document, and first concept within it (its affixes counted) */
    int32_t *source;             /* (n) leading concepts that are given; 0 without supervision */
    int64_t n, n_short, n_long;  /* chunks; left out */
} lcm_chunks;

/* Store and affixes are borrowed; the affixes' vectors are of the store's width. LCM_ERR_ARG: supervised, but
 * the documents of the store are no pairs. */
lcm_status lcm_chunks_make(lcm_ctx *ctx, lcm_chunks *out, const lcm_store *store, const lcm_affixes *affixes,
                           const lcm_chunks_opts *opts);
void lcm_chunks_free(lcm_chunks *c); /* leaves it empty */

/* Concepts of chunk i to dst (lengths[i], D). */
lcm_status lcm_chunks_read(lcm_ctx *ctx, real *dst, const lcm_chunks *c, int64_t i);

/* Their weights to dst (lengths[i]); 1 for what is not in the store. */
lcm_status lcm_chunks_weigh(lcm_ctx *ctx, real *dst, const lcm_chunks *c, int64_t i);

/* Their sentences to dst (lengths[i]); unknown ones, of the sentences around source and target, have no pieces. */
lcm_status lcm_chunks_text(lcm_ctx *ctx, lcm_pieces *dst, const lcm_chunks *c, int64_t i);

#endif
