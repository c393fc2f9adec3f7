/* include/lcm/session.h: sentences to concepts and back. */
#include "lcm/session.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "api/floats.h"
#include "api/session_int.h"
#include "base/rng.h"
#include "lcm/concept_model.h"
#include "sonar/likelihood.h"

lcm_status lcm_session_new(lcm_ctx *ctx, lcm_session **out, const lcm_bundle *b) {
    lcm_session *s;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->bundle = b;
    st = b->llama.model ? LCM_OK : lcm_codec_new(ctx, &s->codec, &b->sonar);
    if (st == LCM_OK && b->voice.net) st = lcm_codec_set_voice(ctx, s->codec, &b->voice, b->paths.decoder);
    if (st) {
        lcm_session_free(s);
        return st;
    }
    *out = s;
    return LCM_OK;
}

void lcm_session_free(lcm_session *s) {
    if (s == NULL) return;
    lcm_codec_free(s->codec);
    free(s->wide);
    free(s);
}

lcm_status lcm_session_needs(lcm_ctx *ctx, const lcm_session *s, int parts) {
    static const char *const names[] = {"encoder", "decoder", "concept model"};
    for (int i = 0; i < 3; i++)
        if (parts & ~s->bundle->parts & 1 << i)
            LCM_FAIL(ctx, LCM_ERR_ARG, s->bundle->llama.model ? "a model of tokens has no %s" : "the bundle was opened without its %s",
                     names[i]);
    return LCM_OK;
}

static lcm_status widen(lcm_ctx *ctx, lcm_session *s, const float *x, size_t n) {
    size_t count = n * (size_t)s->bundle->info.dim;
    LCM_TRY(lcm_grow(ctx, &s->wide, &s->wide_cap, count + 1, sizeof *s->wide));
    if (x) lcm_floats_to_real(s->wide, x, count);
    return LCM_OK;
}

