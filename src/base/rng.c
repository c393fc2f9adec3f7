/* Philox4x32-10. */
#include "base/rng.h"

#include <math.h>

lcm_rng lcm_rng_make(uint64_t seed, uint64_t stream) {
    lcm_rng r = {seed, stream, 0};
    return r;
}

void lcm_rng_block(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t lcm_rng_u32(lcm_rng *r) {
    uint32_t w[4];
    lcm_rng_block(w, r->seed, r->stream, r->index / 4);
    return w[r->index++ % 4];
}

double lcm_rng_uniform(lcm_rng *r) { return lcm_rng_u32(r) * 0x1p-32; }

/* Box-Muller, cosine branch; (0, 1] keeps the logarithm finite. */
static double normal_from(uint32_t u, uint32_t v) {
    return sqrt(-2.0 * log((u + 1.0) * 0x1p-32)) * cos(2.0 * M_PI * (v * 0x1p-32));
}

double lcm_rng_normal(lcm_rng *r) {
    uint32_t u = lcm_rng_u32(r);
    return normal_from(u, lcm_rng_u32(r));
}

void lcm_rng_normal_pair(double out[2], uint64_t seed, uint64_t stream, uint64_t block) {
    uint32_t w[4];
    lcm_rng_block(w, seed, stream, block);
    out[0] = normal_from(w[0], w[1]);
    out[1] = normal_from(w[2], w[3]);
}

uint64_t lcm_rng_below(lcm_rng *r, uint64_t n) {
    uint32_t limit = (uint32_t)(0x100000000u - 0x100000000u % n); /* 0 when n divides 2^32 */
    uint32_t x;
    do x = lcm_rng_u32(r);
    while (limit && x >= limit);
    return x % n;
}

void lcm_rng_shuffle(lcm_rng *r, int64_t *values, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)lcm_rng_below(r, (uint64_t)i + 1), t = values[i];
        values[i] = values[j];
        values[j] = t;
    }
}
