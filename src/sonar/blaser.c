/* BLASER 2.0. */
#include "sonar/blaser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/distance.h"
#include "kernels/gemm.h"
#include "modelfile/model_meta.h"
#include "modelfile/params_io.h"

static const char *const form_names[] = {"qe", "ref", NULL};
static const int layer_names[3] = {1, 4, 7};
static const int64_t features[2] = {4, 6};

const lcm_field lcm_blaser_fields[] = {
    LCM_F_ENUM(lcm_blaser_config, form, form_names, "with a reference or without"),
    LCM_F_INT(lcm_blaser_config, dim, 1, 65536, "width of the vectors"),
    LCM_F_INT(lcm_blaser_config, hidden_dim, 1, 1048576, "first hidden width"),
    LCM_F_INT(lcm_blaser_config, hidden_dim2, 1, 1048576, "second hidden width"),
    LCM_F_END};

static lcm_status build(lcm_ctx *ctx, lcm_blaser **out, const lcm_blaser_config *c) {
    int64_t width[4] = {features[c->form] * c->dim, c->hidden_dim, c->hidden_dim2, 1};
    lcm_init zero = {LCM_INIT_ZERO, 0};
    lcm_blaser *b;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &b, 1, sizeof *b));
    b->config = *c;
    b->params.ctx = ctx;
    for (int i = 0; i < 3; i++) {
        b->w[i] = lcm_params_matrix(&b->params, width[i + 1], width[i], zero, "mlp.%d.weight", layer_names[i]);
        b->b[i] = lcm_params_vector(&b->params, width[i + 1], zero, "mlp.%d.bias", layer_names[i]);
    }
    st = b->params.status;
    if (st) lcm_blaser_free(b);
    else *out = b;
    return st;
}

lcm_status lcm_blaser_new(lcm_ctx *ctx, lcm_blaser **out, const lcm_blaser_config *c) {
    lcm_status st;
    LCM_TRY(build(ctx, out, c));
    st = lcm_params_alloc(ctx, &(*out)->params, false);
    if (st) {
        lcm_blaser_free(*out);
        *out = NULL;
    }
    return st;
}

void lcm_blaser_free(lcm_blaser *b) {
    if (b == NULL) return;
    lcm_params_free(&b->params);
    free(b);
}

lcm_status lcm_blaser_load(lcm_ctx *ctx, lcm_blaser **out, const char *path) {
    lcm_blaser_config c = {.form = LCM_BLASER_QE, .dim = 1024, .hidden_dim = 3072, .hidden_dim2 = 1536};
    lcm_model_meta meta;
    lcm_st *file;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_model_open(ctx, &file, &meta, path, "blaser"));
    st = lcm_config_read(ctx, &c, lcm_blaser_fields, meta.config, "lcm.config");
    if (st == LCM_OK) st = lcm_blaser_new(ctx, out, &c);
    if (st == LCM_OK) st = lcm_params_get(ctx, &(*out)->params, file);
    if (st == LCM_OK) (*out)->space = meta.space;
    lcm_model_meta_free(&meta);
    lcm_st_close(file);
    if (st == LCM_OK) return st;
    lcm_blaser_free(*out);
    *out = NULL;
    return lcm_fail_within(ctx, lcm_model_blame(st), "'%s'", path);
}

static void unit(real *out, const real *x, int64_t D) {
    double scale = 1 / fmax(sqrt(lcm_dot(x, x, D)), 1e-12);
    for (int64_t k = 0; k < D; k++) out[k] = (real)((double)x[k] * scale);
}

/* One row of features; u: room for 3 D. */
static void combine(real *f, real *u, const real *src, const real *mt, const real *ref, int64_t D) {
    real *s = u, *m = u + D, *r = u + 2 * D;
    unit(s, src, D);
    unit(m, mt, D);
    if (ref) unit(r, ref, D);
    for (int64_t k = 0; k < D; k++) {
        real *o = f + k;
        *o = ref ? r[k] : s[k], o += D;
        *o = m[k], o += D;
        *o = s[k] * m[k], o += D;
        if (ref) *o = r[k] * m[k], o += D;
        *o = (real)fabs((double)(m[k] - s[k])), o += D;
        if (ref) *o = (real)fabs((double)(m[k] - r[k]));
    }
}