static lcm_status check_finite(lcm_ctx *ctx, const float *x, size_t n, int64_t D) {
    for (size_t i = 0; i < n * (size_t)D; i++)
        if (!isfinite(x[i]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "vector %zu: value %zu is not finite", i / (size_t)D + 1, i % (size_t)D);
    return LCM_OK;
}

lcm_status lcm_session_encode(lcm_ctx *ctx, float *out, uint8_t *cut, lcm_session *s, const char *const *text,
                              const size_t *len, size_t n, const char *lang) {
    int32_t id;
    LCM_TRY(lcm_session_needs(ctx, s, LCM_LOAD_ENCODER));
    LCM_TRY(lcm_bundle_lang(ctx, &id, s->bundle, lang));
    LCM_TRY(widen(ctx, s, NULL, n));
    LCM_TRY(lcm_codec_encode(ctx, s->wide, cut, s->codec, text, len, n, id));
    lcm_floats_from_real(out, s->wide, n * (size_t)s->bundle->info.dim);
    return LCM_OK;
}

lcm_status lcm_session_decode(lcm_ctx *ctx, char **out, double *scores, lcm_session *s, const float *x, size_t n,
                              const lcm_decode_opts *opts) {
    lcm_decode_opts o = opts ? *opts : (lcm_decode_opts){0};
    lcm_beam_opts beam = lcm_beam_opts_default();
    lcm_buf texts = {0};
    int32_t id;
    lcm_status st;
    *out = NULL;
    beam.beam_size = o.beam ? o.beam : s->bundle->config.generate.beam;
    if (beam.beam_size < 1 || beam.beam_size > LCM_MAX_BEAM)
        LCM_FAIL(ctx, LCM_ERR_ARG, "beam %" PRId64 " is outside 1 … %d", beam.beam_size, LCM_MAX_BEAM);
    beam.draw = (lcm_draw_opts){{o.temperature, o.top_k, o.top_p}, o.seed, o.first};
    if (!o.likeliest && s->bundle->parts & LCM_LOAD_ENCODER) beam.nearest_rounds = LCM_NEAREST_ROUNDS;
    if (!(o.temperature >= 0 && o.temperature <= 100))
        LCM_FAIL(ctx, LCM_ERR_ARG, "temperature %g is outside 0 … 100", o.temperature);
    LCM_TRY(lcm_session_needs(ctx, s, LCM_LOAD_DECODER));
    LCM_TRY(lcm_bundle_lang(ctx, &id, s->bundle, o.lang));
    LCM_TRY(check_finite(ctx, x, n, s->bundle->info.dim));
    LCM_TRY(widen(ctx, s, x, n));
    st = lcm_buf_append(ctx, &texts, "", 0); /* no texts are an empty string, not NULL */
    if (st == LCM_OK) st = lcm_codec_decode(ctx, &texts, scores, s->codec, s->wide, n, id, &beam);
    if (st) {
        lcm_buf_free(&texts);
        return st;
    }
    *out = texts.data;
    return LCM_OK;
}

lcm_status lcm_session_score(lcm_ctx *ctx, double *logp, int64_t *tokens, lcm_session *s, const float *x,
                             const char *const *text, const size_t *len, size_t n, const char *lang) {
    int32_t id;
    LCM_TRY(lcm_session_needs(ctx, s, LCM_LOAD_DECODER));
    LCM_TRY(lcm_bundle_lang(ctx, &id, s->bundle, lang));
    LCM_TRY(check_finite(ctx, x, n, s->bundle->info.dim));
    LCM_TRY(widen(ctx, s, x, n));
    return lcm_sonar_score(ctx, logp, tokens, &s->bundle->sonar, s->wide, text, len, n, id);
}

lcm_status lcm_session_set_pooling(lcm_ctx *ctx, lcm_session *s, int pooling) {
    const lcm_sonar_config *c = &s->bundle->sonar.config;
    int kind;
    LCM_TRY(lcm_session_needs(ctx, s, LCM_LOAD_ENCODER));
    if (pooling < LCM_POOLING_MODEL || pooling > LCM_POOLING_LAST) LCM_FAIL(ctx, LCM_ERR_ARG, "pooling %d", pooling);
    kind = pooling ? (int)LCM_POOL_MEAN + pooling - 1 : c->pooling;
    if (kind != c->pooling && lcm_sonar_dim(c) != c->model_dim)
        LCM_FAIL(ctx, LCM_ERR_ARG, "pooling '%s' gives vectors of %" PRId64 " numbers, this model's have %" PRId64,
                 lcm_sonar_pooling_names[kind], c->model_dim, lcm_sonar_dim(c));
    lcm_codec_set_pooling(s->codec, kind);
    return LCM_OK;
}

/* ---- Noise ---- */

/* sqrt(1-a) z + sqrt(a) eps, on channels of mean m and deviation d: sqrt(1-a) x + (1-sqrt(1-a)) m + sqrt(a) d eps. */
static double noised(double x, double mean, double deviation, double amount, lcm_rng *rng) {
    double keep = sqrt(1 - amount);
    return keep * x + (1 - keep) * mean + sqrt(amount) * deviation * lcm_rng_normal(rng);
}

static lcm_rng row_stream(uint64_t seed, size_t row) { return lcm_rng_make(seed, LCM_RNG_NOISE + ((uint64_t)row << 8)); }

static lcm_status noise_normalized(lcm_ctx *ctx, lcm_session *s, const lcm_normalizer *nz, size_t n, double amount, uint64_t seed) {
    int64_t D = s->bundle->info.dim;
    double *scratch;
    LCM_TRY(lcm_calloc(ctx, &scratch, (size_t)lcm_normalizer_scratch(nz) + 1, sizeof *scratch));
    lcm_normalize(nz, s->wide, s->wide, (int64_t)n, scratch);
    for (size_t i = 0; i < n; i++) {
        lcm_rng rng = row_stream(seed, i);
        real *z = s->wide + i * (size_t)D;
        for (int64_t k = 0; k < D; k++) z[k] = (real)noised((double)z[k], 0, 1, amount, &rng);
    }
    lcm_denormalize(nz, s->wide, s->wide, (int64_t)n, scratch);
    free(scratch);
    return LCM_OK;
}

static void column_stats(double *mean, double *deviation, const real *x, size_t n, size_t D, size_t k) {
    double m = 0, v = 0;
    for (size_t i = 0; i < n; i++) m += (double)x[i * D + k] / (double)n;
    for (size_t i = 0; i < n; i++) v += ((double)x[i * D + k] - m) * ((double)x[i * D + k] - m) / (double)n;
    *mean = m;
    *deviation = sqrt(v);
}

static lcm_status noise_by_columns(lcm_ctx *ctx, lcm_session *s, size_t n, double amount, uint64_t seed) {
    size_t D = (size_t)s->bundle->info.dim;
    double *mean, *deviation;
    if (n < 2) LCM_FAIL(ctx, LCM_ERR_ARG, "noise needs a concept model's normaliser, or at least 2 vectors to measure");
    LCM_TRY(lcm_calloc(ctx, &mean, 2 * D, sizeof *mean));
    deviation = mean + D;
    for (size_t k = 0; k < D; k++) column_stats(&mean[k], &deviation[k], s->wide, n, D, k);
    for (size_t i = 0; i < n; i++) {
        lcm_rng rng = row_stream(seed, i);
        for (size_t k = 0; k < D; k++)
            s->wide[i * D + k] = (real)noised((double)s->wide[i * D + k], mean[k], deviation[k], amount, &rng);
    }
    free(mean);
    return LCM_OK;
}

lcm_status lcm_session_noise(lcm_ctx *ctx, float *x, lcm_session *s, size_t n, double amount, uint64_t seed) {
    const lcm_model *m = s->bundle->model;
    if (!(amount >= 0 && amount <= 1)) LCM_FAIL(ctx, LCM_ERR_ARG, "noise level %g is outside 0 … 1", amount);
    LCM_TRY(check_finite(ctx, x, n, s->bundle->info.dim));
    LCM_TRY(widen(ctx, s, x, n));
    if (m && m->normalizer) LCM_TRY(noise_normalized(ctx, s, m->normalizer, n, amount, seed));
    else LCM_TRY(noise_by_columns(ctx, s, n, amount, seed));
    lcm_floats_from_real(x, s->wide, n * (size_t)s->bundle->info.dim);
    return LCM_OK;
}
