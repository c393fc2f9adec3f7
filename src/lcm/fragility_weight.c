/* Weights by fragility. */
#include "lcm/fragility_weight.h"

#include <math.h>

const lcm_field lcm_fragility_weight_fields[] = {
    LCM_F_BOOL(lcm_fragility_weight, use, "weigh concepts by the fragility kept in the store (lcm eval fragility --write)"),
    LCM_F_REAL(lcm_fragility_weight, a, -1000, 0, "weight = sigmoid(a F + b)"),
    LCM_F_REAL(lcm_fragility_weight, b, -1000, 1000, "weight = sigmoid(a F + b)"),
    LCM_F_BOOL(lcm_fragility_weight, standardize, "F at mean 0 and deviation 1; false: as measured, -1 … 0"),
    LCM_F_END};

lcm_fragility_weight lcm_fragility_weight_default(void) {
    return (lcm_fragility_weight){.a = -4, .b = 3.5, .standardize = true};
}

void lcm_fragility_weigh(real *x, int64_t n, const lcm_fragility_weight *c) {
    double mean = 0, var = 0, scale = 1;
    for (int64_t i = 0; c->standardize && i < n; i++) mean += (double)x[i] / (double)n;
    for (int64_t i = 0; c->standardize && i < n; i++) var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    if (var > 0) scale = 1 / sqrt(var);
    for (int64_t i = 0; i < n; i++) x[i] = (real)(1 / (1 + exp(-(c->a * ((double)x[i] - mean) * scale + c->b))));
}
