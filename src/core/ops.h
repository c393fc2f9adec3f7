/* Differentiable ops. Every function returns a new tensor in the tape's arena, or NULL after a
 * failure (also when given a NULL tensor where one is required). Contracts state shapes;
 * the formulas stand with the kernels. Index arrays are borrowed until the tape is reset. */
#ifndef LCM_OPS_H
#define LCM_OPS_H

#include "core/tape.h"

/* (R,I) -> (R,O) = x w^T + b;  w (O,I), b (1,O) or NULL */
lcm_tensor *lcm_op_linear(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b);

/* (V,C) -> (T,C) = scale * E[id] + P[pos];  P (n_pos,C) constant or NULL */
lcm_tensor *lcm_op_embed(lcm_tape *t, lcm_tensor *E, const int32_t *id, int64_t T, real scale, const real *P,
                         const int32_t *pos);

/* LayerNorm or RMSNorm; w, b (1,C) or NULL; eps LCM_NORM_EPS, or as given */
lcm_tensor *lcm_op_norm(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b, bool rms);
lcm_tensor *lcm_op_norm_eps(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b, bool rms, double eps);

lcm_tensor *lcm_op_act(lcm_tape *t, lcm_tensor *x, lcm_act act);
lcm_tensor *lcm_op_add(lcm_tape *t, lcm_tensor *a, lcm_tensor *b);
lcm_tensor *lcm_op_mul(lcm_tape *t, lcm_tensor *a, lcm_tensor *b);
lcm_tensor *lcm_op_scale(lcm_tape *t, lcm_tensor *x, real s);
/* y_rc = x_rc v_c;  v (1,C) */
lcm_tensor *lcm_op_mul_vec(lcm_tape *t, lcm_tensor *x, lcm_tensor *v);
/* y_rc = a_r x_rc + c_rc with constants a (R) and c (R,C), borrowed until reset */
lcm_tensor *lcm_op_affine_rows(lcm_tape *t, lcm_tensor *x, const real *a, const real *c);

/* Packed multi-head attention (kernels/attention.h): q (Tq,H*K), k and v (Tk,G*K), G a divisor of H */
typedef struct lcm_attn_spec {
    int64_t n_seg, H;
    const int32_t *q_off, *k_off; /* (n_seg+1) */
    const int32_t *limit;         /* (Tq) or NULL */
    const int32_t *own;           /* (Tq) or NULL */
} lcm_attn_spec;
lcm_tensor *lcm_op_attention(lcm_tape *t, lcm_tensor *q, lcm_tensor *k, lcm_tensor *v, const lcm_attn_spec *s);

/* Rotary positions, interleaved; pos (R) */
lcm_tensor *lcm_op_rope(lcm_tape *t, lcm_tensor *x, const int32_t *pos, int64_t H, double theta);
/* Rotary positions by halves; cs (R,K) of lcm_k_rotary_angles, borrowed until reset */
lcm_tensor *lcm_op_rotate(lcm_tape *t, lcm_tensor *x, const real *cs, int64_t H);

/* (N,C) -> (R,C): y_i = x_idx[i], zeros where idx < 0 */
lcm_tensor *lcm_op_gather(lcm_tape *t, lcm_tensor *x, const int32_t *idx, int64_t R);
/* y_r = x_r + c_idx[r];  c (n,C) */
lcm_tensor *lcm_op_add_rows(lcm_tape *t, lcm_tensor *x, lcm_tensor *c, const int32_t *idx);
/* (R,C) -> (n,C) over segments off (n+1) */
lcm_tensor *lcm_op_pool(lcm_tape *t, lcm_tensor *x, const int32_t *off, int64_t n, lcm_pool kind);
/* (R,A), (R,B) -> (R,A+B) */
lcm_tensor *lcm_op_concat_cols(lcm_tape *t, lcm_tensor *a, lcm_tensor *b);
/* Inverted dropout with probability p; identity when not training or p = 0 */
lcm_tensor *lcm_op_dropout(lcm_tape *t, lcm_tensor *x, double p);

/* AdaLN: m (R,M); shift, scale, gate are first columns of C values each */
lcm_tensor *lcm_op_modulate(lcm_tape *t, lcm_tensor *x, lcm_tensor *m, int64_t shift, int64_t scale);
lcm_tensor *lcm_op_gate(lcm_tape *t, lcm_tensor *x, lcm_tensor *f, lcm_tensor *m, int64_t gate);

/* Fused vocabulary cross-entropy -> (1,1), the weighted sum over rows (kernels/xent.h).
 * The scalar is kept in double beside the tensor: the sum of thousands of rows is a metric too.
 * hit (T) may be NULL. */
typedef struct lcm_loss {
    lcm_tensor *out; /* (1,1) */
    double sum;      /* the same in double */
    real *rows;      /* per-row values, before weights, in the arena */
} lcm_loss;
lcm_loss lcm_op_xent(lcm_tape *t, lcm_tensor *h, lcm_tensor *E, const int32_t *target, const real *w,
                     double smoothing, uint8_t *hit);
/* Weighted squared error against a constant (R,C) -> (1,1) (kernels/rows.h) */
lcm_loss lcm_op_sq_err(lcm_tape *t, lcm_tensor *p, const real *target, const real *w, bool rmse);

#endif
