/* smaLlama: the token-level baseline (arXiv 2412.08821 §2.4.2), a Llama decoder (arXiv 2302.13971).
 *
 * Pre-norm Transformer: RMSNorm, rotary positions by halves, grouped key heads, SwiGLU, no biases; the
 * output projection is the embedding or a table of its own. Names of parameters and configuration keys
 * are Hugging Face's, and so are the token ids: those of the SentencePiece file, one less than token/tokenizer.h
 * counts. Documents lie packed one after the other; nothing is padded. */
#ifndef LCM_LLAMA_H
#define LCM_LLAMA_H

#include "base/config.h"
#include "nn/layers.h"

typedef struct lcm_llama_config {
    int64_t vocab_size, hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads;
    int64_t num_key_value_heads;     /* 0 = num_attention_heads */
    int64_t head_dim;                /* 0 = hidden_size / num_attention_heads */
    int64_t max_position_embeddings; /* tokens of a document, <s> included */
    double rms_norm_eps, rope_theta;
    bool tie_word_embeddings;
    double dropout; /* after embedding, attention and feed-forward; training only */
} lcm_llama_config;

extern const lcm_field lcm_llama_config_fields[];
lcm_llama_config lcm_llama_config_default(void);
/* Replaces zeros by what they stand for. LCM_ERR_SHAPE names the pair that does not fit. */
lcm_status lcm_llama_config_settle(lcm_ctx *ctx, lcm_llama_config *c);

typedef struct lcm_llama_layer {
    lcm_norm attn_norm, ffn_norm;
    lcm_linear q, k, v, o, gate, up, down;
} lcm_llama_layer;

typedef struct lcm_llama {
    lcm_llama_config config; /* settled */
    lcm_params params;
    lcm_tensor *embed, *head; /* (V,D); the same tensor when tied */
    lcm_llama_layer *layers;
    lcm_norm norm;
} lcm_llama;

/* Registers the parameters without memory for them; lcm_params_alloc gives it. */
lcm_status lcm_llama_register(lcm_ctx *ctx, lcm_llama **out, const lcm_llama_config *config);
/* The same with memory, zero until loaded or initialised. */
lcm_status lcm_llama_new(lcm_ctx *ctx, lcm_llama **out, const lcm_llama_config *config, bool with_grad);
void lcm_llama_free(lcm_llama *m); /* NULL is allowed */

/* Packed token sequences, each from position 0; arrays are borrowed. */
typedef struct lcm_llama_batch {
    int64_t n, T;         /* sequences, tokens in all */
    const int32_t *ids;   /* (T) */
    const int32_t *off;   /* (n+1) */
} lcm_llama_batch;

/* -> (T, D), after the final norm: row t predicts the token behind t with logits = row · head^T. */
lcm_tensor *lcm_llama_fwd(lcm_tape *t, const lcm_llama *m, const lcm_llama_batch *b);

#endif
