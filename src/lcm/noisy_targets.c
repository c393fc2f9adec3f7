/* Levels, noise and dropped rows of a diffusion loss. */
#include "lcm/noisy_targets.h"

#include <string.h>

#include "kernels/simd.h"

static lcm_rng stream_at(const lcm_draws *d, uint64_t stream) {
    return lcm_rng_make(d->seed, stream + (d->step << 8));
}

/* Number i of the batch is number i of the stream, in whatever order threads get there. */
static void draw_noise(real *out, int64_t n, lcm_rng rng) {
    LCM_PARALLEL_FOR_IF(n > 4096)
    for (int64_t b = 0; b < (n + 1) / 2; b++) {
        double pair[2];
        lcm_rng_normal_pair(pair, rng.seed, rng.stream, (uint64_t)b);
        out[2 * b] = (real)pair[0];
        if (2 * b + 1 < n) out[2 * b + 1] = (real)pair[1];
    }
}

/* Marks floor((S-1) p) of the rows 1 … S-1 in rows (S). */
static void draw_compat_rows(uint8_t *rows, int64_t *order, int64_t S, double p, lcm_rng *rng) {
    int64_t n = (int64_t)((double)(S - 1) * p);
    for (int64_t i = 0; i < S - 1; i++) order[i] = i;
    lcm_rng_shuffle(rng, order, S - 1);
    memset(rows, 0, (size_t)S);
    for (int64_t i = 0; i < n; i++) rows[1 + order[i]] = 1;
}

static void draw_dropped_compat(uint8_t *dropped, uint8_t *rows, int64_t *order, const lcm_concept_batch *b,
                                double p, lcm_rng *rng) {
    int64_t S = 0, r = 0;
    for (int64_t d = 0; d < b->n_docs; d++)
        S = lcm_max_i(S, b->off[d + 1] - b->off[d] - (b->source_len ? b->source_len[d] : 0));
    for (int64_t d = 0; d < b->n_docs; d++) {
        int64_t len = b->off[d + 1] - b->off[d] - (b->source_len ? b->source_len[d] : 0);
        if (S > 1 && (d == 0 || b->source_len)) draw_compat_rows(rows, order, S, p, rng);
        memcpy(dropped + r, rows, (size_t)len);
        r += len;
    }
}

const uint8_t *lcm_targets_dropped(lcm_tape *t, const lcm_concept_batch *b, int64_t R, const lcm_criterion_config *c,
                                   const lcm_draws *draws) {
    int64_t T = b->off[b->n_docs];
    lcm_rng rng = stream_at(draws, LCM_RNG_GUIDANCE);
    uint8_t *dropped, *rows;
    int64_t *order;
    if (draws->dropped || c->cf_guidance_probability == 0) return draws->dropped;
    dropped = lcm_tape_alloc(t, (size_t)R + 1);
    rows = lcm_tape_alloc(t, (size_t)T);
    order = lcm_tape_alloc(t, (size_t)T * sizeof *order);
    if (dropped == NULL || rows == NULL || order == NULL) return NULL;
    memset(rows, 0, (size_t)T);
    if (c->compat_guidance_rows)
        draw_dropped_compat(dropped, rows, order, b, c->cf_guidance_probability, &rng);
    else
        for (int64_t r = 0; r < R; r++) dropped[r] = lcm_rng_uniform(&rng) < c->cf_guidance_probability;
    return dropped;
}

const real *lcm_targets_rows(lcm_tape *t, const real *z, const lcm_concept_batch *b, int64_t R, int64_t D) {
    real *y, *next;
    if (b->source_len == NULL) return z;
    y = next = lcm_tape_alloc(t, (size_t)(R * D) * sizeof *y);
    for (int64_t d = 0; y && d < b->n_docs; d++) {
        int64_t from = b->off[d] + b->source_len[d], n = b->off[d + 1] - from;
        memcpy(next, z + from * D, (size_t)(n * D) * sizeof *next);
        next += n * D;
    }
    return y;
}

static const int64_t *draw_levels(lcm_tape *t, int64_t R, const lcm_criterion *c, const lcm_draws *draws) {
    int64_t *level;
    lcm_rng rng = stream_at(draws, LCM_RNG_STEP);
    if (draws->t) return draws->t;
    level = lcm_tape_alloc(t, (size_t)R * sizeof *level);
    if (level) lcm_step_sampler_draw(c->steps, level, R, &rng);
    return level;
}

static const real *draw_all_noise(lcm_tape *t, int64_t n, const lcm_draws *draws) {
    real *noise;
    if (draws->noise) return draws->noise;
    noise = lcm_tape_alloc(t, (size_t)n * sizeof *noise);
    if (noise) draw_noise(noise, n, stream_at(draws, LCM_RNG_NOISE));
    return noise;
}

static lcm_status check_levels(lcm_ctx *ctx, const int64_t *level, int64_t R, int64_t N) {
    for (int64_t r = 0; r < R; r++)
        if (level[r] < 0 || level[r] >= N)
            LCM_FAIL(ctx, LCM_ERR_ARG, "noise level %lld of row %lld, the schedule has 0 to %lld",
                     (long long)level[r], (long long)r, (long long)(N - 1));
    return LCM_OK;
}

int64_t lcm_targets_count(const lcm_concept_batch *b) {
    int64_t R = b->off[b->n_docs];
    for (int64_t d = 0; b->source_len && d < b->n_docs; d++) R -= b->source_len[d];
    return R;
}

lcm_status lcm_noisy_targets_make(lcm_ctx *ctx, lcm_noisy_targets *out, lcm_tape *t, const lcm_model *m,
                                  const real *z, const lcm_concept_batch *b, const lcm_criterion *c,
                                  const lcm_draws *draws) {
    int64_t D = m->embed_dim, R = lcm_targets_count(b);
    const real *clean, *noise;
    real *rows;
    if (R == 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "batch of %lld documents without a target concept", (long long)b->n_docs);
    clean = lcm_targets_rows(t, z, b, R, D);
    out->R = R;
    out->dropped = lcm_targets_dropped(t, b, R, &c->config, draws);
    out->level = draw_levels(t, R, c, draws);
    noise = draw_all_noise(t, R * D, draws);
    rows = lcm_tape_alloc(t, (size_t)(2 * R * D + R) * sizeof *rows);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(check_levels(ctx, out->level, R, m->schedule->config.train_steps));
    lcm_add_noise(m->schedule, rows, clean, noise, out->level, R, D);
    lcm_diffusion_target(m->schedule, rows + R * D, clean, noise, out->level, R, D);
    lcm_step_sampler_weights(c->steps, rows + 2 * R * D, out->level, R);
    lcm_concept_batch_weigh(rows + 2 * R * D, b);
    out->noisy = rows;
    out->target = rows + R * D;
    out->w = rows + 2 * R * D;
    return LCM_OK;
}
