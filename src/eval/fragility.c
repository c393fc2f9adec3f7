/* Fragility. */
#include "eval/fragility.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval/bleu.h"
#include "kernels/distance.h"

typedef struct bench {
    const lcm_fragility_opts *o;
    const lcm_sentences *s;
    int64_t D, first;
    real *z, *y;         /* (n, D): normalised concepts; what is decoded */
    real *seen, *judged; /* (n, judge's D): concepts of the sentences, of what came out; with a judge */
    lcm_sentences out;
} bench;

static void noise(bench *b, size_t level, int64_t draw) {
    const lcm_fragility_opts *o = b->o;
    double keep = sqrt(1 - o->levels[level]), add = sqrt(o->levels[level]);
    uint64_t kind = (uint64_t)level * (uint64_t)o->draws + (uint64_t)draw;
    uint64_t kinds = (uint64_t)o->n_levels * (uint64_t)o->draws;
    for (int64_t i = 0; i < b->s->n; i++) {
        lcm_rng rng = lcm_rng_make(o->seed, LCM_RNG_NOISE + (((uint64_t)(b->first + i) * kinds + kind) << 8));
        for (int64_t k = i * b->D; k < (i + 1) * b->D; k++)
            b->y[k] = (real)(keep * (double)b->z[k] + add * lcm_rng_normal(&rng));
    }
    lcm_denormalize(o->nz, b->y, b->y, b->s->n, NULL);
}

static lcm_status bleu_of(lcm_ctx *ctx, double *score, const bench *b, int64_t i, lcm_buf *want) {
    size_t len, got_len;
    const char *text = lcm_sentences_at(b->s, i, &len), *got = lcm_sentences_at(&b->out, i, &got_len);
    lcm_bleu bleu = {0};
    want->len = 0;
    LCM_TRY(lcm_tokenizer_normalize(ctx, want, b->o->tok, text, len));
    LCM_TRY(lcm_bleu_add(ctx, &bleu, got, got_len, want->data, want->len));
    *score = lcm_bleu_sentence_score(&bleu) / 100;
    return LCM_OK;
}

static lcm_status score_all(lcm_ctx *ctx, double *out, double *sum, bench *b) {
    int64_t D = b->o->judge ? lcm_codec_dim(b->o->judge) : 0;
    double n = (double)b->o->n_levels * (double)b->o->draws, score;
    lcm_buf want = {0};
    lcm_status st = LCM_OK;
    if (b->o->judge) st = lcm_sentences_encode(ctx, b->judged, NULL, b->o->judge, &b->out, 0, b->out.n);
    for (int64_t i = 0; st == LCM_OK && i < b->s->n; i++) {
        if (b->o->judge) score = lcm_cosine(b->seen + i * D, b->judged + i * D, D);
        else st = bleu_of(ctx, &score, b, i, &want);
        if (st) break;
        out[i] -= score / n;
        *sum += score;
    }
    lcm_buf_free(&want);
    return st;
}

static lcm_status check(lcm_ctx *ctx, const lcm_fragility_opts *o) {
    if (o->n_levels < 1 || o->draws < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "at least one noise level and one draw are required");
    for (size_t i = 0; i < o->n_levels; i++)
        if (!(o->levels[i] >= 0 && o->levels[i] <= 1)) LCM_FAIL(ctx, LCM_ERR_ARG, "noise level %g is outside 0 … 1", o->levels[i]);
    return LCM_OK;
}

static lcm_status alloc(lcm_ctx *ctx, bench *b, const real *x) {
    size_t n = (size_t)b->s->n;
    LCM_TRY(lcm_calloc(ctx, &b->z, n * (size_t)b->D, sizeof *b->z));
    LCM_TRY(lcm_calloc(ctx, &b->y, n * (size_t)b->D, sizeof *b->y));
    lcm_normalize(b->o->nz, b->z, x, b->s->n, NULL);
    if (b->o->judge == NULL) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &b->seen, n * (size_t)lcm_codec_dim(b->o->judge), sizeof *b->seen));
    LCM_TRY(lcm_calloc(ctx, &b->judged, n * (size_t)lcm_codec_dim(b->o->judge), sizeof *b->judged));
    return lcm_sentences_encode(ctx, b->seen, NULL, b->o->judge, b->s, 0, b->s->n);
}

lcm_status lcm_fragility(lcm_ctx *ctx, double *out, double *level_sum, const lcm_sentences *s, const real *x, int64_t first,
                         const lcm_fragility_opts *o) {
    bench b = {.o = o, .s = s, .D = lcm_codec_dim(o->codec), .first = first};
    lcm_status st = check(ctx, o);
    memset(out, 0, (size_t)s->n * sizeof *out);
    if (st == LCM_OK) st = alloc(ctx, &b, x);
    for (size_t level = 0; st == LCM_OK && level < o->n_levels; level++)
        for (int64_t draw = 0; st == LCM_OK && draw < o->draws; draw++) {
            noise(&b, level, draw);
            lcm_sentences_clear(&b.out);
            st = lcm_sentences_decode(ctx, &b.out, o->codec, b.y, s->n, o->beam);
            if (st == LCM_OK) st = score_all(ctx, out, &level_sum[level], &b);
        }
    lcm_sentences_free(&b.out);
    free(b.z);
    free(b.y);
    free(b.seen);
    free(b.judged);
    return st;
}
