/* Multi-head attention over packed segments: no padding anywhere.
 *
 * q, o: (Tq, H*K)   k, v: (Tk, G*K)   row strides ldq (q, o) and ldk (k, v)
 * G key heads, each read by H/G query heads in a row (grouped heads); usually G = H.
 * Segment s owns query rows q_off[s] … q_off[s+1]-1 and key rows k_off[s] … k_off[s+1]-1.
 * Query row i sees the first limit[i] keys of its segment; limit NULL = all of them. This one
 * rule expresses full, causal (limit = i+1), shifted-causal and dropped-context masks.
 * With `own` it sees key own[i] of its segment, too: a row that stands behind a context which does not
 * contain it. own[i] >= limit[i], or -1 for none; own needs limit.
 * A row without any key gives zeros, forward and backward.
 *
 *   o_i = sum_j p_ij v_j,   p_i = softmax_j(q_i.k_j / sqrt(K))   head h = columns hK … hK+K-1 of q,
 *                                                                hG/H of k and v
 * lse: (Tq, H) log of the softmax denominator, saved for backward, which recomputes p. */
#ifndef LCM_ATTENTION_H
#define LCM_ATTENTION_H

#include "kernels/real.h"

typedef struct lcm_attn_shape {
    int64_t n_seg, H, K, ldq, ldk;
    const int32_t *q_off, *k_off, *limit;
    int64_t G; /* key heads, a divisor of H; 0 = H */
    const int32_t *own; /* or NULL */
} lcm_attn_shape;

/* scratch: at least threads * longest key segment values */
void lcm_k_attention_fwd(real *o, real *lse, const real *q, const real *k, const real *v, const lcm_attn_shape *s,
                         real *scratch, int64_t scratch_stride);

/* Accumulates into dq, dk, dv (same layout as q, k, v); each may be NULL. */
void lcm_k_attention_bwd(real *dq, real *dk, real *dv, const real *dout, const real *o, const real *lse, const real *q,
                         const real *k, const real *v, const lcm_attn_shape *s);

int64_t lcm_k_attention_longest(const lcm_attn_shape *s); /* longest key segment */

/* Rotary positions, interleaved pairs (2i, 2i+1): x (R, H*K) row stride ld, pos (R).
 * angle_i = pos * theta^(-2i/K); `sign` +1 rotates, -1 rotates back (= backward). In place. */
void lcm_k_rope(real *x, const int32_t *pos, int64_t R, int64_t H, int64_t K, int64_t ld, double theta, int sign);

/* Rotary positions by halves, pairs (i, i + K/2), as Hugging Face's Llama. The angles of a row serve every
 * head and layer, so they are computed once: cs (R, K) holds K/2 cosines, then K/2 sines per row. */
void lcm_k_rotary_angles(real *cs, const int32_t *pos, int64_t R, int64_t K, double theta);
void lcm_k_rotate(real *x, const real *cs, int64_t R, int64_t H, int64_t K, int64_t ld, int sign);

#endif
