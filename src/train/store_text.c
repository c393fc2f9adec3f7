/* Token ids of a store's sentences. */
#include "train/store_text.h"

#include <stdlib.h>
#include <string.h>

static lcm_status read_all(lcm_ctx *ctx, lcm_store_pieces *p, const lcm_store *store, const lcm_tokenizer *tok, int64_t max_pieces) {
    int64_t n = lcm_store_n_concepts(store);
    LCM_TRY(lcm_calloc(ctx, &p->off, (size_t)n + 1, sizeof *p->off));
    for (int64_t i = 0; i < n; i++) {
        const char *text;
        size_t len;
        LCM_TRY(lcm_store_text(ctx, &text, &len, store, i));
        LCM_TRY(lcm_tokenizer_encode(ctx, &p->ids, tok, text, len));
        if ((int64_t)p->ids.len - p->off[i] > max_pieces) {
            p->ids.len = (size_t)p->off[i];
            p->n_long++;
        }
        p->off[i + 1] = (int64_t)p->ids.len;
    }
    return LCM_OK;
}

lcm_status lcm_store_pieces_read(lcm_ctx *ctx, lcm_store_pieces *out, const lcm_store *store, const lcm_tokenizer *tok,
                                 const char *end_of_text, int64_t max_pieces) {
    lcm_status st;
    memset(out, 0, sizeof *out);
    st = read_all(ctx, out, store, tok, max_pieces);
    if (st == LCM_OK) st = lcm_tokenizer_encode(ctx, &out->end, tok, end_of_text, strlen(end_of_text));
    if (st) lcm_store_pieces_free(out);
    return st;
}

void lcm_store_pieces_free(lcm_store_pieces *p) {
    lcm_ids_free(&p->ids);
    lcm_ids_free(&p->end);
    free(p->off);
    memset(p, 0, sizeof *p);
}
