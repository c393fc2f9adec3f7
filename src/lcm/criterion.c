/* Loss options, and the common end of every loss. */
#include "lcm/criterion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "kernels/simd.h"
#include "lcm/concept_model.h"

static const char *const reduction_names[] = {"sum", "mean", NULL};

const lcm_field lcm_criterion_fields[] = {
    LCM_F_ENUM(lcm_criterion_config, reduction, reduction_names, "over target concepts"),
    LCM_F_BOOL(lcm_criterion_config, compute_rmse, "root of the squared error of each concept"),
    LCM_F_BOOL(lcm_criterion_config, log_unnormalized, "also measure the loss in SONAR space"),
    LCM_F_INT(lcm_criterion_config, min_context_size, 1, 1048576,
              "first predicted position of a document (base)"),
    LCM_F_REAL(lcm_criterion_config, cf_guidance_probability, 0, 0.95,
               "share of rows trained without context"),
    LCM_F_BOOL(lcm_criterion_config, compat_guidance_rows, "choose those rows as the reference code does"),
    LCM_F_STRUCT(lcm_criterion_config, step_sampling, lcm_step_sampler_fields,
                 "noise levels and their weights"),
    LCM_F_STRUCT(lcm_criterion_config, fragility, lcm_fragility_weight_fields, "weights of concepts"),
    LCM_F_STRUCT(lcm_criterion_config, decoder, lcm_decoder_loss_fields, "loss of what the decoder says to predicted concepts"),
    LCM_F_END};

lcm_criterion_config lcm_criterion_config_default(void) {
    lcm_criterion_config c = {.min_context_size = 1, .step_sampling = lcm_step_sampler_config_default(),
                              .fragility = lcm_fragility_weight_default(), .decoder = {.weight = 0, .share = 1}};
    return c;
}

lcm_status lcm_criterion_new(lcm_ctx *ctx, lcm_criterion **out, const lcm_model *m,
                             const lcm_criterion_config *config) {
    lcm_criterion *c;
    lcm_status st = LCM_OK;
    *out = NULL;
    if ((m->schedule || m->rvq) && (config->cf_guidance_probability > 0) != m->has_guidance)
        LCM_FAIL(ctx, LCM_ERR_ARG,
                 "cf_guidance_probability is %g, but the model's trained_with_cf_guidance is %s",
                 config->cf_guidance_probability, m->has_guidance ? "true" : "false");
    if (config->decoder.weight > 0) LCM_TRY(lcm_decoder_loss_check(ctx, m));
    LCM_TRY(lcm_calloc(ctx, &c, 1, sizeof *c));
    c->config = *config;
    c->lang = -1;
    if (m->schedule) st = lcm_step_sampler_new(ctx, &c->steps, m->schedule, &config->step_sampling);
    if (st) {
        lcm_criterion_free(c);
        return st;
    }
    *out = c;
    return LCM_OK;
}

void lcm_criterion_free(lcm_criterion *c) {
    if (c == NULL) return;
    lcm_step_sampler_free(c->steps);
    free(c);
}

real *lcm_model_normalize(lcm_tape *t, const lcm_model *m, const real *x, int64_t rows, int64_t extra) {
    size_t n = (size_t)(rows * m->embed_dim);
    real *z = lcm_tape_alloc(t, (n + (size_t)(extra * m->embed_dim)) * sizeof *z);
    if (z == NULL) return NULL;
    if (m->normalizer)
        lcm_normalize(m->normalizer, z, x, rows, NULL);
    else
        memcpy(z, x, n * sizeof *z);
    memset(z + n, 0, (size_t)(extra * m->embed_dim) * sizeof *z);
    return z;
}

static double squared_distance(const real *a, const real *b, const real *scale, int64_t D) {
    double d = 0;
    for (int64_t c = 0; c < D; c++) {
        double e = (double)a[c] - (double)b[c];
        if (scale) e *= (double)scale[c];
        d += e * e;
    }
    return d;
}

void lcm_model_loss_finish(lcm_tape *t, lcm_model_loss *loss, const lcm_model *m, lcm_tensor *p,
                           const real *target, const real *w, const uint8_t *counted,
                           const lcm_criterion_config *c) {
    lcm_loss l = lcm_op_sq_err(t, p, target, w, c->compute_rmse);
    int64_t D = m->embed_dim;
    loss->out = NULL;
    if (l.out == NULL) return;
    loss->sum = l.sum;
    loss->squared = loss->unnormalized = 0;
    loss->rows = l.rows;
    loss->n_rows = p->rows;
    for (int64_t r = 0; r < p->rows; r++) {
        if (counted && !counted[r]) {
            l.rows[r] = 0;
            continue;
        }
        /* sqrt(d + 1e-5) was kept, not d */
        loss->squared += c->compute_rmse ? (double)l.rows[r] * (double)l.rows[r] - 1e-5 : (double)l.rows[r];
        if (c->log_unnormalized) {
            const real *scale = m->normalizer ? m->normalizer->scale : NULL; /* the centre cancels */
            double d = squared_distance(p->x + r * D, target + r * D, scale, D);
            loss->unnormalized += c->compute_rmse ? sqrt(d + 1e-5) : d;
        }
    }
    loss->out = l.out;
    if (c->reduction == LCM_REDUCE_MEAN && loss->n_targets > 0)
        loss->out = lcm_op_scale(t, l.out, (real)(1 / (double)loss->n_targets));
}
