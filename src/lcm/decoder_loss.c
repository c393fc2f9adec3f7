/* Cross-entropy through the frozen decoder. */
#include "lcm/decoder_loss.h"

#include <string.h>

#include "lcm/concept_model.h"
#include "sonar/model.h"

const lcm_field lcm_decoder_loss_fields[] = {
    LCM_F_REAL(lcm_decoder_loss_config, weight, 0, 1e6, "of the cross-entropy of the true sentence; 0 = none"),
    LCM_F_REAL(lcm_decoder_loss_config, share, 1e-3, 1, "of the predicted concepts that are decoded in a step"),
    LCM_F_REAL(lcm_decoder_loss_config, clean, 0, 1, "of the concepts are decoded as they are, too (train_decoder)"),
    LCM_F_END};

lcm_status lcm_decoder_loss_check(lcm_ctx *ctx, const lcm_model *m) {
    const lcm_normalizer *nz = m->normalizer;
    if (m->rvq) LCM_FAIL(ctx, LCM_ERR_ARG, "criterion.decoder.weight: a quant model predicts no concept that could be decoded");
    if (m->schedule && m->schedule->config.prediction != LCM_PREDICT_SAMPLE)
        LCM_FAIL(ctx, LCM_ERR_ARG, "criterion.decoder.weight: needs noise_scheduler.prediction sample");
    if (nz && (nz->fft || nz->clip_min))
        LCM_FAIL(ctx, LCM_ERR_ARG, "criterion.decoder.weight: needs a normaliser without FFT and clipping");
    return LCM_OK;
}

const lcm_pieces *lcm_targets_text(lcm_tape *t, const lcm_concept_batch *b, int64_t R) {
    lcm_pieces *y, *next;
    if (b->text == NULL || b->source_len == NULL) return b->text;
    y = next = lcm_tape_alloc(t, (size_t)R * sizeof *y);
    for (int64_t d = 0; y && d < b->n_docs; d++)
        for (int64_t i = b->off[d] + b->source_len[d]; i < b->off[d + 1]; i++) *next++ = b->text[i];
    return y;
}

/* The rows to be decoded and their sentences. */
typedef struct sayings {
    lcm_sonar_packer in;
    int32_t *row;    /* (in.b.n) of the predictions */
    int32_t *target; /* (in.b.T) */
    real *weight;    /* (in.b.T) */
} sayings;

static lcm_status begin(lcm_ctx *ctx, sayings *s, lcm_tape *t, const lcm_pieces *text, int64_t R, int64_t window) {
    int64_t T = 0;
    for (int64_t r = 0; r < R; r++) {
        if (text[r].n + 2 > window)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "sentence of row %lld: %lld pieces, the decoder's window is %lld tokens", (long long)r,
                     (long long)text[r].n, (long long)window);
        T += text[r].n + 2;
    }
    LCM_TRY(lcm_sonar_packer_begin(ctx, &s->in, lcm_tape_arena(t), R, T));
    s->row = lcm_tape_alloc(t, (size_t)R * sizeof *s->row);
    s->target = lcm_tape_alloc(t, (size_t)T * sizeof *s->target);
    s->weight = lcm_tape_alloc(t, (size_t)T * sizeof *s->weight);
    return lcm_tape_status(t);
}

static void choose(sayings *s, const lcm_pieces *text, const real *w, int64_t R, double share, double weight, int32_t lang, lcm_rng rng) {
    for (int64_t r = 0; r < R; r++) {
        bool drawn = share >= 1 || lcm_rng_uniform(&rng) < share;
        real each = (real)weight * (w ? w[r] : 1);
        if (!drawn || text[r].n == 0 || each == 0) continue;
        s->row[s->in.b.n] = (int32_t)r;
        lcm_sonar_packer_push_target(&s->in, s->target, text[r], lang);
        for (int64_t k = s->in.off[s->in.b.n - 1]; k < s->in.b.T; k++) s->weight[k] = each;
    }
}

/* The chosen rows of p in SONAR space. */
static lcm_tensor *concepts(lcm_tape *t, const lcm_model *m, lcm_tensor *p, const sayings *s) {
    int64_t n = s->in.b.n, D = m->embed_dim;
    lcm_tensor *z = lcm_op_gather(t, p, s->row, n);
    real *one, *center;
    if (m->normalizer == NULL) return z;
    one = lcm_tape_alloc(t, (size_t)n * sizeof *one);
    center = lcm_tape_alloc(t, (size_t)(n * D) * sizeof *center);
    if (one == NULL || center == NULL) return NULL;
    for (int64_t i = 0; i < n; i++) {
        one[i] = 1;
        memcpy(center + i * D, m->normalizer->center, (size_t)D * sizeof *center);
    }
    z = lcm_op_mul_vec(t, z, lcm_tensor_const(t, m->normalizer->scale, 1, D));
    return lcm_op_affine_rows(t, z, one, center);
}

/* Adds what the decoder makes of z to the loss, and counts it in *said. */
static lcm_status add(lcm_model_loss *loss, lcm_said_sums *said, lcm_tape *t, lcm_tensor *z, const sayings *s, const lcm_criterion *c) {
    int64_t T = s->in.b.T;
    uint8_t *hit = lcm_tape_alloc(t, (size_t)T);
    lcm_loss l = lcm_op_xent(t, lcm_sonar_decode_fwd(t, c->decoder, &s->in.b, z), c->decoder->dec_embed, s->target, s->weight, 0, hit);
    LCM_TRY(lcm_tape_status(t));
    loss->sum += l.sum;
    said->tokens = T;
    for (int64_t k = 0; k < T; k++) {
        said->xent += (double)l.rows[k];
        said->hits += hit[k];
    }
    if (c->config.reduction == LCM_REDUCE_MEAN && loss->n_targets > 0)
        l.out = lcm_op_scale(t, l.out, (real)(1 / (double)loss->n_targets));
    loss->out = lcm_op_add(t, loss->out, l.out);
    return lcm_tape_status(t);
}

lcm_status lcm_decoder_loss_add(lcm_ctx *ctx, lcm_model_loss *loss, lcm_tape *t, const lcm_model *m, lcm_tensor *p,
                                const real *target, const lcm_pieces *text, const real *w, const lcm_criterion *c, const lcm_draws *draws) {
    const lcm_decoder_loss_config *o = &c->config.decoder;
    const lcm_sonar *d = c->decoder;
    int64_t in;
    LCM_TRY(lcm_tape_status(t));
    if (o->weight == 0 || text == NULL || d == NULL) return LCM_OK;
    in = d->config.input_dim ? d->config.input_dim : lcm_sonar_dim(&d->config);
    if (in != m->embed_dim)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the decoder reads vectors of %lld, the model predicts %lld", (long long)in, (long long)m->embed_dim);
    for (int own = 0; own < 2; own++) {
        double share = own ? o->clean : o->share;
        sayings s = {0};
        if (share == 0) continue;
        LCM_TRY(begin(ctx, &s, t, text, p->rows, d->config.max_seq_len));
        choose(&s, text, w, p->rows, share, own ? o->weight : o->weight / share, c->lang,
               lcm_rng_make(draws->seed, LCM_RNG_DECODED + (draws->step << 8) + ((uint64_t)own << 40)));
        if (s.in.b.n == 0) continue;
        LCM_TRY(add(loss, own ? &loss->said_clean : &loss->said, t,
                    concepts(t, m, own ? lcm_tensor_const(t, target, p->rows, m->embed_dim) : p, &s), &s, c));
    }
    return LCM_OK;
}
