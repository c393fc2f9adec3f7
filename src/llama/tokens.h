/* Token ids of smaLlama: those of the SentencePiece file, as Hugging Face counts them. */
#ifndef LCM_LLAMA_TOKENS_H
#define LCM_LLAMA_TOKENS_H

#include "token/tokenizer.h"

enum { LCM_LLAMA_UNK = 0, LCM_LLAMA_BOS = 1, LCM_LLAMA_EOS = 2 };

/* From the ids of token/tokenizer.h, which put a <pad> in front. */
static inline int32_t lcm_llama_token(int32_t id) { return id - 1; }

/* Appends the pieces of `text`, without <s> and </s>. Errors as lcm_tokenizer_encode. */
lcm_status lcm_llama_encode(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const char *text, size_t len);

/* Appends the text of ids; specials vanish, as do rows of the embedding that no piece belongs to. */
lcm_status lcm_llama_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const int32_t *ids, size_t n);

/* Piece of an id, with U+2581 for a space; NULL when there is none. Borrowed. */
const char *lcm_llama_piece(const lcm_tokenizer *tok, int32_t id);

#endif
