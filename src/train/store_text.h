/* The sentences of a concept store as token ids, in memory: what a loss through the decoder compares with. */
#ifndef LCM_TRAIN_STORE_TEXT_H
#define LCM_TRAIN_STORE_TEXT_H

#include "data/store.h"
#include "sonar/batch.h"
#include "token/tokenizer.h"

typedef struct lcm_store_pieces {
    lcm_ids ids;
    int64_t *off;    /* (concepts + 1) */
    int64_t n_long;  /* sentences of more than max_pieces, kept without pieces: unknown */
    lcm_ids end;     /* pieces of the end of text; none when there is none */
} lcm_store_pieces;

/* Memory: 4 bytes per token, 8 per sentence. end_of_text "": none. *out is empty on failure. */
lcm_status lcm_store_pieces_read(lcm_ctx *ctx, lcm_store_pieces *out, const lcm_store *store, const lcm_tokenizer *tok,
                                 const char *end_of_text, int64_t max_pieces);
void lcm_store_pieces_free(lcm_store_pieces *p); /* leaves it empty */

static inline lcm_pieces lcm_store_pieces_of(const lcm_store_pieces *p, int64_t concept) {
    return (lcm_pieces){p->ids.data + p->off[concept], p->off[concept + 1] - p->off[concept]};
}

#endif
