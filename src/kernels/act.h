/* Pointwise activations and small elementwise kernels over n values. Backward accumulates. */
#ifndef LCM_ACT_H
#define LCM_ACT_H

#include "kernels/real.h"

typedef enum lcm_act {
    LCM_ACT_NONE = 0,
    LCM_ACT_RELU,
    LCM_ACT_SILU,
    LCM_ACT_GELU, /* exact, with erf */
    LCM_ACT_TANH,
    LCM_ACT_SIGMOID
} lcm_act;

extern const char *const lcm_act_names[]; /* NULL-terminated, for config tables */

void lcm_k_act_fwd(real *y, const real *x, int64_t n, lcm_act act);
void lcm_k_act_bwd(real *dx, const real *dy, const real *x, int64_t n, lcm_act act);

void lcm_k_add(real *y, const real *a, const real *b, int64_t n);         /* y = a + b */
void lcm_k_acc(real *y, const real *x, real s, int64_t n);                /* y += s x */
void lcm_k_mul(real *y, const real *a, const real *b, int64_t n);         /* y = a b */
void lcm_k_mul_acc(real *y, const real *a, const real *b, int64_t n);     /* y += a b */

/* AdaLN (Peebles & Xie 2023): m (R,M) holds, from the given columns on, C values each.
 * modulate: y = x (1 + scale) + shift      gate: y = x + g f */
void lcm_k_modulate_fwd(real *y, const real *x, const real *m, int64_t R, int64_t C, int64_t M, int64_t shift, int64_t scale);
void lcm_k_modulate_bwd(real *dx, real *dm, const real *dy, const real *x, const real *m, int64_t R, int64_t C,
                        int64_t M, int64_t shift, int64_t scale);
void lcm_k_gate_fwd(real *y, const real *x, const real *f, const real *m, int64_t R, int64_t C, int64_t M, int64_t gate);
void lcm_k_gate_bwd(real *dx, real *df, real *dm, const real *dy, const real *f, const real *m, int64_t R, int64_t C,
                    int64_t M, int64_t gate);

#endif
