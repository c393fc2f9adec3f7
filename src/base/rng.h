/* Random numbers as a pure function of (seed, stream, index): Philox4x32-10
 * (Salmon et al. 2011). No state to lock, any position is reachable in O(1), resume is exact. */
#ifndef LCM_RNG_H
#define LCM_RNG_H

#include <stdint.h>

typedef struct lcm_rng {
    uint64_t seed, stream, index; /* index = number of 32-bit words drawn */
} lcm_rng;

/* Streams keep independent uses apart; extend the list, never renumber. */
enum lcm_rng_stream {
    LCM_RNG_INIT = 1,
    LCM_RNG_ORDER,
    LCM_RNG_DROPOUT,
    LCM_RNG_NOISE,
    LCM_RNG_STEP,
    LCM_RNG_GUIDANCE,
    LCM_RNG_SAMPLE,
    LCM_RNG_TEST,
    LCM_RNG_DECODED,
    LCM_RNG_DRAW
};

lcm_rng lcm_rng_make(uint64_t seed, uint64_t stream);

/* Four words at block `block` of a stream, without moving anything. */
void lcm_rng_block(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block);

uint32_t lcm_rng_u32(lcm_rng *r);
double lcm_rng_uniform(lcm_rng *r);               /* [0, 1), 32 bits */
double lcm_rng_normal(lcm_rng *r);                /* N(0,1), two words per call (Box-Muller, cosine branch) */
/* The two numbers that lcm_rng_normal draws from the four words of one block, for half the work. */
void lcm_rng_normal_pair(double out[2], uint64_t seed, uint64_t stream, uint64_t block);
uint64_t lcm_rng_below(lcm_rng *r, uint64_t n);   /* 0 … n-1, unbiased; n ≥ 1, n ≤ 2^32 */

/* Fisher-Yates over n int64 values. */
void lcm_rng_shuffle(lcm_rng *r, int64_t *values, int64_t n);

#endif
