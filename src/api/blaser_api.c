/* include/lcm/blaser_score.h */
#include "lcm/blaser_score.h"

#include <stdlib.h>

#include "api/bundle_int.h"
#include "api/floats.h"
#include "modelfile/model_meta.h"
#include "sonar/blaser.h"

lcm_status lcm_blaser_open(lcm_ctx *ctx, lcm_blaser **out, const char *path, const lcm_bundle *b) {
    lcm_status st;
    LCM_TRY(lcm_blaser_load(ctx, out, path));
    st = b ? lcm_model_check_space(ctx, (*out)->space, path, b->sonar.space) : LCM_OK;
    if (st == LCM_OK) return st;
    lcm_blaser_free(*out);
    *out = NULL;
    return st;
}

void lcm_blaser_close(lcm_blaser *m) { lcm_blaser_free(m); }
int64_t lcm_blaser_dim(const lcm_blaser *m) { return m->config.dim; }
int lcm_blaser_needs_reference(const lcm_blaser *m) { return m->config.form == LCM_BLASER_REF; }

lcm_status lcm_blaser_rate(lcm_ctx *ctx, double *scores, const lcm_blaser *m, const float *src, const float *mt, const float *ref,
                           size_t n) {
    size_t count = n * (size_t)m->config.dim;
    real *x = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &x, 3 * count + 1, sizeof *x));
    lcm_floats_to_real(x, src, count);
    lcm_floats_to_real(x + count, mt, count);
    if (ref) lcm_floats_to_real(x + 2 * count, ref, count);
    st = lcm_blaser_score(ctx, scores, m, x, x + count, ref ? x + 2 * count : NULL, (int64_t)n);
    free(x);
    return st;
}