lcm_status lcm_blaser_score(lcm_ctx *ctx, double *scores, const lcm_blaser *b, const real *src, const real *mt,
                            const real *ref, int64_t n) {
    const lcm_blaser_config *c = &b->config;
    int64_t D = c->dim, in = features[c->form] * D;
    real *x = NULL, *h1, *h2, *u, y;
    if ((ref != NULL) != (c->form == LCM_BLASER_REF))
        LCM_FAIL(ctx, LCM_ERR_ARG, "this BLASER model scores %s a reference", c->form == LCM_BLASER_REF ? "with" : "without");
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(in + c->hidden_dim + c->hidden_dim2 + 3 * D), sizeof *x));
    h1 = x + in;
    h2 = h1 + c->hidden_dim;
    u = h2 + c->hidden_dim2;
    for (int64_t i = 0; i < n; i++) {
        combine(x, u, src + i * D, mt + i * D, ref ? ref + i * D : NULL, D);
        lcm_k_linear_fwd(NULL, h1, x, b->w[0]->x, b->b[0]->x, 1, in, c->hidden_dim);
        for (int64_t k = 0; k < c->hidden_dim; k++) h1[k] = (real)tanh((double)h1[k]);
        lcm_k_linear_fwd(NULL, h2, h1, b->w[1]->x, b->b[1]->x, 1, c->hidden_dim, c->hidden_dim2);
        for (int64_t k = 0; k < c->hidden_dim2; k++) h2[k] = (real)tanh((double)h2[k]);
        lcm_k_linear_fwd(NULL, &y, h2, b->w[2]->x, b->b[2]->x, 1, c->hidden_dim2, 1);
        scores[i] = (double)y;
    }
    free(x);
    return LCM_OK;
}

bool lcm_blaser_import_is(const lcm_weights *w) {
    return lcm_weights_count(w) == 6 && lcm_weights_find(w, "mlp.1.weight") && lcm_weights_find(w, "mlp.4.weight") &&
           lcm_weights_find(w, "mlp.7.weight");
}

static lcm_status infer(lcm_ctx *ctx, lcm_blaser_config *c, const lcm_weights *w, const char *const *set, size_t n_set) {
    const lcm_weight *a = lcm_weights_find(w, "mlp.1.weight"), *b = lcm_weights_find(w, "mlp.4.weight");
    json_t *config;
    lcm_status st = LCM_OK;
    if (a->ndim != 2 || b->ndim != 2) LCM_FAIL(ctx, LCM_ERR_SHAPE, "the weights of a BLASER model are matrices");
    *c = (lcm_blaser_config){.form = a->dims[1] == 6 * 1024, .hidden_dim = a->dims[0], .hidden_dim2 = b->dims[0]};
    config = lcm_config_write(c, lcm_blaser_fields);
    if (config == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    json_object_del(config, "dim");
    for (size_t i = 0; st == LCM_OK && i < n_set; i++) st = lcm_json_override(ctx, config, set[i]);
    if (st == LCM_OK) st = lcm_config_read(ctx, c, lcm_blaser_fields, config, "configuration");
    json_decref(config);
    if (st == LCM_OK && c->dim == 0) c->dim = a->dims[1] / features[c->form];
    if (st == LCM_OK && (c->dim < 1 || c->dim > 65536 || c->dim * features[c->form] != a->dims[1]))
        st = lcm_fail(ctx, LCM_ERR_SHAPE, "input of width %lld is not %lld vectors", (long long)a->dims[1], (long long)features[c->form]);
    return st;
}

static lcm_status write_file(lcm_ctx *ctx, const char *path, lcm_blaser *b, lcm_import *imp, lcm_weights *w, int dtype,
                             uint64_t space, const json_t *provenance) {
    json_t *config = lcm_config_write(&b->config, lcm_blaser_fields);
    lcm_st_writer *out = NULL;
    lcm_status st = config ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (size_t i = 0; st == LCM_OK && i < b->params.n; i++) {
        const lcm_weight *t = lcm_weights_find(w, b->params.items[i]->name);
        st = t ? lcm_import_add(ctx, imp, b->params.items[i], w, t, false)
               : lcm_fail(ctx, LCM_ERR_NOTFOUND, "no tensor '%s'", b->params.items[i]->name);
    }
    if (st == LCM_OK) st = lcm_import_check(ctx, imp, dtype);
    if (st == LCM_OK) st = lcm_st_writer_new(ctx, &out);
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, out, "blaser", space, config, provenance);
    if (st == LCM_OK) st = lcm_import_put(ctx, imp, out, dtype);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, out, path);
    lcm_st_writer_free(out);
    json_decref(config);
    return st;
}

lcm_status lcm_blaser_import(lcm_ctx *ctx, const char *path, lcm_weights *w, int dtype, const char *const *set, size_t n_set,
                             uint64_t space, const json_t *provenance) {
    lcm_blaser_config c;
    lcm_import imp = {0};
    lcm_blaser *b;
    lcm_status st;
    LCM_TRY(infer(ctx, &c, w, set, n_set));
    LCM_TRY(build(ctx, &b, &c));
    lcm_log(ctx, LCM_LOG_INFO, "BLASER 2.0 %s, vectors of %lld numbers", form_names[c.form], (long long)c.dim);
    st = write_file(ctx, path, b, &imp, w, dtype, space, provenance);
    lcm_import_free(&imp);
    lcm_blaser_free(b);
    return st;
}
