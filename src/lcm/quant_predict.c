/* Quant-LCM, one concept at a time: K passes, each adds a centroid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/token_sampler.h"
#include "lcm/one_tower_predict.h"
#include "lcm/quant.h"

typedef struct quant_predictor {
    lcm_one_context c;
    real *sum, *out, *logit; /* (2 rows, D), (2 rows, width), (rows, U) */
    lcm_candidate *scratch;  /* (U) */
} quant_predictor;

static const lcm_quant *quant(const quant_predictor *w) { return (const lcm_quant *)w->c.p.model; }

static int64_t width(const lcm_quant *m) { return m->units ? m->config.model_dim : m->config.sonar_embed_dim; }

static void quant_free(lcm_predictor *p) {
    quant_predictor *w = (quant_predictor *)p;
    free(w->sum);
    free(w->out);
    free(w->logit);
    free(w->scratch);
    lcm_one_context_clear(&w->c);
    free(w);
}

/* Uniform from the normal that the caller draws for this concept and codebook. */
static double draw_uniform(const lcm_concept_noise *noise, const lcm_asked *a, int64_t i, int64_t call) {
    real normal;
    noise->draw(noise->user, &normal, 1, a->doc[i], a->index[i], call);
    return 0.5 * erfc(-(double)normal / sqrt(2.0));
}

/* Both branches of guidance are linear up to here: logits are a linear function of quant_d's output. */
static void guide(real *cond, const real *uncond, int64_t n, double scale) {
    for (int64_t i = 0; i < n; i++) cond[i] = uncond[i] + (real)scale * (cond[i] - uncond[i]);
}

static lcm_status add_centroid(quant_predictor *w, int64_t k, const lcm_asked *a, const lcm_concept_noise *noise) {
    const lcm_quant *m = quant(w);
    const lcm_predict_config *c = &w->c.p.config;
    int64_t n = a->n, D = m->config.sonar_embed_dim, U = m->config.units, O = width(m);
    lcm_sampler_opts choice = {c->temperature, c->top_k, c->top_p};
    double scale = c->sampler.guidance_scale;
    if (scale != 1) memcpy(w->sum + n * D, w->sum, (size_t)(n * D) * sizeof *w->sum);
    LCM_TRY(lcm_one_context_pass(&w->c, w->out, w->sum, scale != 1 ? 2 * n : n, (int32_t)k));
    if (scale != 1) guide(w->out, w->out + n * O, n * O, scale);
    lcm_quant_logits(w->logit, m, k, w->out, w->sum, n);
    for (int64_t i = 0; i < n; i++) {
        double u = c->temperature == 0 ? 0 : draw_uniform(noise, a, i, k);
        int32_t unit = lcm_sample_token(w->logit + i * U, U, &choice, u, w->scratch);
        lcm_rvq_add(w->sum + i * D, &m->rvq, k, &unit, 1);
    }
    return LCM_OK;
}

static lcm_status quant_next(lcm_ctx *ctx, lcm_predictor *p, real *x, const lcm_asked *a, const lcm_concept_noise *noise) {
    quant_predictor *w = (quant_predictor *)p;
    const lcm_quant *m = quant(w);
    LCM_TRY(lcm_one_context_check(ctx, p, a));
    p->asked = a;
    memset(w->sum, 0, (size_t)(a->n * m->config.sonar_embed_dim) * sizeof *w->sum);
    for (int64_t k = 0; k < m->config.codebooks; k++) LCM_TRY(add_centroid(w, k, a, noise));
    lcm_denormalize(p->model->normalizer, x, w->sum, a->n, NULL);
    return LCM_OK;
}

static lcm_status quant_make(lcm_ctx *ctx, quant_predictor *w, const lcm_model *model, const lcm_predict_config *c,
                             int64_t slots, int64_t cap) {
    const lcm_quant *m = (const lcm_quant *)model;
    int64_t *level, rows;
    lcm_status st;
    LCM_TRY(lcm_one_context_init(ctx, &w->c, model, c, slots, cap));
    rows = w->c.p.rows;
    LCM_TRY(lcm_calloc(ctx, &w->sum, (size_t)(2 * rows * m->config.sonar_embed_dim), sizeof *w->sum));
    LCM_TRY(lcm_calloc(ctx, &w->out, (size_t)(2 * rows * width(m)), sizeof *w->out));
    LCM_TRY(lcm_calloc(ctx, &w->logit, (size_t)(rows * m->config.units), sizeof *w->logit));
    LCM_TRY(lcm_calloc(ctx, &w->scratch, (size_t)m->config.units, sizeof *w->scratch));
    LCM_TRY(lcm_calloc(ctx, &level, (size_t)m->config.codebooks, sizeof *level));
    for (int64_t k = 0; k < m->config.codebooks; k++) level[k] = k;
    st = lcm_one_context_levels(ctx, &w->c, level, m->config.codebooks);
    free(level);
    return st;
}

lcm_status lcm_quant_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *model, const lcm_predict_config *c,
                                   int64_t slots, int64_t cap) {
    quant_predictor *w;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->c.p.free = quant_free;
    w->c.p.next = quant_next;
    st = quant_make(ctx, w, model, c, slots, cap);
    if (st) {
        quant_free(&w->c.p);
        return st;
    }
    *out = &w->c.p;
    return LCM_OK;
}
