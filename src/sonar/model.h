/* SONAR text autoencoder (Duquenne et al., arXiv 2308.11466): parameters and full passes.
 *
 * Encoder: tokens -> pre-norm Transformer -> final norm -> pooling = the concept (one vector of E numbers, see lcm_sonar_dim).
 * Decoder: causal pre-norm Transformer whose cross-attention sees that single vector. Softmax
 * over one key is 1, so cross-attention is a constant c_l(e) = W_o(W_v e + b_v) + b_o per layer and
 * sentence; its query, key and norm weights never matter and are not kept.
 * Positions start at 2; embeddings are scaled by sqrt(D); the output projection is the
 * decoder's embedding. Sentences lie packed one after the other; nothing is padded. */
#ifndef LCM_SONAR_MODEL_H
#define LCM_SONAR_MODEL_H

#include "base/config.h"
#include "sonar/pooler.h"

/* How states become a concept: one of lcm_pool, or */
enum { LCM_SONAR_ATTENTION = LCM_POOL_LAST + 1 /* sonar/pooler.h */ };
extern const char *const lcm_sonar_pooling_names[];

typedef struct lcm_sonar_config {
    int64_t model_dim;       /* D: width */
    int64_t encoder_layers, decoder_layers;
    int64_t attn_heads;
    int64_t ffn_inner_dim;
    int64_t vocab_size;
    int64_t max_seq_len;     /* tokens of a decoder sequence; the encoder takes 2 more, as the reference */
    int64_t embedding_dim;   /* E: size of the concept; 0 = model_dim, the only size without attention pooling */
    int64_t input_dim;       /* width of the vector the decoder reads; 0 = that of the concept */
    int pooling;
    /* of attention pooling; 0 = attn_heads, ffn_inner_dim */
    int64_t pooler_layers, pooler_heads, pooler_ffn_inner_dim;
    bool share_embeddings;   /* one table for encoder and decoder (SONAR: two) */
    double dropout;
} lcm_sonar_config;

extern const lcm_field lcm_sonar_config_fields[];
lcm_sonar_config lcm_sonar_config_default(void);
/* Size of the vectors that the encoder gives and the decoder reads. */
int64_t lcm_sonar_dim(const lcm_sonar_config *c);
/* Consistency of sizes: LCM_ERR_SHAPE names the pair that does not fit. */
lcm_status lcm_sonar_config_check(lcm_ctx *ctx, const lcm_sonar_config *c);

typedef struct lcm_sonar_layer {
    lcm_norm attn_norm, ffn_norm;
    lcm_mha attn;
    lcm_linear cross_v, cross_o; /* decoder only */
    lcm_ffn ffn;
} lcm_sonar_layer;

typedef struct lcm_sonar {
    lcm_sonar_config config;
    lcm_params params;
    lcm_tensor *enc_embed, *dec_embed; /* (V,D); the same tensor when shared */
    lcm_sonar_layer *enc, *dec;
    lcm_norm enc_norm, dec_norm;
    lcm_pooler pooler; /* of the encoder */
    real *positions; /* (max_seq_len + 2, D), row t = position t + 2 */
} lcm_sonar;

/* Builds the parameter set and allocates it (zero until loaded or initialised).
 * parts: 1 = encoder, 2 = decoder, 3 = both. */
enum { LCM_SONAR_ENCODER = 1, LCM_SONAR_DECODER = 2, LCM_SONAR_BOTH = 3 };
lcm_status lcm_sonar_new(lcm_ctx *ctx, lcm_sonar **out, const lcm_sonar_config *config, int parts, bool with_grad);
void lcm_sonar_free(lcm_sonar *m);
/* Names and shapes alone, without memory for values: what an importer asks for. */
lcm_status lcm_sonar_register(lcm_ctx *ctx, lcm_sonar **out, const lcm_sonar_config *config, int parts);

/* Parameters that the concepts depend on get no gradient: a table that the decoder shares, too, for training it would
 * move the space. */
void lcm_sonar_freeze_encoder(lcm_sonar *m);

/* A packed batch of token sequences; arrays are borrowed. */
typedef struct lcm_sonar_batch {
    int64_t n, T;         /* sentences, tokens in all */
    const int32_t *ids;   /* (T) */
    const int32_t *off;   /* (n+1) */
    const int32_t *pos;   /* (T) index within the sentence */
    const int32_t *seg;   /* (T) sentence of each token */
    const int32_t *limit; /* (T) pos + 1: the causal mask; decoder only */
} lcm_sonar_batch;

/* -> (n, E) concepts. */
lcm_tensor *lcm_sonar_encode_fwd(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b);
/* Encoder states after the final norm (T, D), before pooling. */
lcm_tensor *lcm_sonar_encoder_states(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b);
/* Teacher-forced states after the final norm, (T, D); concepts (n, E). */
lcm_tensor *lcm_sonar_decode_fwd(lcm_tape *t, const lcm_sonar *m, const lcm_sonar_batch *b, lcm_tensor *concepts);

#endif
