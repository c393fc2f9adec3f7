/* The autoencoder's training objective. */
#include "sonar/objective.h"

#include <math.h>
#include <string.h>

enum { ID_UNK = 1, ID_EOS = 3 };

const lcm_field lcm_sonar_objective_fields[] = {
    LCM_F_REAL(lcm_sonar_objective, token_noise_prob, 0, 1, "part of the sentences whose tokens are masked"),
    LCM_F_REAL(lcm_sonar_objective, token_noise_ratio, 0, 1, "part of their tokens that is masked"),
    LCM_F_REAL(lcm_sonar_objective, token_noise_span, 1, 100, "mean length of a masked span"),
    LCM_F_REAL(lcm_sonar_objective, latent_noise_prob, 0, 1, "part of the sentences whose concept is noised"),
    LCM_F_REAL(lcm_sonar_objective, latent_noise_max, 0, 0.99, "largest noise level a"),
    LCM_F_REAL(lcm_sonar_objective, latent_dropout, 0, 0.9, "part of the elements of a concept that is dropped"),
    LCM_F_REAL(lcm_sonar_objective, label_smoothing, 0, 0.9, "label smoothing"),
    LCM_F_BOOL(lcm_sonar_objective, freeze_encoder, "train the decoder alone"),
    LCM_F_END};

lcm_sonar_objective lcm_sonar_objective_default(void) {
    lcm_sonar_objective o = {.token_noise_ratio = 0.35, .token_noise_span = 3.5, .latent_noise_prob = 0.4,
                             .latent_noise_max = 0.3};
    return o;
}

static int64_t poisson(lcm_rng *r, double mean) {
    double limit = exp(-mean), p = 1;
    int64_t k = -1;
    do {
        k++;
        p *= lcm_rng_uniform(r);
    } while (p > limit && k < 1000);
    return k;
}

/* Replaces spans by one <unk> each until `ratio` of the tokens is gone. Returns the new length. */
static int64_t mask_spans(int32_t *dst, lcm_pieces s, const lcm_sonar_objective *o, lcm_rng *r) {
    int64_t n = 0, budget = (int64_t)ceil(o->token_noise_ratio * (double)s.n);
    for (int64_t i = 0; i < s.n;) {
        double start = o->token_noise_ratio / o->token_noise_span;
        if (budget > 0 && lcm_rng_uniform(r) < start * 1.5) {
            int64_t span = poisson(r, o->token_noise_span - 1) + 1;
            if (span > budget) span = budget;
            budget -= span;
            i += span;
            dst[n++] = ID_UNK;
        } else dst[n++] = s.ids[i++];
    }
    return n;
}

static void column_stats(double *mean, double *sd, const lcm_tensor *x) {
    for (int64_t c = 0; c < x->cols; c++) mean[c] = sd[c] = 0;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) mean[c] += (double)x->x[r * x->cols + c];
    for (int64_t c = 0; c < x->cols; c++) mean[c] /= (double)x->rows;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) {
            double d = (double)x->x[r * x->cols + c] - mean[c];
            sd[c] += d * d;
        }
    for (int64_t c = 0; c < x->cols; c++) sd[c] = sqrt(sd[c] / (double)x->rows);
}

/* y = sqrt(1-a) x + (1 - sqrt(1-a)) mean + sd sqrt(a) eps. The statistics count as constants. */
static lcm_tensor *noise_concepts(lcm_tape *t, lcm_tensor *x, const lcm_sonar_objective *o, uint64_t seed,
                                  uint64_t step, int64_t *n_noised) {
    int64_t R = x->rows, C = x->cols;
    real *a = lcm_tape_alloc(t, (size_t)R * sizeof *a), *c = lcm_tape_alloc(t, (size_t)(R * C) * sizeof *c);
    double *mean = lcm_tape_alloc(t, (size_t)C * sizeof *mean), *sd = lcm_tape_alloc(t, (size_t)C * sizeof *sd);
    if (lcm_tape_status(t)) return NULL;
    column_stats(mean, sd, x);
    for (int64_t r = 0; r < R; r++) {
        lcm_rng rng = lcm_rng_make(seed, LCM_RNG_NOISE + (step << 8) + ((uint64_t)r << 40));
        bool on = lcm_rng_uniform(&rng) < o->latent_noise_prob;
        double level = on ? lcm_rng_uniform(&rng) * o->latent_noise_max : 0, keep = sqrt(1 - level);
        a[r] = (real)keep;
        *n_noised += on;
        for (int64_t k = 0; k < C; k++)
            c[r * C + k] = on ? (real)((1 - keep) * mean[k] + sd[k] * sqrt(level) * lcm_rng_normal(&rng)) : 0;
    }
    return lcm_op_affine_rows(t, x, a, c);
}

