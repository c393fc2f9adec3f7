/* lcm_selftest: replays the sample of a model file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/sample.h"
#include "kernels/distance.h"
#include "lcm/export.h"

/* Processors add up in different orders, which moves a float32 result by about 1e-6 per layer and,
 * through ten denoising steps, by 1e-4 at worst; wrong code or damaged numbers move it by 1e-1. */
static const double TOLERANCE = 1e-3;

static double relative(const real *a, const real *b, int64_t D) {
    return lcm_l2(a, b, D) / fmax(sqrt(lcm_dot(b, b, D)), 1e-30);
}

static void compare(lcm_selftest_report *r, const lcm_sample *now, const lcm_sample *then) {
    const json_t *a = json_object_get(now->meta, "decoded"), *b = json_object_get(then->meta, "decoded");
    bool texts = then->next == NULL;
    r->vectors = texts ? then->n : 1;
    r->texts = texts ? then->n : 0;
    for (int64_t i = 0; i < r->vectors; i++) {
        double d = texts ? relative(now->vectors + i * then->D, then->vectors + i * then->D, then->D)
                         : relative(now->next, then->next, then->D);
        if (!(d <= r->worst)) r->worst = d; /* a NaN is kept */
    }
    for (size_t i = 0; i < (size_t)r->texts; i++) r->texts_different += !json_equal(json_array_get(a, i), json_array_get(b, i));
    r->tolerance = TOLERANCE;
    r->passed = r->worst <= TOLERANCE && r->texts_different == 0;
}

static lcm_status replay_sonar(lcm_ctx *ctx, lcm_selftest_report *r, const lcm_st *st, const char *path) {
    lcm_sonar_file f;
    lcm_sample then = {0}, now = {0};
    lcm_status status;
    LCM_TRY(lcm_sonar_load(ctx, &f, path, LCM_SONAR_BOTH));
    status = lcm_sample_get(ctx, &then, st, true, lcm_sonar_dim(&f.config));
    if (status == LCM_OK) status = lcm_sample_replay_sonar(ctx, &now, &f, &then);
    if (status == LCM_OK) compare(r, &now, &then);
    lcm_sample_free(&then);
    lcm_sample_free(&now);
    lcm_sonar_file_close(&f);
    return status;
}

static lcm_status replay_llama(lcm_ctx *ctx, lcm_selftest_report *r, const lcm_st *st, const char *path) {
    lcm_llama_file f;
    lcm_sample then = {0}, now = {0};
    lcm_status status;
    LCM_TRY(lcm_llama_load(ctx, &f, path, false));
    status = lcm_sample_get(ctx, &then, st, true, 1);
    if (status == LCM_OK) status = lcm_sample_replay_llama(ctx, &now, &f, &then);
    if (status == LCM_OK) compare(r, &now, &then);
    lcm_sample_free(&then);
    lcm_sample_free(&now);
    lcm_llama_file_close(&f);
    return status;
}

static lcm_status replay_model(lcm_ctx *ctx, lcm_selftest_report *r, const lcm_st *st, const lcm_model_meta *meta) {
    lcm_model *m;
    lcm_sample then = {0}, now = {0};
    lcm_status status;
    LCM_TRY(lcm_model_read(ctx, &m, st, meta, false));
    status = lcm_sample_get(ctx, &then, st, false, m->embed_dim);
    if (status == LCM_OK) status = lcm_sample_replay_model(ctx, &now, m, &then);
    if (status == LCM_OK) compare(r, &now, &then);
    lcm_sample_free(&then);
    lcm_sample_free(&now);
    lcm_model_free(m);
    return status;
}

lcm_status lcm_selftest(lcm_ctx *ctx, lcm_selftest_report *report, const char *path) {
    lcm_selftest_report r = {0};
    lcm_model_meta meta;
    lcm_st *st;
    lcm_status status;
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, NULL));
    snprintf(r.kind, sizeof r.kind, "%s", meta.kind);
    if (lcm_st_meta(st, LCM_SAMPLE_META) == NULL)
        status = lcm_fail(ctx, LCM_ERR_NOTFOUND, "no self-test sample in it; lcm export --selftest adds one to a whole model");
    else if (strcmp(meta.kind, "sonar") == 0) status = replay_sonar(ctx, &r, st, path);
    else if (strcmp(meta.kind, "llama") == 0) status = replay_llama(ctx, &r, st, path);
    else status = replay_model(ctx, &r, st, &meta);
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    if (status) return lcm_fail_within(ctx, status, "'%s'", path);
    *report = r;
    return LCM_OK;
}
