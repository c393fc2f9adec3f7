/* Common part of the predictors. */
#include "lcm/predictor.h"

#include <stdlib.h>

#include "lcm/registry.h"

lcm_status lcm_predictor_init(lcm_ctx *ctx, lcm_predictor *p, const lcm_model *m, const lcm_predict_config *c,
                              int64_t slots, int64_t cap) {
    if (m->rvq == NULL && (c->top_k != 0 || (c->top_p > 0 && c->top_p < 1)))
        LCM_FAIL(ctx, LCM_ERR_ARG, "%s: a %s model predicts vectors, only quant models choose among units",
                 c->top_k != 0 ? "top_k" : "top_p", m->type->name);
    if ((m->schedule || m->rvq) && c->sampler.guidance_scale != 1 && !m->has_guidance)
        LCM_FAIL(ctx, LCM_ERR_ARG, "guidance_scale %g needs a model trained_with_cf_guidance; use 1",
                 c->sampler.guidance_scale);
    p->model = m;
    p->config = *c;
    p->slots = slots;
    p->cap = cap;
    p->rows = slots * (c->candidates > 1 ? c->candidates : 1);
    p->tape = lcm_tape_new(ctx, 1 << 20);
    if (p->tape == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: step arena");
    return lcm_calloc(ctx, &p->len, (size_t)slots, sizeof *p->len);
}

void lcm_predictor_clear(lcm_predictor *p) {
    lcm_tape_free(p->tape);
    free(p->len);
}

lcm_tensor *lcm_predictor_begin(lcm_predictor *p, lcm_kv_rows *rows, const real *x, int64_t n,
                                const int32_t *slot, const int32_t *off) {
    lcm_tensor *z;
    lcm_tape_reset(p->tape, (lcm_tape_opts){.record = false, .train = false});
    *rows = lcm_kv_rows_make(p->tape, n, slot, off, p->len);
    z = lcm_tensor_const(p->tape, lcm_model_normalize(p->tape, p->model, x, off[n], 0), off[n],
                         p->model->embed_dim);
    return rows->pos && z && z->x ? z : NULL;
}

lcm_asked_slots lcm_predictor_asked_slots(const lcm_predictor *p) {
    const lcm_asked *a = p->asked;
    lcm_asked_slots s = {.slot = lcm_tape_alloc(p->tape, (size_t)(2 * a->n + 1) * sizeof *s.slot)};
    if (s.slot == NULL) return s;
    s.off = s.slot + a->n;
    for (int64_t i = 0; i < a->n; i++) {
        if (s.n == 0 || s.slot[s.n - 1] != a->slot[i]) s.slot[s.n++] = a->slot[i];
        s.off[s.n] = (int32_t)i + 1;
    }
    s.off[0] = 0;
    return s;
}

typedef struct asked_noise {
    const lcm_asked *asked;
    const lcm_concept_noise *noise;
} asked_noise;

static void draw_asked(void *user, real *out, int64_t rows, int64_t dim, int64_t call) {
    const asked_noise *s = user;
    for (int64_t r = 0; r < rows; r++)
        s->noise->draw(s->noise->user, out + r * dim, dim, s->asked->doc[r], s->asked->index[r], call);
}

lcm_status lcm_predictor_sample(lcm_ctx *ctx, lcm_predictor *p, real *x, lcm_sampler *s, lcm_denoise_fn denoise,
                                const lcm_asked *a, const lcm_concept_noise *noise) {
    asked_noise source = {a, noise};
    p->asked = a;
    LCM_TRY(lcm_sampler_run(ctx, x, s, a->n, denoise, p, draw_asked, &source));
    lcm_denormalize(p->model->normalizer, x, x, a->n, NULL);
    return LCM_OK;
}
