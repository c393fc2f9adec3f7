/* Concept model files. */
#include "lcm/model_io.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "modelfile/params_io.h"

static const double F16_MAX = 65504;

typedef struct normalizer_tensor {
    char name[LCM_PARAM_NAME];
    real *x;
} normalizer_tensor;

enum { NORMALIZER_TENSORS = 2 };

static int normalizer_tensors(normalizer_tensor out[NORMALIZER_TENSORS], const lcm_model *m) {
    if (m->normalizer == NULL) return 0;
    snprintf(out[0].name, sizeof out[0].name, "%s.center", m->normalizer_name);
    snprintf(out[1].name, sizeof out[1].name, "%s.scale", m->normalizer_name);
    out[0].x = m->normalizer->center;
    out[1].x = m->normalizer->scale;
    return NORMALIZER_TENSORS;
}

/* A file that could not be loaded must not be written. */
static lcm_status check_values(lcm_ctx *ctx, const lcm_model *m, const lcm_model_save_opts *o) {
    double most = o->dtype == LCM_DT_F16 ? F16_MAX : 3.4e38;
    if (o->dtype != LCM_DT_F32 && o->dtype != LCM_DT_F16)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a model is stored as F32 or F16, not %s", lcm_dtype_name(o->dtype));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        const real *x = (o->x ? o->x : m->params.x) + p->offset;
        for (int64_t k = 0; k < p->t.rows * p->t.cols; k++)
            if (!(fabs((double)x[k]) <= most))
                LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s' holds %g at element %lld: not finite as %s",
                         p->name, (double)x[k], (long long)k, lcm_dtype_name(o->dtype));
    }
    return m->normalizer ? lcm_normalizer_check(ctx, m->normalizer) : LCM_OK;
}

static lcm_status fill(lcm_ctx *ctx, lcm_st_writer *w, const lcm_model *m, const lcm_model_save_opts *o) {
    normalizer_tensor nz[NORMALIZER_TENSORS];
    int n = normalizer_tensors(nz, m);
    json_t *config = lcm_model_config_json(m);
    lcm_status st;
    if (config == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration as JSON");
    st = lcm_model_meta_write(ctx, w, m->type->name, o->space, config, o->provenance);
    json_decref(config);
    LCM_TRY(st);
    if (o->train) LCM_TRY(lcm_train_record_write(ctx, w, o->train));
    if (o->prompt) LCM_TRY(lcm_model_meta_put(ctx, w, "lcm.prompt", o->prompt));
    for (int i = 0; i < n; i++)
        LCM_TRY(lcm_st_writer_add_real(ctx, w, nz[i].name, LCM_DT_F32, &m->embed_dim, 1, nz[i].x));
    return lcm_params_put(ctx, w, &m->params, o->x, o->dtype);
}

static lcm_status writer_for(lcm_ctx *ctx, lcm_st_writer **out, const lcm_model *m,
                             const lcm_model_save_opts *o) {
    lcm_status st;
    LCM_TRY(check_values(ctx, m, o));
    LCM_TRY(lcm_st_writer_new(ctx, out));
    st = fill(ctx, *out, m, o);
    if (st) lcm_st_writer_free(*out);
    return st;
}

lcm_status lcm_model_save(lcm_ctx *ctx, const lcm_model *m, const lcm_model_save_opts *o, const char *path) {
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(writer_for(ctx, &w, m, o));
    st = lcm_st_writer_commit(ctx, w, path);
    lcm_st_writer_free(w);
    return st;
}

lcm_status lcm_model_write(lcm_ctx *ctx, lcm_buf *out, const lcm_model *m, const lcm_model_save_opts *o) {
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(writer_for(ctx, &w, m, o));
    st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    return st;
}

/* Every name the model has is in the file and has its shape, and the file has no other. */
static lcm_status check_names(lcm_ctx *ctx, const lcm_model *m, const lcm_st *st) {
    normalizer_tensor nz[NORMALIZER_TENSORS];
    int n = normalizer_tensors(nz, m);
    size_t known = (size_t)n + m->params.n;
    const lcm_st_tensor *t;
    for (int i = 0; i < n; i++) LCM_TRY(lcm_st_require(ctx, &t, st, nz[i].name, &m->embed_dim, 1));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        LCM_TRY(lcm_st_require(ctx, &t, st, p->name, p->is_vector ? dims + 1 : dims, p->is_vector ? 1 : 2));
    }
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const char *name = lcm_st_at(st, i)->name;
        bool mine = strncmp(name, "selftest.", 9) == 0;
        if (mine) known++;
        for (int k = 0; k < n && !mine; k++) mine = strcmp(name, nz[k].name) == 0;
        if (!mine && lcm_params_find(&m->params, name) == NULL)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.200s' is not part of this %s model", name,
                     m->type->name);
    }
    LCM_ASSERT(known == lcm_st_count(st)); /* names in a file are distinct */
    return LCM_OK;
}

static lcm_status read_values(lcm_ctx *ctx, lcm_model *m, const lcm_st *st, bool with_grad) {
    normalizer_tensor nz[NORMALIZER_TENSORS];
    int n = normalizer_tensors(nz, m);
    LCM_TRY(check_names(ctx, m, st));
    LCM_TRY(lcm_model_alloc(ctx, m, with_grad));
    LCM_TRY(lcm_params_get(ctx, &m->params, st));
    for (int i = 0; i < n; i++)
        LCM_TRY(lcm_st_read_real(ctx, nz[i].x, lcm_st_find(st, nz[i].name), m->embed_dim));
    return m->normalizer ? lcm_normalizer_check(ctx, m->normalizer) : LCM_OK;
}

lcm_status lcm_model_read(lcm_ctx *ctx, lcm_model **out, const lcm_st *st, const lcm_model_meta *meta,
                          bool with_grad) {
    lcm_model *m;
    lcm_status status;
    *out = NULL;
    status = lcm_model_register(ctx, &m, meta->kind, meta->config, "lcm.config");
    if (status) return lcm_model_blame(status);
    status = read_values(ctx, m, st, with_grad);
    if (status) {
        lcm_model_free(m);
        return lcm_model_blame(status);
    }
    *out = m;
    return LCM_OK;
}

lcm_status lcm_model_load(lcm_ctx *ctx, lcm_model **out, lcm_model_meta *meta, const char *path,
                          bool with_grad) {
    lcm_model_meta own;
    lcm_st *st;
    lcm_status status;
    *out = NULL;
    if (meta) memset(meta, 0, sizeof *meta);
    LCM_TRY(lcm_model_open(ctx, &st, &own, path, NULL));
    status = lcm_model_read(ctx, out, st, &own, with_grad);
    if (status) lcm_fail_within(ctx, status, "%s", path);
    lcm_st_close(st);
    if (status == LCM_OK && meta)
        *meta = own;
    else
        lcm_model_meta_free(&own);
    return status;
}
