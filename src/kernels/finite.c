/* Values that are not finite. */
#include "kernels/finite.h"

#include "kernels/simd.h"

enum { CHUNK = 1 << 14 };

/* x - x is 0, or NaN for what is not finite. */
LCM_CLONES static real spoil(const real *x, int64_t n) {
    real sum = 0;
    LCM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++) sum += x[i] - x[i];
    return sum;
}

int64_t lcm_k_find_nonfinite(const real *x, int64_t n) {
    int64_t chunks = (n + CHUNK - 1) / CHUNK, first = chunks;
    LCM_PRAGMA(omp parallel for schedule(static) reduction(min : first) if (chunks > 16))
    for (int64_t c = 0; c < chunks; c++)
        if (c < first && spoil(x + c * CHUNK, lcm_min_i(CHUNK, n - c * CHUNK)) != 0) first = c;
    for (int64_t i = first * CHUNK; i < n; i++)
        if (!isfinite(x[i])) return i;
    return -1;
}

LCM_CLONES static unsigned spoil_half(const uint16_t *x, int64_t n, uint16_t exponent) {
    unsigned bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (unsigned)((x[i] & exponent) == exponent);
    return bad;
}

int64_t lcm_k_find_nonfinite_half(const uint16_t *x, int64_t n, uint16_t exponent) {
    int64_t chunks = (n + CHUNK - 1) / CHUNK, first = chunks;
    LCM_PRAGMA(omp parallel for schedule(static) reduction(min : first) if (chunks > 16))
    for (int64_t c = 0; c < chunks; c++)
        if (c < first && spoil_half(x + c * CHUNK, lcm_min_i(CHUNK, n - c * CHUNK), exponent)) first = c;
    for (int64_t i = first * CHUNK; i < n; i++)
        if ((x[i] & exponent) == exponent) return i;
    return -1;
}
