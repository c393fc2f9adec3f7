/* The discriminator. */
#include "lcm/coherence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/simd.h"
#include "modelfile/params_io.h"

#define CENTER "sonar_normalizer.center"
#define SCALE "sonar_normalizer.scale"

const lcm_field lcm_coherence_fields[] = {
    LCM_F_INT(lcm_coherence_config, sonar_embed_dim, 1, 65536, "size of a concept"),
    LCM_F_INT(lcm_coherence_config, context, 1, 1048576, "concepts before the candidate that are averaged"),
    LCM_F_INT(lcm_coherence_config, hidden_dim, 1, 65536, "width of both layers"),
    LCM_F_REAL(lcm_coherence_config, dropout_p, 0, 0.95, "of features and layers"),
    LCM_F_END};

lcm_coherence_config lcm_coherence_config_default(void) {
    return (lcm_coherence_config){.sonar_embed_dim = 1024, .context = 4, .hidden_dim = 512, .dropout_p = 0.1};
}

/* ---- the model ---- */

static lcm_status build(lcm_ctx *ctx, lcm_coherence *m) {
    const lcm_coherence_config *c = &m->config;
    lcm_normalizer_config nz = lcm_normalizer_config_default();
    lcm_init init = {LCM_INIT_UNIFORM, 1 / sqrt((double)c->hidden_dim)};
    m->params.ctx = ctx;
    nz.dim = c->sonar_embed_dim;
    LCM_TRY(lcm_normalizer_new(ctx, &m->normalizer, &nz));
    m->first = lcm_linear_new(&m->params, LCM_COHERENCE_FEATURES * c->sonar_embed_dim, c->hidden_dim, true, LCM_LINEAR_DEFAULT, "first");
    m->second = lcm_linear_new(&m->params, c->hidden_dim, c->hidden_dim, true, LCM_LINEAR_DEFAULT, "second");
    m->classes = lcm_params_matrix(&m->params, 2, c->hidden_dim, init, "classes.weight");
    return m->params.status;
}

static lcm_status registered(lcm_ctx *ctx, lcm_coherence **out, const lcm_coherence_config *config) {
    lcm_coherence *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    st = build(ctx, m);
    if (st) lcm_coherence_free(m);
    else *out = m;
    return st;
}

lcm_status lcm_coherence_new(lcm_ctx *ctx, lcm_coherence **out, const lcm_coherence_config *config, bool with_grad) {
    lcm_status st = registered(ctx, out, config);
    if (st == LCM_OK) st = lcm_params_alloc(ctx, &(*out)->params, with_grad);
    if (st) {
        lcm_coherence_free(*out);
        *out = NULL;
    }
    return st;
}

void lcm_coherence_free(lcm_coherence *m) {
    if (m == NULL) return;
    lcm_normalizer_free(m->normalizer);
    lcm_params_free(&m->params);
    free(m);
}

void lcm_coherence_features(real *row, const lcm_coherence *m, const real *x, int64_t n, const real *c) {
    int64_t D = m->config.sonar_embed_dim, k = lcm_min_i(n, m->config.context);
    const real *last = x + (n - 1) * D;
    for (int64_t i = 0; i < D; i++) {
        double sum = 0;
        for (int64_t r = n - k; r < n; r++) sum += (double)x[r * D + i];
        row[i] = (real)(sum / (double)k);
        row[D + i] = last[i];
        row[2 * D + i] = c[i];
        row[3 * D + i] = row[i] * c[i];
        row[4 * D + i] = last[i] * c[i];
    }
}

lcm_tensor *lcm_coherence_fwd(lcm_tape *t, const lcm_coherence *m, lcm_tensor *features) {
    double p = m->config.dropout_p;
    lcm_tensor *h = lcm_linear_fwd(t, &m->first, lcm_op_dropout(t, features, p));
    h = lcm_op_dropout(t, lcm_op_act(t, h, LCM_ACT_GELU), p);
    return lcm_op_dropout(t, lcm_op_act(t, lcm_linear_fwd(t, &m->second, h), LCM_ACT_GELU), p);
}

/* ---- scores ---- */

