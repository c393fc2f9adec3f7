/* The generation loop. */
#include "lcm/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/distance.h"
#include "kernels/simd.h"
#include "lcm/registry.h"

const lcm_field lcm_generate_fields[] = {
    LCM_F_INT(lcm_generate_config, max_gen_len, 1, 1048576, "generated concepts at most"),
    LCM_F_INT(lcm_generate_config, min_gen_len, 0, 1048576, "first generated concept (from 0) that may stop"),
    LCM_F_REAL(lcm_generate_config, eos_threshold, -1, 2, "stop at this cosine with the end concept"),
    LCM_F_REAL(lcm_generate_config, repetition_threshold, 0, 2,
               "stop at this cosine with the concept before, 0 = off"),
    LCM_F_BOOL(lcm_generate_config, trim_hypotheses, "drop the concept that stopped a document"),
    LCM_F_BOOL(lcm_generate_config, include_eos_token, "keep it nevertheless"),
    LCM_F_INT(lcm_generate_config, seed, 0, 9e15, "seed of the noise"),
    LCM_F_REAL(lcm_generate_config, temperature, 0, 100, "noise on predictions (base); of the choice of units (quant)"),
    LCM_F_INT(lcm_generate_config, top_k, 0, 1048576, "units to choose among, 0 = all (quant)"),
    LCM_F_REAL(lcm_generate_config, top_p, 0, 1, "probability of the units to choose among, 0 and 1 = all (quant)"),
    LCM_F_STRUCT(lcm_generate_config, sampler, lcm_sampler_fields, "denoising (diffusion models)"),
    LCM_F_INT(lcm_generate_config, candidates, 1, LCM_MAX_CANDIDATES, "drawn for every concept"),
    LCM_F_REAL(lcm_generate_config, min_score, -100, 0, "at which one is taken, 0 = the best of all"),
    LCM_F_END};

lcm_generate_config lcm_generate_config_default(void) {
    lcm_generate_config c = {.max_gen_len = 200,
                             .min_gen_len = 1,
                             .eos_threshold = 0.9,
                             .seed = 42,
                             .sampler = lcm_sampler_config_default(),
                             .candidates = 1};
    return c;
}

void lcm_generated_free(lcm_generated *g) {
    free(g->x);
    free(g->off);
    free(g->stop);
    memset(g, 0, sizeof *g);
}

/* State of one call. Concepts of document d lie at x + (d max_gen_len + index) D until packed. */
typedef struct loop {
    const lcm_generate_config *config;
    const lcm_prompts *prompts;
    const lcm_generate_hooks *hooks;
    lcm_concept_noise noise;
    int64_t D, K, n_active, step; /* K: candidates */
    lcm_predictor *predictor;
    real *x, *fresh;     /* all generated; of this step (n K, D), then those that go on (n, D) */
    int32_t *slot, *off; /* of active documents; 0 … n */
    int32_t *asked;      /* (n K) the slot of each candidate */
    int32_t *len;        /* (n) concepts kept of each document */
    uint64_t *doc;       /* (n K) */
    int64_t *index;      /* (n K) */
    uint8_t *stop;       /* (n) */
} loop;

static void draw_default(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    const lcm_generate_config *c = user;
    lcm_rng rng = lcm_rng_make((uint64_t)c->seed, LCM_RNG_SAMPLE + (doc << 8) + ((uint64_t)index << 40));
    rng.index = (uint64_t)call * 2 * (uint64_t)D;
    for (int64_t i = 0; i < D; i++) out[i] = (real)lcm_rng_normal(&rng);
}