static lcm_status pack_both(lcm_ctx *ctx, lcm_sonar_packer *enc, lcm_sonar_packer *dec, int32_t **targets, lcm_tape *t,
                            const lcm_pieces *s, int64_t n, int32_t lang, const lcm_sonar_objective *noise,
                            uint64_t seed, uint64_t step) {
    int64_t T = 0, L = lang >= 0, at = 0, longest = 0;
    int32_t head[2] = {ID_EOS, lang}, eos = ID_EOS, *masked;
    for (int64_t i = 0; i < n; i++) {
        T += s[i].n + 1 + L;
        if (s[i].n > longest) longest = s[i].n;
    }
    LCM_TRY(lcm_sonar_packer_begin(ctx, enc, lcm_tape_arena(t), n, T));
    LCM_TRY(lcm_sonar_packer_begin(ctx, dec, lcm_tape_arena(t), n, T));
    *targets = lcm_tape_alloc(t, (size_t)T * sizeof **targets);
    masked = lcm_tape_alloc(t, (size_t)(longest + 1) * sizeof *masked);
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < n; i++) {
        lcm_rng r = lcm_rng_make(seed, LCM_RNG_STEP + (step << 8) + ((uint64_t)i << 40));
        lcm_pieces src = s[i];
        if (noise && noise->token_noise_prob > 0 && lcm_rng_uniform(&r) < noise->token_noise_prob) {
            src.n = mask_spans(masked, s[i], noise, &r);
            src.ids = masked;
        }
        lcm_sonar_packer_push(enc, head + 1, L, src, &eos, 1);
        lcm_sonar_packer_push(dec, head, 1 + L, s[i], &eos, 0);
        if (L) (*targets)[at++] = lang;
        memcpy(*targets + at, s[i].ids, (size_t)s[i].n * sizeof **targets);
        at += s[i].n;
        (*targets)[at++] = ID_EOS;
    }
    return LCM_OK;
}

static lcm_status map_concepts(lcm_ctx *ctx, lcm_tensor **z, lcm_tape *t, const lcm_concept_map *map, uint64_t seed,
                               uint64_t step) {
    int64_t R, C;
    real *y;
    LCM_TRY(lcm_tape_status(t));
    R = (*z)->rows;
    C = (*z)->cols;
    y = lcm_tape_alloc(t, (size_t)(R * C) * sizeof *y);
    LCM_TRY(lcm_tape_status(t));
    memcpy(y, (*z)->x, (size_t)(R * C) * sizeof *y);
    LCM_TRY(map->run(ctx, map, t, y, R, seed, step));
    *z = lcm_tensor_const(t, y, R, C);
    return LCM_OK;
}

lcm_status lcm_sonar_loss_fwd(lcm_ctx *ctx, lcm_sonar_loss *out, lcm_tape *t, const lcm_sonar *m,
                              const lcm_pieces *sentences, int64_t n, int32_t lang,
                              const lcm_sonar_objective *noise, uint64_t seed, uint64_t step) {
    lcm_sonar_packer enc, dec;
    int32_t *targets;
    uint8_t *hit;
    lcm_tensor *z, *h;
    memset(out, 0, sizeof *out);
    LCM_TRY(pack_both(ctx, &enc, &dec, &targets, t, sentences, n, lang, noise, seed, step));
    hit = lcm_tape_alloc(t, (size_t)dec.b.T);
    z = lcm_sonar_encode_fwd(t, m, &enc.b);
    if (noise && noise->map) LCM_TRY(map_concepts(ctx, &z, t, noise->map, seed, step));
    if (z && noise && noise->latent_noise_prob > 0) z = noise_concepts(t, z, noise, seed, step, &out->n_noised);
    if (z && noise && noise->latent_dropout > 0) z = lcm_op_dropout(t, z, noise->latent_dropout);
    h = z ? lcm_sonar_decode_fwd(t, m, &dec.b, z) : NULL;
    out->loss = lcm_op_xent(t, h, m->dec_embed, targets, NULL, noise ? noise->label_smoothing : 0, hit);
    LCM_TRY(lcm_tape_status(t));
    out->n_targets = dec.b.T;
    out->n_sentences = n;
    for (int64_t i = 0; i < n; i++) {
        bool all = true;
        for (int64_t k = dec.off[i]; k < dec.off[i + 1]; k++) {
            out->n_hits += hit[k];
            all &= hit[k];
        }
        out->n_exact += all;
    }
    return LCM_OK;
}
