/* Reconstruction. */
#include "eval/reconstruct.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "eval/bleu.h"
#include "eval/chrf.h"
#include "kernels/distance.h"
#include "sonar/normalizer.h"

typedef struct bench {
    lcm_codec *codec;
    const lcm_tokenizer *tok;
    const lcm_sentences *s;
    const real *x;
    const lcm_beam_opts *beam;
    lcm_normalizer *nz;
    uint64_t seed;
    int64_t D;
    real *y, *back; /* (n, D): what is decoded; concepts of what came out */
    lcm_sentences out;
} bench;

static lcm_status row(lcm_ctx *ctx, void *user, real *out, int64_t i) {
    const bench *b = user;
    (void)ctx;
    memcpy(out, b->x + i * b->D, (size_t)b->D * sizeof *out);
    return LCM_OK;
}

static void add_noise(bench *b, double a) {
    int64_t n = b->s->n, D = b->D;
    real keep = (real)sqrt(1 - a), add = (real)sqrt(a);
    if (a == 0) {
        memcpy(b->y, b->x, (size_t)(n * D) * sizeof *b->y);
        return;
    }
    lcm_normalize(b->nz, b->y, b->x, n, NULL);
    for (int64_t i = 0; i < n; i++) {
        lcm_rng rng = lcm_rng_make(b->seed, LCM_RNG_NOISE + ((uint64_t)i << 8));
        for (int64_t k = 0; k < D; k++) b->y[i * D + k] = keep * b->y[i * D + k] + add * (real)lcm_rng_normal(&rng);
    }
    lcm_denormalize(b->nz, b->y, b->y, n, NULL);
}

static lcm_status compare(lcm_ctx *ctx, lcm_reconstruction *r, const bench *b) {
    lcm_bleu bleu = {0};
    lcm_chrf chrf = {0};
    lcm_buf want = {0};
    lcm_ids ids = {0};
    lcm_status st = LCM_OK;
    for (int64_t i = 0; st == LCM_OK && i < b->s->n; i++) {
        size_t len, got_len;
        const char *text = lcm_sentences_at(b->s, i, &len), *got = lcm_sentences_at(&b->out, i, &got_len);
        want.len = 0;
        st = lcm_tokenizer_normalize(ctx, &want, b->tok, text, len);
        if (st == LCM_OK) st = lcm_bleu_add(ctx, &bleu, got, got_len, want.data, want.len);
        if (st == LCM_OK) st = lcm_chrf_add(ctx, &chrf, got, got_len, want.data, want.len);
        if (st == LCM_OK) st = lcm_tokenizer_encode(ctx, &ids, b->tok, got, got_len);
        r->exact += want.len == got_len && memcmp(want.data, got, got_len) == 0;
        r->l2 += lcm_l2(b->back + i * b->D, b->x + i * b->D, b->D) / (double)b->s->n;
    }
    r->bleu = lcm_bleu_score(&bleu);
    r->chrf = lcm_chrf_score(&chrf);
    r->sentences = b->s->n;
    r->mean_tokens = (double)ids.len / (double)b->s->n;
    lcm_buf_free(&want);
    lcm_ids_free(&ids);
    return st;
}

static lcm_status measure(lcm_ctx *ctx, lcm_reconstruction *r, bench *b, const real *y) {
    double t0;
    lcm_sentences_clear(&b->out);
    t0 = lcm_now();
    LCM_TRY(lcm_sentences_decode(ctx, &b->out, b->codec, y, b->s->n, b->beam));
    r->decode_per_second = (double)b->s->n / fmax(lcm_now() - t0, 1e-9);
    LCM_TRY(lcm_sentences_encode(ctx, b->back, NULL, b->codec, &b->out, 0, b->out.n));
    return compare(ctx, r, b);
}

static lcm_status level(lcm_ctx *ctx, lcm_reconstruction *r, bench *b, double a) {
    if (!(a >= 0 && a <= 1)) LCM_FAIL(ctx, LCM_ERR_ARG, "noise level %g is outside 0 … 1", a);
    *r = (lcm_reconstruction){.noise = a};
    add_noise(b, a);
    return measure(ctx, r, b, b->y);
}

lcm_status lcm_reconstruct_vectors(lcm_ctx *ctx, lcm_reconstruction *out, lcm_codec *codec, const lcm_tokenizer *tok,
                                   const lcm_sentences *s, const real *x, const real *y, const lcm_beam_opts *beam) {
    bench b = {.codec = codec, .tok = tok, .s = s, .x = x, .beam = beam, .D = lcm_codec_dim(codec)};
    lcm_status st;
    *out = (lcm_reconstruction){0};
    if (s->n < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "no sentence to reconstruct");
    st = lcm_calloc(ctx, &b.back, (size_t)(s->n * b.D), sizeof *b.back);
    if (st == LCM_OK) st = measure(ctx, out, &b, y);
    lcm_sentences_free(&b.out);
    free(b.back);
    return st;
}

lcm_status lcm_reconstruct(lcm_ctx *ctx, lcm_reconstruction *out, lcm_codec *codec, const lcm_tokenizer *tok,
                           const lcm_sentences *s, const real *x, const double *levels, size_t n_levels,
                           const lcm_beam_opts *beam, uint64_t seed) {
    bench b = {.codec = codec, .tok = tok, .s = s, .x = x, .beam = beam, .seed = seed, .D = lcm_codec_dim(codec)};
    lcm_normalizer_config config = lcm_normalizer_config_default();
    lcm_status st;
    config.dim = b.D;
    if (s->n < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "no sentence to reconstruct");
    st = lcm_calloc(ctx, &b.y, (size_t)(s->n * b.D), sizeof *b.y);
    if (st == LCM_OK) st = lcm_calloc(ctx, &b.back, (size_t)(s->n * b.D), sizeof *b.back);
    if (st == LCM_OK) st = lcm_normalizer_new(ctx, &b.nz, &config);
    if (st == LCM_OK) st = lcm_normalizer_fit(ctx, b.nz, row, &b, s->n, 0);
    for (size_t i = 0; st == LCM_OK && i < n_levels; i++) st = level(ctx, &out[i], &b, levels[i]);
    lcm_normalizer_free(b.nz);
    lcm_sentences_free(&b.out);
    free(b.y);
    free(b.back);
    return st;
}
