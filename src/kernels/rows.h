/* Kernels that move or combine whole rows. Backward accumulates; where several rows may hit one
 * target, columns are split between threads, so results do not depend on the thread count. */
#ifndef LCM_ROWS_H
#define LCM_ROWS_H

#include "kernels/real.h"

/* y_i = x_idx[i], zeros where idx[i] < 0.  x (N,C), y (R,C) */
void lcm_k_gather_fwd(real *y, const real *x, const int32_t *idx, int64_t R, int64_t C);
/* dx_idx[i] += s dy_i */
void lcm_k_gather_bwd(real *dx, const real *dy, const int32_t *idx, real s, int64_t R, int64_t C);

/* Token front end: y_t = s E_id[t] + P_pos[t].  E (V,C), P (n_pos,C) or NULL */
void lcm_k_embed_fwd(real *y, const real *E, const int32_t *id, real s, const real *P, const int32_t *pos, int64_t T, int64_t C);

/* y_t = x_t + c_idx[t]; backward of c is lcm_k_gather_bwd with s = 1 */
void lcm_k_add_rows_fwd(real *y, const real *x, const real *c, const int32_t *idx, int64_t R, int64_t C);

typedef enum lcm_pool { LCM_POOL_MEAN = 0, LCM_POOL_MAX, LCM_POOL_LAST } lcm_pool;

/* Pools rows off[s] … off[s+1]-1 of x (R,C) to y (n,C). arg (n,C) receives the row of the
 * maximum (max only, may be NULL). An empty segment gives zeros. */
void lcm_k_pool_fwd(real *y, int32_t *arg, const real *x, const int32_t *off, int64_t n, int64_t C, lcm_pool kind);
void lcm_k_pool_bwd(real *dx, const int32_t *arg, const real *dy, const int32_t *off, int64_t n, int64_t C, lcm_pool kind);

/* Squared error per row. p, t: (R,C); w (R) row weights or NULL = 1.
 *   d_r = sum_c (p - t)^2 in double;  l_r = rmse ? sqrt(d_r + 1e-5) : d_r;  returns sum_r w_r l_r
 * dp (R,C), when not NULL, receives the gradient (overwritten). loss (R) may be NULL. */
double lcm_k_sq_err(real *dp, real *loss, const real *p, const real *t, const real *w, int64_t R, int64_t C, int rmse);

#endif
