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
    LCM_F_REAL(lcm_sonar_objective, mse_weight, 0, 1e6, "weight of (e(source) - e(target))^2"),
    LCM_F_REAL(lcm_sonar_objective, denoise_weight, 0, 1e6, "weight of the target restored from its masked form"),
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

/* The encoder reads n sources, then n targets if their concepts are compared, then n masked targets if these are to be
 * restored; the decoder says n targets, and again for the masked ones. */
typedef struct passes {
    lcm_sonar_packer enc, dec;
    int32_t *targets;         /* of the decoder's tokens */
    int64_t compare, restore; /* first of these rows among the concepts; 0 = none */
    int32_t *masked;          /* room for the longest sentence */
} passes;

static lcm_status begin_passes(lcm_ctx *ctx, passes *p, lcm_tape *t, const lcm_sonar_item *items, int64_t n,
                               const lcm_sonar_objective *o) {
    int64_t S = 0, T = 0, longest = 0, n_enc = n, n_dec = n;
    memset(p, 0, sizeof *p);
    for (int64_t i = 0; i < n; i++) {
        const lcm_sonar_item *it = &items[i];
        S += it->source.n + 1 + (it->source_lang >= 0);
        T += it->target.n + 1 + (it->target_lang >= 0);
        longest = it->source.n > longest ? it->source.n : longest;
        longest = it->target.n > longest ? it->target.n : longest;
    }
    if (o && o->mse_weight > 0) {
        p->compare = n_enc;
        n_enc += n;
        S += T;
    }
    if (o && o->denoise_weight > 0) {
        p->restore = n_enc;
        n_enc += n;
        n_dec += n;
        S += T;
        T += T;
    }
    LCM_TRY(lcm_sonar_packer_begin(ctx, &p->enc, lcm_tape_arena(t), n_enc, S));
    LCM_TRY(lcm_sonar_packer_begin(ctx, &p->dec, lcm_tape_arena(t), n_dec, T));
    p->targets = lcm_tape_alloc(t, (size_t)T * sizeof *p->targets);
    p->masked = lcm_tape_alloc(t, (size_t)(longest + 1) * sizeof *p->masked);
    return lcm_tape_status(t);
}

static void push_source(passes *p, lcm_pieces s, int32_t lang) {
    int32_t eos = ID_EOS;
    lcm_sonar_packer_push(&p->enc, &lang, lang >= 0, s, &eos, 1);
}

static lcm_pieces masked(passes *p, lcm_pieces s, const lcm_sonar_objective *o, lcm_rng *r) {
    return (lcm_pieces){p->masked, mask_spans(p->masked, s, o, r)};
}

