/* The denoiser of the two-tower model: a Transformer without attention between target positions,
 * conditioned on the noise level by AdaLN (Peebles & Xie 2023) and on the context by cross-attention.
 *
 *   x = Lin_initial(noisy);   e = fc2(silu(fc1(features(t))))
 *   per layer, with (b_SA, s_SA, g_SA, b_CA, …, g_FF) = Lin_mod(silu(e)), nine blocks of M:
 *     x += g_SA Drop(Self (N1(x)(1 + s_SA) + b_SA))
 *     x += g_CA Drop(Cross(N2(x)(1 + s_CA) + b_CA; [0, context]))
 *     x += g_FF Drop(FFN  (N3(x)(1 + s_FF) + b_FF))
 *   out = Lin_final(Drop(N(x)))
 *
 * Gates multiply as they are (not 1 + g); with the zero initial modulator every block is the identity.
 * Self-attention sees its own position only, so it is output_proj(v_proj(.)): its query and key
 * weights get no gradient and exist for the file format alone.
 * The first key is the zero vector before projection, so key = b_k and value = b_v: the whole
 * context of an unconditional row. Source: reference code of arXiv 2412.08821 (§2.3.3 there). */
#ifndef LCM_LCM_DENOISER_H
#define LCM_LCM_DENOISER_H

#include "lcm/level_embed.h"
#include "lcm/transformer.h"

typedef struct lcm_denoiser_config {
    lcm_transformer_config transformer; /* its fields stand in the denoiser's own JSON object */
    lcm_projection_config pre_denoiser, post_denoiser;
    int64_t timestep_embed_dim; /* must be model_dim */
} lcm_denoiser_config;

extern const lcm_field lcm_denoiser_fields[];
lcm_denoiser_config lcm_denoiser_config_default(void);
/* LCM_ERR_SHAPE for sizes; LCM_ERR_UNSUPPORTED for positions or norm orders that only the context encoder
 * has. */
lcm_status lcm_denoiser_config_check(lcm_ctx *ctx, const lcm_denoiser_config *c, int64_t model_dim,
                                     const char *where);

typedef struct lcm_denoiser_layer {
    lcm_norm self_norm, cross_norm, ffn_norm;
    lcm_mha self, cross;
    lcm_ffn ffn;
    lcm_linear modulator; /* (9M, M) */
} lcm_denoiser_layer;

typedef struct lcm_denoiser {
    lcm_denoiser_config config;
    int64_t M;
    lcm_level_embed embed_time;
    lcm_projection initial, final;
    lcm_denoiser_layer *layers;
    lcm_norm norm;
} lcm_denoiser;

/* NAME.embed_time.fc1 … NAME.layers.{i}.… */
lcm_status lcm_denoiser_new(lcm_ctx *ctx, lcm_denoiser *out, lcm_params *p, const lcm_denoiser_config *c,
                            int64_t D, int64_t M, const char *name);
void lcm_denoiser_free(lcm_denoiser *d);

/* Modulators depend on the level only, so they are computed once per distinct level and copied to rows. */
typedef struct lcm_levels {
    lcm_tensor *e;      /* (U,M): silu of the level embedding, one row per distinct level */
    const int32_t *row; /* (R) which of them; NULL = row r has its own */
} lcm_levels;

/* levels (n) -> silu(embedding), (n,M) */
lcm_tensor *lcm_denoiser_embed_levels(lcm_tape *t, const lcm_denoiser *d, const int64_t *levels, int64_t n);
/* The same for rows at levels t (R) below N. e is NULL on failure. */
lcm_levels lcm_denoiser_levels(lcm_tape *t, const lcm_denoiser *d, const int64_t *level, int64_t R,
                               int64_t N);

/* One layer: x (R,M), keys kv (Tk,M), cross-attention as spec says. */
lcm_tensor *lcm_denoiser_layer_fwd(lcm_tape *t, const lcm_denoiser *d, int64_t i, lcm_tensor *x,
                                   const lcm_levels *lv, lcm_tensor *kv, const lcm_attn_spec *spec);

/* noisy (R,D) -> (R,D) */
lcm_tensor *lcm_denoiser_fwd(lcm_tape *t, const lcm_denoiser *d, lcm_tensor *noisy, const lcm_levels *lv,
                             lcm_tensor *kv, const lcm_attn_spec *spec);

/* First columns of the nine modulators of a layer. */
typedef enum lcm_sublayer { LCM_SUB_SELF = 0, LCM_SUB_CROSS, LCM_SUB_FFN } lcm_sublayer;
static inline int64_t lcm_mod_shift(lcm_sublayer s, int64_t M) { return 3 * (int64_t)s * M; }
static inline int64_t lcm_mod_scale(lcm_sublayer s, int64_t M) { return (3 * (int64_t)s + 1) * M; }
static inline int64_t lcm_mod_gate(lcm_sublayer s, int64_t M) { return (3 * (int64_t)s + 2) * M; }

#endif
