/* Codebook files. */
#include "quant/rvq_io.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/params_io.h"

#define NORMALIZER_KEY "lcm.normalizer"
enum { OTHER_TENSORS = 2 };
static const char *const normalizer_names[OTHER_TENSORS] = {"normalizer.center", "normalizer.scale"};

uint64_t lcm_normalizer_hash(const lcm_normalizer *nz) {
    uint64_t h = LCM_HASH_INIT;
    const real *parts[2] = {nz->center, nz->scale};
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < nz->config.dim; i++) {
            float v = (float)parts[p][i];
            h = lcm_hash64(h, &v, sizeof v);
        }
    return h;
}

lcm_status lcm_rvq_check_normalizer(lcm_ctx *ctx, const lcm_rvq_file *f, const char *path, const lcm_normalizer *nz,
                                    const char *what) {
    uint64_t mine = lcm_normalizer_hash(f->normalizer), theirs = lcm_normalizer_hash(nz);
    if (mine != theirs)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "codebooks '%s' were fitted behind normaliser %016" PRIx64 ", %s has %016" PRIx64, path,
                 mine, what, theirs);
    return LCM_OK;
}

lcm_status lcm_rvq_check_space(lcm_ctx *ctx, const lcm_rvq_file *f, const char *path, uint64_t space, const char *what) {
    if (f->space != space)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "codebooks '%s' were fitted in the SONAR space %016" PRIx64 ", %s speaks %016" PRIx64, path,
                 f->space, what, space);
    return LCM_OK;
}

void lcm_rvq_file_close(lcm_rvq_file *f) {
    lcm_rvq_free(&f->rvq);
    lcm_params_free(&f->params);
    lcm_normalizer_free(f->normalizer);
    memset(f, 0, sizeof *f);
}

/* Parameters without memory: a loader looks at the sizes first. */
static lcm_status declare(lcm_ctx *ctx, lcm_rvq_file *f, const lcm_rvq_config *config, uint64_t space) {
    lcm_normalizer_config n = lcm_normalizer_config_default();
    n.dim = config->dim;
    f->space = space;
    f->params.ctx = ctx;
    LCM_TRY(lcm_normalizer_new(ctx, &f->normalizer, &n));
    return lcm_rvq_register(ctx, &f->rvq, &f->params, config, "codebooks");
}

lcm_status lcm_rvq_file_new(lcm_ctx *ctx, lcm_rvq_file *out, const lcm_rvq_config *config, uint64_t space) {
    lcm_status st;
    memset(out, 0, sizeof *out);
    st = declare(ctx, out, config, space);
    if (st == LCM_OK) st = lcm_params_alloc(ctx, &out->params, false);
    if (st) lcm_rvq_file_close(out);
    return st;
}

/* ---- writing ---- */

static lcm_status fill(lcm_ctx *ctx, lcm_st_writer *w, const lcm_rvq_file *f, int64_t codebooks, const json_t *provenance) {
    lcm_rvq_config config = f->rvq.config;
    json_t *json;
    char hex[17];
    lcm_status st;
    config.codebooks = codebooks;
    json = lcm_config_write(&config, lcm_rvq_fields);
    if (json == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    st = lcm_model_meta_write(ctx, w, "rvq", f->space, json, provenance);
    json_decref(json);
    LCM_TRY(st);
    lcm_space_format(hex, lcm_normalizer_hash(f->normalizer));
    LCM_TRY(lcm_st_writer_meta(ctx, w, NORMALIZER_KEY, hex));
    LCM_TRY(lcm_st_writer_add_real(ctx, w, normalizer_names[0], LCM_DT_F32, &config.dim, 1, f->normalizer->center));
    LCM_TRY(lcm_st_writer_add_real(ctx, w, normalizer_names[1], LCM_DT_F32, &config.dim, 1, f->normalizer->scale));
    for (int64_t k = 0; k < codebooks; k++) {
        const lcm_tensor *c = f->rvq.book[k];
        int64_t dims[2] = {c->rows, c->cols};
        LCM_TRY(lcm_st_writer_add_real(ctx, w, f->params.items[k]->name, LCM_DT_REAL, dims, 2, c->x));
    }
    return LCM_OK;
}

lcm_status lcm_rvq_write(lcm_ctx *ctx, lcm_buf *out, const lcm_rvq_file *f, int64_t codebooks, const json_t *provenance) {
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = fill(ctx, w, f, codebooks, provenance);
    if (st == LCM_OK) st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    return st;
}

/* ---- reading ---- */

static lcm_status check_tensors(lcm_ctx *ctx, const lcm_rvq_file *f, const lcm_st *st) {
    const lcm_st_tensor *t;
    for (int i = 0; i < OTHER_TENSORS; i++) LCM_TRY(lcm_st_require(ctx, &t, st, normalizer_names[i], &f->rvq.config.dim, 1));
    for (size_t i = 0; i < f->params.n; i++) {
        int64_t dims[2] = {f->rvq.config.units, f->rvq.config.dim};
        LCM_TRY(lcm_st_require(ctx, &t, st, f->params.items[i]->name, dims, 2));
    }
    if (lcm_st_count(st) != OTHER_TENSORS + f->params.n)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "%zu tensors, codebooks have %zu", lcm_st_count(st), OTHER_TENSORS + f->params.n);
    return LCM_OK;
}

static lcm_status read(lcm_ctx *ctx, lcm_rvq_file *f, const lcm_st *st, const lcm_model_meta *meta) {
    lcm_rvq_config c = {0};
    const char *hex = lcm_st_meta(st, NORMALIZER_KEY);
    uint64_t named;
    LCM_TRY(lcm_config_read(ctx, &c, lcm_rvq_fields, meta->config, "lcm.config"));
    if (c.dim == 0 || c.codebooks == 0 || c.units == 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "lcm.config: dim, codebooks and units are required");
    if (hex == NULL || !lcm_space_parse(&named, hex))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, NORMALIZER_KEY ": 16 hex digits are required");
    LCM_TRY(declare(ctx, f, &c, meta->space));
    LCM_TRY(check_tensors(ctx, f, st));
    LCM_TRY(lcm_params_alloc(ctx, &f->params, false));
    LCM_TRY(lcm_params_get(ctx, &f->params, st));
    LCM_TRY(lcm_st_read_real(ctx, f->normalizer->center, lcm_st_find(st, normalizer_names[0]), c.dim));
    LCM_TRY(lcm_st_read_real(ctx, f->normalizer->scale, lcm_st_find(st, normalizer_names[1]), c.dim));
    LCM_TRY(lcm_normalizer_check(ctx, f->normalizer));
    if (lcm_normalizer_hash(f->normalizer) != named)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "the normaliser in the file is not the one it names, %s", hex);
    return LCM_OK;
}

lcm_status lcm_rvq_load(lcm_ctx *ctx, lcm_rvq_file *out, const char *path) {
    lcm_model_meta meta;
    lcm_st *st;
    lcm_status status;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, "rvq"));
    status = lcm_model_blame(read(ctx, out, st, &meta));
    if (status) {
        lcm_fail_within(ctx, status, "'%s'", path);
        lcm_rvq_file_close(out);
    }
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    return status;
}
