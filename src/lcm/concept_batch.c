/* Packed batches of concepts. */
#include "lcm/concept_batch.h"

lcm_status lcm_concept_batch_check(lcm_ctx *ctx, const lcm_concept_batch *b, int64_t max_seq_len) {
    if (b->n_docs < 1 || b->off[0] != 0) LCM_FAIL(ctx, LCM_ERR_ARG, "batch without documents");
    for (int64_t d = 0; d < b->n_docs; d++) {
        int64_t len = (int64_t)b->off[d + 1] - b->off[d];
        if (len < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "document %lld of the batch is empty", (long long)d);
        if (len > max_seq_len)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "document %lld of the batch: %lld concepts, max_seq_len is %lld",
                     (long long)d, (long long)len, (long long)max_seq_len);
        if (b->source_len && (b->source_len[d] < 0 || b->source_len[d] > len))
            LCM_FAIL(ctx, LCM_ERR_ARG, "document %lld of the batch: source of %d concepts, document of %lld",
                     (long long)d, b->source_len[d], (long long)len);
    }
    return LCM_OK;
}

void lcm_concept_batch_weigh(real *w, const lcm_concept_batch *b) {
    if (b->weight == NULL) return;
    for (int64_t d = 0; d < b->n_docs; d++)
        for (int32_t i = b->off[d] + (b->source_len ? b->source_len[d] : 0); i < b->off[d + 1]; i++) *w++ *= b->weight[i];
}

lcm_packed lcm_packed_make(lcm_tape *t, int64_t n, const int32_t *off) {
    lcm_packed p = {.n = n, .T = off[n], .off = off};
    int32_t *pos = lcm_tape_alloc(t, (size_t)p.T * 2 * sizeof *pos);
    if (pos == NULL) return p;
    for (int64_t d = 0; d < n; d++)
        for (int32_t i = off[d]; i < off[d + 1]; i++) {
            pos[i] = i - off[d];
            pos[p.T + i] = i - off[d] + 1;
        }
    p.pos = pos;
    p.limit = pos + p.T;
    return p;
}
