/* SONAR ready for inference: weights of any storage type, no gradients, no tape.
 *
 * Read from a file, matrices stay where the map has them: opening costs the vectors, two checks, and no copy.
 * A model in training can be looked at the same way. Immutable, so threads may share it. */
#ifndef LCM_SONAR_NET_H
#define LCM_SONAR_NET_H

#include "modelfile/safetensors.h"
#include "nn/matrix.h"
#include "sonar/model.h"

typedef struct lcm_net_layer {
    lcm_norm attn_norm, ffn_norm;
    lcm_matrix q, k, v, o, cross_v, cross_o, inner, outer; /* cross: decoder only */
} lcm_net_layer;

typedef struct lcm_net_pooler_layer {
    lcm_norm self_norm, cross_norm, ffn_norm;
    lcm_matrix self_v, self_o, q, k, v, o, inner, outer; /* q … o: cross-attention */
} lcm_net_pooler_layer;

typedef struct lcm_net_pooler {
    lcm_pooler_sizes sizes;
    lcm_matrix query, out;
    lcm_net_pooler_layer *layers; /* NULL: another pooling */
} lcm_net_pooler;

typedef struct lcm_sonar_net {
    lcm_sonar_config config;
    int parts;
    lcm_matrix enc_embed, dec_embed;
    lcm_net_layer *enc, *dec;
    lcm_norm enc_norm, dec_norm;
    lcm_net_pooler pooler;
    real *positions;      /* as lcm_sonar's */
    int64_t parameters;
    lcm_matrix_type type; /* the one that asks most of lcm_feed_reserve */
    size_t bytes;         /* of weights, mapped ones included */
    lcm_sonar *outline;   /* owned; NULL: a view of somebody's model */
    lcm_arena *own;       /* numbers that could not stay in the file */
    lcm_st *st;
} lcm_sonar_net;

/* A view of m, which must outlive it. */
lcm_status lcm_sonar_net_view(lcm_ctx *ctx, lcm_sonar_net **out, const lcm_sonar *m);

/* Takes the open file over, also on failure. LCM_ERR_NOTFOUND, LCM_ERR_SHAPE, LCM_ERR_NUMERIC name the tensor;
 * LCM_ERR_NOMEM: the weights are larger than the memory that is left, said before they are touched. */
lcm_status lcm_sonar_net_load(lcm_ctx *ctx, lcm_sonar_net **out, lcm_st *st, const lcm_sonar_config *config, int parts);
void lcm_sonar_net_free(lcm_sonar_net *n); /* NULL is allowed */

/* Name of the scales of int8 tensor `name`: NAME.scale. */
void lcm_sonar_scale_name(char dst[LCM_PARAM_NAME + 8], const char *name);

#endif
