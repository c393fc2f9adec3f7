/* Quantised concepts. */
#include "quant/rvq_map.h"

#include <math.h>
#include <string.h>

#include "kernels/simd.h"

static int64_t draw_length(const lcm_rvq_map *m, uint64_t seed, uint64_t step, int64_t row) {
    int64_t K = m->file->rvq.config.codebooks, from = lcm_max_i(1, (int64_t)ceil(m->cut_from * (double)K));
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_GUIDANCE + (step << 8) + ((uint64_t)row << 40));
    if (lcm_rng_uniform(&rng) >= m->cut_prob) return K;
    return from + (int64_t)lcm_rng_below(&rng, (uint64_t)(K - from + 1));
}

static lcm_status run(lcm_ctx *ctx, const lcm_concept_map *self, lcm_tape *t, real *z, int64_t n, uint64_t seed, uint64_t step) {
    const lcm_rvq_map *m = (const lcm_rvq_map *)self;
    const lcm_rvq *q = &m->file->rvq;
    int64_t D = q->config.dim, *length = lcm_tape_alloc(t, (size_t)n * sizeof *length);
    real *left = lcm_tape_alloc(t, (size_t)(n * D) * sizeof *left);
    real *scratch = lcm_tape_alloc(t, (size_t)lcm_rvq_scratch(q) * sizeof *scratch);
    int32_t *unit = lcm_tape_alloc(t, (size_t)n * sizeof *unit);
    (void)ctx;
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < n; i++) length[i] = draw_length(m, seed, step, i);
    lcm_normalize(m->file->normalizer, left, z, n, NULL);
    memset(z, 0, (size_t)(n * D) * sizeof *z);
    for (int64_t k = 0; k < q->config.codebooks; k++) {
        lcm_rvq_step(unit, left, q, k, n, scratch);
        for (int64_t i = 0; i < n; i++)
            if (k >= length[i]) unit[i] = -1;
        lcm_rvq_add(z, q, k, unit, n);
    }
    lcm_denormalize(m->file->normalizer, z, z, n, NULL);
    return LCM_OK;
}

lcm_rvq_map lcm_rvq_map_make(const lcm_rvq_file *file, double cut_prob, double cut_from) {
    return (lcm_rvq_map){{run}, file, cut_prob, cut_from};
}
