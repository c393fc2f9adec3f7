/* Ids of smaLlama. */
#include "llama/tokens.h"

#include <stdlib.h>

lcm_status lcm_llama_encode(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const char *text, size_t len) {
    size_t first = out->len;
    LCM_TRY(lcm_tokenizer_encode(ctx, out, tok, text, len));
    for (size_t i = first; i < out->len; i++) out->data[i] = lcm_llama_token(out->data[i]);
    return LCM_OK;
}

const char *lcm_llama_piece(const lcm_tokenizer *tok, int32_t id) {
    return id >= 0 && id < lcm_tokenizer_pieces(tok) ? lcm_tokenizer_piece(tok, id + 1) : NULL;
}

lcm_status lcm_llama_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const int32_t *ids, size_t n) {
    int32_t *own;
    size_t kept = 0;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &own, n + 1, sizeof *own));
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < lcm_tokenizer_pieces(tok)) own[kept++] = ids[i] + 1;
    st = lcm_tokenizer_decode(ctx, out, tok, own, kept);
    free(own);
    return st;
}
