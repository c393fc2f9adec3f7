/* Incremental Llama: tokens go in, logits of the next one come out, keys and values are kept.
 *
 * A slot is one document; slots have lengths of their own and are fed together, so documents of different
 * lengths need no padding. Feeding a document in any portions gives what the full pass gives. */
#ifndef LCM_LLAMA_DECODER_H
#define LCM_LLAMA_DECODER_H

#include "llama/llama.h"

typedef struct lcm_llama_decoder lcm_llama_decoder;

/* Room for `slots` documents of `cap` tokens; later calls allocate nothing. The model is borrowed.
 * LCM_ERR_LIMIT when cap exceeds the model's max_position_embeddings, LCM_ERR_NOMEM. */
lcm_status lcm_llama_decoder_new(lcm_ctx *ctx, lcm_llama_decoder **out, const lcm_llama *m, int64_t slots, int64_t cap);
void lcm_llama_decoder_free(lcm_llama_decoder *d); /* NULL is allowed */

/* Appends ids off[i] … off[i+1]-1 (at least one, each below vocab_size) to document slot[i], for n
 * distinct slots with room for them. Returns logits (n, V) behind each document's last token, owned by d
 * and valid until the next call. */
real *lcm_llama_decoder_feed(lcm_llama_decoder *d, int64_t n, const int32_t *slot, const int32_t *off, const int32_t *ids);

int64_t lcm_llama_decoder_length(const lcm_llama_decoder *d, int32_t slot); /* tokens held */
void lcm_llama_decoder_cut(lcm_llama_decoder *d, int32_t slot, int64_t n);  /* keeps the first n */

#endif