static void pack(passes *p, const lcm_sonar_item *items, int64_t n, const lcm_sonar_objective *o, uint64_t seed, uint64_t step) {
    for (int64_t i = 0; i < n; i++) {
        lcm_rng r = lcm_rng_make(seed, LCM_RNG_STEP + (step << 8) + ((uint64_t)i << 40));
        bool noised = o && o->token_noise_prob > 0 && lcm_rng_uniform(&r) < o->token_noise_prob;
        push_source(p, noised ? masked(p, items[i].source, o, &r) : items[i].source, items[i].source_lang);
        lcm_sonar_packer_push_target(&p->dec, p->targets, items[i].target, items[i].target_lang);
    }
    for (int64_t i = 0; p->compare && i < n; i++) push_source(p, items[i].target, items[i].target_lang);
    for (int64_t i = 0; p->restore && i < n; i++) {
        lcm_rng r = lcm_rng_make(seed, LCM_RNG_STEP + (step << 8) + ((uint64_t)(n + i) << 40));
        push_source(p, masked(p, items[i].target, o, &r), items[i].target_lang);
        lcm_sonar_packer_push_target(&p->dec, p->targets, items[i].target, items[i].target_lang);
    }
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

/* n rows of z from `first` on, and behind them n from `second` on unless that is 0. */
static lcm_tensor *rows_of(lcm_tape *t, lcm_tensor *z, int64_t n, int64_t first, int64_t second) {
    int64_t R = second ? 2 * n : n;
    int32_t *at = lcm_tape_alloc(t, (size_t)R * sizeof *at);
    if (at == NULL) return NULL;
    for (int64_t i = 0; i < R; i++) at[i] = (int32_t)(i < n ? first + i : second + i - n);
    return lcm_op_gather(t, z, at, R);
}

/* The concepts that go to the decoder, noised as configured. */
static lcm_status decoded_concepts(lcm_ctx *ctx, lcm_tensor **out, lcm_sonar_loss *l, lcm_tape *t, lcm_tensor *z, const passes *p,
                                   int64_t n, const lcm_sonar_objective *o, uint64_t seed, uint64_t step) {
    if (p->enc.b.n > n) z = rows_of(t, z, n, 0, p->restore);
    if (o && o->map) LCM_TRY(map_concepts(ctx, &z, t, o->map, seed, step));
    if (z && o && o->latent_noise_prob > 0) z = noise_concepts(t, z, o, seed, step, &l->n_noised);
    if (z && o && o->latent_dropout > 0) z = lcm_op_dropout(t, z, o->latent_dropout);
    *out = z;
    return lcm_tape_status(t);
}

static lcm_status say(lcm_sonar_loss *out, lcm_tape *t, const lcm_sonar *m, const passes *p, lcm_tensor *z, int64_t n,
                      const lcm_sonar_objective *o) {
    int64_t T = p->dec.b.T, N = p->dec.off[n];
    uint8_t *hit = lcm_tape_alloc(t, (size_t)T);
    real *w = p->restore ? lcm_tape_alloc(t, (size_t)T * sizeof *w) : NULL;
    LCM_TRY(lcm_tape_status(t));
    for (int64_t k = 0; w && k < T; k++) w[k] = k < N ? 1 : (real)o->denoise_weight;
    out->loss = lcm_op_xent(t, lcm_sonar_decode_fwd(t, m, &p->dec.b, z), m->dec_embed, p->targets, w, o ? o->label_smoothing : 0, hit);
    LCM_TRY(lcm_tape_status(t));
    out->n_targets = N;
    out->n_sentences = n;
    out->xent = w ? 0 : out->loss.sum;
    out->denoise = w ? 0 : NAN;
    for (int64_t k = 0; w && k < T; k++) *(k < N ? &out->xent : &out->denoise) += (double)out->loss.rows[k];
    for (int64_t i = 0; i < n; i++) {
        bool all = true;
        for (int64_t k = p->dec.off[i]; k < p->dec.off[i + 1]; k++) {
            out->n_hits += hit[k];
            all &= hit[k];
        }
        out->n_exact += all;
    }
    return LCM_OK;
}

/* Adds the distance of the concepts of sources and targets. */
static lcm_status compare(lcm_sonar_loss *out, lcm_tape *t, lcm_tensor *z, int64_t n, int64_t targets, double weight) {
    lcm_tensor *x = rows_of(t, z, n, 0, 0), *y = rows_of(t, z, n, targets, 0), *d;
    real *zero = lcm_tape_alloc(t, (size_t)(n * z->cols) * sizeof *zero), *w = lcm_tape_alloc(t, (size_t)n * sizeof *w);
    lcm_loss l;
    LCM_TRY(lcm_tape_status(t));
    memset(zero, 0, (size_t)(n * z->cols) * sizeof *zero);
    for (int64_t i = 0; i < n; i++) w[i] = (real)(weight * (double)out->n_targets / (double)(n * z->cols));
    d = lcm_op_add(t, x, lcm_op_scale(t, y, -1));
    l = lcm_op_sq_err(t, d, zero, w, false);
    out->loss.out = lcm_op_add(t, out->loss.out, l.out);
    LCM_TRY(lcm_tape_status(t));
    out->loss.sum += l.sum;
    out->mse = 0;
    for (int64_t i = 0; i < n; i++) out->mse += (double)l.rows[i] / (double)z->cols;
    return LCM_OK;
}

lcm_status lcm_sonar_loss_fwd(lcm_ctx *ctx, lcm_sonar_loss *out, lcm_tape *t, const lcm_sonar *m, const lcm_sonar_item *items,
                              int64_t n, const lcm_sonar_objective *noise, uint64_t seed, uint64_t step) {
    passes p;
    lcm_tensor *all, *z;
    memset(out, 0, sizeof *out);
    out->mse = NAN;
    LCM_TRY(begin_passes(ctx, &p, t, items, n, noise));
    pack(&p, items, n, noise, seed, step);
    all = lcm_sonar_encode_fwd(t, m, &p.enc.b);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(decoded_concepts(ctx, &z, out, t, all, &p, n, noise, seed, step));
    LCM_TRY(say(out, t, m, &p, z, n, noise));
    return p.compare ? compare(out, t, all, n, p.compare, noise->mse_weight) : LCM_OK;
}
