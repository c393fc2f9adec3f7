/* SONAR's attention pooling: a small Transformer decoder whose only token, a query that is a parameter, reads the
 * encoder's states. Its output through a linear map is the concept, which may have another width than the encoder.
 *
 *   y = sqrt(E) query + P[0],  P[0] = 0 … 0 1 … 1
 *   y = norm(y + O(V(y)));  y = norm(y + attention(y; states));  y = norm(y + W2 relu(W1 y))    per layer
 *   e = W y + b
 *
 * The norms come last, unlike everywhere else in SONAR. A single query attends to itself alone, and softmax over one key is 1:
 * of self-attention the values and the output projection are left, the query and key projections never matter and
 * are not kept. (reference code: AttentionEncoderOutputPooler) */
#ifndef LCM_SONAR_POOLER_H
#define LCM_SONAR_POOLER_H

#include "nn/layers.h"

typedef struct lcm_pooler_sizes {
    int64_t states; /* D: width of what is read */
    int64_t dim;    /* E: width of the pooler and size of the concept */
    int64_t layers, heads, ffn_inner_dim;
} lcm_pooler_sizes;

typedef struct lcm_pooler_layer {
    lcm_mha self; /* v and o alone */
    lcm_mha cross;
    lcm_ffn ffn;
    lcm_norm self_norm, cross_norm, ffn_norm;
} lcm_pooler_layer;

typedef struct lcm_pooler {
    lcm_pooler_sizes sizes;
    lcm_tensor *query;        /* (1,E) */
    lcm_pooler_layer *layers; /* NULL: the model pools in another way */
    lcm_linear out;
} lcm_pooler;

/* Registers "pooler.…", the names of the reference. */
lcm_status lcm_pooler_new(lcm_ctx *ctx, lcm_pooler *out, lcm_params *p, lcm_pooler_sizes sizes);
void lcm_pooler_free(lcm_pooler *p);

/* states (T,D) in n segments off (n+1) -> (n,E) */
lcm_tensor *lcm_pooler_fwd(lcm_tape *t, const lcm_pooler *p, lcm_tensor *states, const int32_t *off, int64_t n, double dropout);

#endif
