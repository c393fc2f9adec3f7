/* Weights of concepts by their fragility F (eval/fragility.h), arXiv 2412.08821 eq. 19, 24, 25:
 *
 *   w = sigmoid(a F + b), a < 0
 *
 * so that sentences that do not survive noise count less. F as the paper defines it lies in -1 … 0, where the
 * paper's a = -4 and b = 3.5 give .97 … .9994: no weighting to speak of, unlike its figure 12, which spreads over
 * 0 … 1. So F is first brought to mean 0 and deviation 1 over the store (`standardize`; false: the formula as
 * printed). */
#ifndef LCM_LCM_FRAGILITY_WEIGHT_H
#define LCM_LCM_FRAGILITY_WEIGHT_H

#include <stdbool.h>

#include "base/config.h"
#include "kernels/real.h"

typedef struct lcm_fragility_weight {
    bool use;
    double a, b;
    bool standardize;
} lcm_fragility_weight;

extern const lcm_field lcm_fragility_weight_fields[];
lcm_fragility_weight lcm_fragility_weight_default(void); /* off, -4, 3.5, true */

/* In place: x (n) fragilities become weights in 0 … 1. All F equal: standardised F is 0. */
void lcm_fragility_weigh(real *x, int64_t n, const lcm_fragility_weight *c);

#endif