lcm_status lcm_coherence_logit(lcm_ctx *ctx, double *out, lcm_tape *t, const lcm_coherence *m, const real *z, int64_t n, int64_t from) {
    int64_t D = m->config.sonar_embed_dim, H = m->config.hidden_dim, rows = n - from;
    real *f;
    lcm_tensor *h;
    double sum = 0;
    LCM_ASSERT(from >= 1);
    (void)ctx;
    *out = NAN;
    if (rows < 1) return LCM_OK;
    lcm_tape_reset(t, (lcm_tape_opts){0});
    f = lcm_tape_alloc(t, (size_t)(rows * LCM_COHERENCE_FEATURES * D) * sizeof *f);
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < rows; i++)
        lcm_coherence_features(f + i * LCM_COHERENCE_FEATURES * D, m, z, from + i, z + (from + i) * D);
    h = lcm_coherence_fwd(t, m, lcm_tensor_const(t, f, rows, LCM_COHERENCE_FEATURES * D));
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < rows * H; i++)
        sum += (double)h->x[i] * ((double)m->classes->x[LCM_COHERENCE_TRUE * H + i % H] - (double)m->classes->x[LCM_COHERENCE_FOREIGN * H + i % H]);
    *out = sum / (double)rows;
    return LCM_OK;
}

lcm_status lcm_coherence_score(lcm_ctx *ctx, double *out, const lcm_coherence *m, const real *x, int64_t n, int64_t from) {
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    real *z = NULL;
    lcm_status st = LCM_OK;
    if (t == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: coherence");
    if (st == LCM_OK) st = lcm_calloc(ctx, &z, (size_t)(n * m->config.sonar_embed_dim) + 1, sizeof *z);
    if (st == LCM_OK) lcm_normalize(m->normalizer, z, x, n, NULL);
    if (st == LCM_OK) st = lcm_coherence_logit(ctx, out, t, m, z, n, from);
    if (st == LCM_OK) *out = 1 / (1 + exp(-*out / 3));
    free(z);
    lcm_tape_free(t);
    return st;
}

/* ---- files ---- */

lcm_status lcm_coherence_write(lcm_ctx *ctx, lcm_buf *out, const lcm_coherence *m, const lcm_coherence_save_opts *o) {
    json_t *config = lcm_config_write(&m->config, lcm_coherence_fields);
    lcm_st_writer *w = NULL;
    lcm_status st = config ? lcm_st_writer_new(ctx, &w) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, w, "coherence", o->space, config, o->provenance);
    if (st == LCM_OK && o->train) st = lcm_train_record_write(ctx, w, o->train);
    if (st == LCM_OK) st = lcm_st_writer_add_real(ctx, w, CENTER, LCM_DT_F32, &m->config.sonar_embed_dim, 1, m->normalizer->center);
    if (st == LCM_OK) st = lcm_st_writer_add_real(ctx, w, SCALE, LCM_DT_F32, &m->config.sonar_embed_dim, 1, m->normalizer->scale);
    if (st == LCM_OK) st = lcm_params_put(ctx, w, &m->params, o->x, LCM_DT_REAL);
    if (st == LCM_OK) st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    json_decref(config);
    return st;
}

static lcm_status read_values(lcm_ctx *ctx, lcm_coherence *m, const lcm_st *st) {
    const lcm_st_tensor *center, *scale;
    int64_t D = m->config.sonar_embed_dim;
    LCM_TRY(lcm_st_require(ctx, &center, st, CENTER, &D, 1)); /* sizes first: the file must hold what is allocated */
    LCM_TRY(lcm_st_require(ctx, &scale, st, SCALE, &D, 1));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        const lcm_st_tensor *t;
        LCM_TRY(lcm_st_require(ctx, &t, st, p->name, p->is_vector ? dims + 1 : dims, p->is_vector ? 1 : 2));
    }
    if (lcm_st_count(st) != m->params.n + 2)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%zu tensors, a coherence model has %zu", lcm_st_count(st), m->params.n + 2);
    LCM_TRY(lcm_params_alloc(ctx, &m->params, false));
    LCM_TRY(lcm_params_get(ctx, &m->params, st));
    LCM_TRY(lcm_st_read_real(ctx, m->normalizer->center, center, D));
    LCM_TRY(lcm_st_read_real(ctx, m->normalizer->scale, scale, D));
    return lcm_normalizer_check(ctx, m->normalizer);
}

lcm_status lcm_coherence_load(lcm_ctx *ctx, lcm_coherence **out, lcm_model_meta *meta, const char *path) {
    lcm_coherence_config c = lcm_coherence_config_default();
    lcm_st *file;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_model_open(ctx, &file, meta, path, "coherence"));
    st = lcm_config_read(ctx, &c, lcm_coherence_fields, meta->config, "lcm.config");
    if (st == LCM_OK) st = registered(ctx, out, &c);
    if (st == LCM_OK) st = read_values(ctx, *out, file);
    lcm_st_close(file);
    if (st == LCM_OK) return LCM_OK;
    lcm_coherence_free(*out);
    *out = NULL;
    lcm_model_meta_free(meta);
    return lcm_fail_within(ctx, lcm_model_blame(st), "%s", path);
}