static lcm_status check(lcm_ctx *ctx, const lcm_model *m, const lcm_prompts *p, const lcm_generate_config *c,
                        int64_t *cap) {
    *cap = 0;
    if (p->n < 1 || p->off[0] != 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no prompt");
    if (c->candidates < 1 || c->candidates > LCM_MAX_CANDIDATES)
        LCM_FAIL(ctx, LCM_ERR_ARG, "%lld candidates, allowed are 1 … %d", (long long)c->candidates, LCM_MAX_CANDIDATES);
    for (int64_t d = 0; d < p->n; d++) {
        int64_t len = (int64_t)p->off[d + 1] - p->off[d];
        if (len < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "prompt %lld is empty", (long long)d);
        /* the last concept is not read back */
        if (len + c->max_gen_len - 1 > m->max_seq_len)
            LCM_FAIL(ctx, LCM_ERR_LIMIT,
                     "prompt %lld: %lld concepts and %lld to generate, the model reads %lld", (long long)d,
                     (long long)len, (long long)c->max_gen_len, (long long)m->max_seq_len);
        *cap = lcm_max_i(*cap, len + c->max_gen_len - 1);
    }
    for (int64_t i = 0; i < p->off[p->n] * m->embed_dim; i++)
        if (!isfinite(p->x[i]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "prompts: concept %lld is not finite",
                     (long long)(i / m->embed_dim));
    return LCM_OK;
}

static lcm_status loop_new(lcm_ctx *ctx, loop *l, const lcm_model *m, int64_t cap) {
    lcm_predict_config pc = {.temperature = l->config->temperature, .top_k = l->config->top_k,
                             .top_p = l->config->top_p, .sampler = l->config->sampler, .candidates = l->config->candidates};
    size_t n = (size_t)l->prompts->n, rows = n * (size_t)l->config->candidates, room;
    l->D = m->embed_dim;
    l->K = l->config->candidates;
    if (!lcm_mul_size(&room, n * (size_t)l->D, (size_t)l->config->max_gen_len))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%zu documents of %lld concepts are too many", n,
                 (long long)l->config->max_gen_len);
    LCM_TRY(lcm_calloc(ctx, &l->x, room, sizeof *l->x));
    LCM_TRY(lcm_calloc(ctx, &l->fresh, rows * (size_t)l->D, sizeof *l->fresh));
    LCM_TRY(lcm_calloc(ctx, &l->slot, n, sizeof *l->slot));
    LCM_TRY(lcm_calloc(ctx, &l->off, n + 1, sizeof *l->off));
    LCM_TRY(lcm_calloc(ctx, &l->len, n, sizeof *l->len));
    LCM_TRY(lcm_calloc(ctx, &l->asked, rows, sizeof *l->asked));
    LCM_TRY(lcm_calloc(ctx, &l->doc, rows, sizeof *l->doc));
    LCM_TRY(lcm_calloc(ctx, &l->index, rows, sizeof *l->index));
    LCM_TRY(lcm_calloc(ctx, &l->stop, n, sizeof *l->stop));
    for (size_t i = 0; i < n; i++) l->slot[i] = (int32_t)i;
    for (size_t i = 0; i <= n; i++) l->off[i] = (int32_t)i;
    l->n_active = (int64_t)n;
    return m->type->predictor_new(ctx, &l->predictor, m, &pc, (int64_t)n, cap);
}

static void loop_clear(loop *l) {
    if (l->predictor) l->predictor->free(l->predictor);
    free(l->x);
    free(l->fresh);
    free(l->slot);
    free(l->asked);
    free(l->off);
    free(l->len);
    free(l->doc);
    free(l->index);
    free(l->stop);
}

lcm_stop lcm_generate_stop(const lcm_generate_config *c, int64_t index, const real *eos, const real *before, const real *x,
                           int64_t D) {
    if (index < c->min_gen_len) return LCM_STOP_LENGTH;
    if (eos && lcm_cosine(eos, x, D) >= c->eos_threshold) return LCM_STOP_EOS;
    if (c->repetition_threshold > 0 && lcm_cosine(before, x, D) >= c->repetition_threshold)
        return LCM_STOP_REPETITION;
    return LCM_STOP_LENGTH;
}

/* Whether the fresh concept x of document d ends it. */
static bool stops(loop *l, int32_t d, const real *x) {
    const lcm_prompts *p = l->prompts;
    const real *before = l->step ? x - l->D : p->x + (p->off[d + 1] - 1) * l->D;
    lcm_stop why = lcm_generate_stop(l->config, l->step, p->eos, before, x, l->D);
    l->stop[d] = (uint8_t)why;
    return why != LCM_STOP_LENGTH;
}

static lcm_status check_finite(lcm_ctx *ctx, const loop *l, int32_t d, const real *x) {
    for (int64_t k = 0; k < l->D; k++)
        if (!isfinite(x[k]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "document %d: generated concept %lld is not finite", d, (long long)l->step);
    return LCM_OK;
}

/* Stores the fresh concepts, and keeps the documents that go on (and their concepts, in fresh). */
static lcm_status settle(lcm_ctx *ctx, loop *l) {
    const lcm_generate_config *c = l->config;
    int64_t kept = 0, D = l->D;
    for (int64_t i = 0; i < l->n_active; i++) {
        int32_t d = l->slot[i];
        real *x = l->x + (d * c->max_gen_len + l->step) * D, *fresh = l->fresh + i * l->K * D;
        for (int64_t k = 0; k < l->K; k++) LCM_TRY(check_finite(ctx, l, d, fresh + k * D));
        if (l->hooks && l->hooks->on_concept) {
            LCM_TRY(l->hooks->on_concept(ctx, l->hooks->user, d, l->step, fresh));
            LCM_TRY(check_finite(ctx, l, d, fresh));
        }
        memcpy(x, fresh, (size_t)D * sizeof *x);
        l->len[d] = (int32_t)l->step + 1;
        if (stops(l, d, x)) {
            l->len[d] -= c->trim_hypotheses && !c->include_eos_token;
            continue;
        }
        memcpy(l->fresh + kept * D, x, (size_t)D * sizeof *x);
        l->slot[kept++] = d;
    }
    l->n_active = kept;
    return LCM_OK;
}

static lcm_status feed(lcm_ctx *ctx, loop *l, const real *x, int64_t n, const int32_t *off) {
    LCM_TRY(l->predictor->feed(ctx, l->predictor, x, n, l->slot, off));
    if (l->hooks && l->hooks->on_context) l->hooks->on_context(l->hooks->user);
    return LCM_OK;
}

static lcm_status run(lcm_ctx *ctx, loop *l) {
    lcm_predictor *p = l->predictor;
    LCM_TRY(feed(ctx, l, l->prompts->x, l->prompts->n, l->prompts->off));
    for (l->step = 0; l->n_active > 0; l->step++) {
        lcm_asked asked = {l->n_active * l->K, l->asked, l->doc, l->index};
        for (int64_t i = 0; i < asked.n; i++) {
            int32_t d = l->slot[i / l->K];
            l->asked[i] = d;
            l->doc[i] = l->prompts->doc ? l->prompts->doc[d] : (uint64_t)d;
            l->index[i] = l->step * l->K + i % l->K;
        }
        LCM_TRY(p->next(ctx, p, l->fresh, &asked, &l->noise));
        LCM_TRY(settle(ctx, l));
        if (l->step + 1 == l->config->max_gen_len) break;
        if (l->n_active > 0) LCM_TRY(feed(ctx, l, l->fresh, l->n_active, l->off));
    }
    return LCM_OK;
}

static lcm_status collect(lcm_ctx *ctx, lcm_generated *out, loop *l) {
    int64_t n = l->prompts->n, total = 0;
    for (int64_t d = 0; d < n; d++) total += l->len[d];
    LCM_TRY(lcm_calloc(ctx, &out->x, (size_t)(total * l->D) + 1, sizeof *out->x));
    for (int64_t d = 0; d < n; d++) {
        l->off[d + 1] = l->off[d] + l->len[d];
        memcpy(out->x + l->off[d] * l->D, l->x + d * l->config->max_gen_len * l->D,
               (size_t)(l->len[d] * l->D) * sizeof *out->x);
    }
    out->n = n;
    out->off = l->off;
    out->stop = l->stop;
    l->off = NULL;
    l->stop = NULL;
    return LCM_OK;
}

lcm_status lcm_generate(lcm_ctx *ctx, lcm_generated *out, const lcm_model *m, const lcm_prompts *prompts,
                        const lcm_generate_config *config, const lcm_generate_hooks *hooks) {
    loop l = {.config = config,
              .prompts = prompts,
              .hooks = hooks,
              .noise = {draw_default, (void *)(uintptr_t)config}};
    lcm_status st;
    int64_t cap;
    memset(out, 0, sizeof *out);
    LCM_TRY(check(ctx, m, prompts, config, &cap));
    if (hooks && hooks->noise.draw) l.noise = hooks->noise;
    st = loop_new(ctx, &l, m, cap);
    if (st == LCM_OK) st = run(ctx, &l);
    if (st == LCM_OK) st = collect(ctx, out, &l);
    loop_clear(&l);
    return st;
}
