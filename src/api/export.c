/* lcm_export: a model file in another storage type, with a sample and its provenance. */
#include "lcm/export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/sample.h"
#include "kernels/int8.h"

static const double F16_MAX = 65504;

typedef struct job {
    const lcm_export_opts *opts;
    lcm_st *in;
    lcm_model_meta meta;
    lcm_st_writer *w;
    void **copies; /* of converted tensors; two for each in the file: scales too */
    lcm_sample sample;
} job;

static bool of_sample(const char *name) { return strncmp(name, LCM_SAMPLE_PREFIX, strlen(LCM_SAMPLE_PREFIX)) == 0; }

/* A table that both parts share bears the decoder's name. */
static bool of_part(const job *j, const char *name) {
    bool decoder = strncmp(name, "decoder", 7) == 0, table = strncmp(name, "decoder_frontend.", 17) == 0;
    if (j->opts->part == LCM_EXPORT_ALL || strncmp(name, "tokenizer.", 10) == 0) return true;
    if (j->opts->part == LCM_EXPORT_DECODER) return decoder;
    return !decoder || (table && lcm_st_find(j->in, "encoder_frontend.embed.weight") == NULL);
}

/* Unchanged numbers keep the sample that goes with them. */
static bool keeps_sample(const lcm_export_opts *o) { return o->dtype == LCM_EXPORT_KEEP && !o->selftest && o->part == LCM_EXPORT_ALL; }

static bool is_float(lcm_dtype t) { return t == LCM_DT_F64 || t == LCM_DT_F32 || t == LCM_DT_F16 || t == LCM_DT_BF16; }

/* In place where the file's numbers are ours, else a copy. */
static lcm_status values(lcm_ctx *ctx, const real **x, void **copy, const lcm_st_tensor *t) {
    int64_t n = lcm_st_elements(t);
    *x = t->data;
    if (t->dtype == LCM_DT_REAL && lcm_st_aligned(t)) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, copy, (size_t)n + 1, sizeof(real)));
    *x = *copy;
    return lcm_st_read_real(ctx, *copy, t, n);
}

static lcm_status put_int8(lcm_ctx *ctx, job *j, size_t i, const lcm_st_tensor *t, const real *x) {
    int64_t out = t->dims[0], in = t->dims[1], panels = lcm_i8_panels(out), padded = panels * LCM_I8_PANEL;
    int64_t dims[4] = {panels, lcm_i8_groups(in), LCM_I8_PANEL, LCM_I8_GROUP};
    char name[LCM_ST_MAX_NAME + 8];
    uint8_t *packed;
    float *scale;
    if (in > LCM_I8_MAX_IN)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tensor '%.200s' has %lld columns, int8 ends at %d", t->name, (long long)in, LCM_I8_MAX_IN);
    LCM_TRY(lcm_calloc(ctx, &scale, (size_t)padded + 1, sizeof *scale));
    j->copies[2 * i + 1] = scale;
    LCM_TRY(lcm_calloc(ctx, &packed, lcm_i8_size(out, in) + 1, 1));
    lcm_i8_pack(packed, scale, x, out, in);
    free(j->copies[2 * i]);
    j->copies[2 * i] = packed;
    for (int64_t o = 0; o < out; o++)
        if (!isfinite(scale[o]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%.200s' holds a non-finite value in row %lld", t->name, (long long)o);
    snprintf(name, sizeof name, "%s.scale", t->name);
    LCM_TRY(lcm_st_writer_add(ctx, j->w, name, LCM_DT_F32, &padded, 1, scale));
    return lcm_st_writer_add(ctx, j->w, t->name, LCM_DT_U8, dims, 4, packed);
}

static lcm_status convert(lcm_ctx *ctx, job *j, size_t i, const lcm_st_tensor *t) {
    static const lcm_dtype types[] = {LCM_DT_F32, LCM_DT_F32, LCM_DT_F16, LCM_DT_BF16, LCM_DT_F32};
    int64_t n = lcm_st_elements(t);
    lcm_dtype to = t->ndim >= 2 ? types[j->opts->dtype] : LCM_DT_F32;
    const real *x;
    LCM_TRY(values(ctx, &x, &j->copies[2 * i], t));
    for (int64_t k = 0; to == LCM_DT_F16 && k < n; k++)
        if (!(fabs((double)x[k]) <= F16_MAX))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%.200s' holds %g, F16 ends at %g", t->name, (double)x[k], F16_MAX);
    if (j->opts->dtype == LCM_EXPORT_INT8 && t->ndim == 2) return put_int8(ctx, j, i, t, x);
    return lcm_st_writer_add_real(ctx, j->w, t->name, to, t->dims, t->ndim, x);
}

static lcm_status put_tensors(lcm_ctx *ctx, job *j) {
    bool left_out = false;
    LCM_TRY(lcm_calloc(ctx, &j->copies, 2 * lcm_st_count(j->in) + 1, sizeof *j->copies));
    for (size_t i = 0; i < lcm_st_count(j->in); i++) {
        const lcm_st_tensor *t = lcm_st_at(j->in, i);
        if (of_sample(t->name) && !keeps_sample(j->opts)) left_out = true;
        else if (!of_part(j, t->name)) continue;
        else if (j->opts->dtype != LCM_EXPORT_KEEP && t->dtype == LCM_DT_U8 && t->ndim == 4)
            LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "tensor '%.200s' is int8 already; convert the file that it was made from", t->name);
        else if (j->opts->dtype != LCM_EXPORT_KEEP && is_float(t->dtype)) LCM_TRY(convert(ctx, j, i, t));
        else LCM_TRY(lcm_st_writer_add(ctx, j->w, t->name, t->dtype, t->dims, t->ndim, t->data));
    }
    if (left_out && !j->opts->selftest)
        lcm_log(ctx, LCM_LOG_WARN, "the self-test sample was left out: it belongs to the %s", j->opts->part ? "whole model" : "old numbers");
    return LCM_OK;
}

static lcm_status put_meta(lcm_ctx *ctx, job *j) {
    const char *key;
    json_t *given;
    char *text;
    lcm_status st;
    for (size_t i = 0; (key = lcm_st_meta_key(j->in, i)) != NULL; i++)
        if (strcmp(key, LCM_SAMPLE_META) != 0 || keeps_sample(j->opts))
            LCM_TRY(lcm_st_writer_meta(ctx, j->w, key, lcm_st_meta(j->in, key)));
    if (j->opts->provenance == NULL) return LCM_OK;
    LCM_TRY(lcm_json_parse(ctx, &given, j->opts->provenance, strlen(j->opts->provenance), "provenance"));
    if (!json_is_object(given)) {
        json_decref(given);
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "provenance: a JSON object is required");
    }
    text = json_dumps(given, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(given);
    st = text ? lcm_st_writer_meta(ctx, j->w, "lcm.provenance", text) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    free(text);
    return st;
}

/* Of the numbers as just written. */
static lcm_status make_sample(lcm_ctx *ctx, job *j, const char *path) {
    lcm_sonar_file f;
    lcm_llama_file llama;
    lcm_model *m;
    lcm_status st;
    if (strcmp(j->meta.kind, "sonar") == 0) {
        LCM_TRY(lcm_sonar_load(ctx, &f, path, LCM_SONAR_BOTH));
        st = lcm_sample_of_sonar(ctx, &j->sample, &f);
        lcm_sonar_file_close(&f);
        return st;
    }
    if (strcmp(j->meta.kind, "llama") == 0) {
        LCM_TRY(lcm_llama_load(ctx, &llama, path, false));
        st = lcm_sample_of_llama(ctx, &j->sample, &llama);
        lcm_llama_file_close(&llama);
        return st;
    }
    LCM_TRY(lcm_model_load(ctx, &m, NULL, path, false));
    st = lcm_sample_of_model(ctx, &j->sample, m);
    lcm_model_free(m);
    return st;
}

static lcm_status export_to(lcm_ctx *ctx, job *j, const char *out) {
    LCM_TRY(lcm_st_writer_new(ctx, &j->w));
    LCM_TRY(put_tensors(ctx, j));
    LCM_TRY(put_meta(ctx, j));
    LCM_TRY(lcm_st_writer_commit(ctx, j->w, out));
    if (!j->opts->selftest) return LCM_OK;
    LCM_TRY(make_sample(ctx, j, out));
    LCM_TRY(lcm_sample_put(ctx, j->w, &j->sample));
    return lcm_st_writer_commit(ctx, j->w, out);
}

lcm_status lcm_export(lcm_ctx *ctx, const char *in, const char *out, const lcm_export_opts *opts) {
    static const lcm_export_opts none;
    job j = {.opts = opts ? opts : &none};
    lcm_status st;
    if (j.opts->dtype < LCM_EXPORT_KEEP || j.opts->dtype > LCM_EXPORT_INT8) LCM_FAIL(ctx, LCM_ERR_ARG, "export: dtype %d", j.opts->dtype);
    if (j.opts->part < LCM_EXPORT_ALL || j.opts->part > LCM_EXPORT_DECODER) LCM_FAIL(ctx, LCM_ERR_ARG, "export: part %d", j.opts->part);
    if (j.opts->part && j.opts->selftest) LCM_FAIL(ctx, LCM_ERR_ARG, "export: a self-test needs encoder and decoder, not a part");
    LCM_TRY(lcm_model_open(ctx, &j.in, &j.meta, in, NULL));
    if (j.opts->part && strcmp(j.meta.kind, "sonar") != 0)
        st = lcm_fail(ctx, LCM_ERR_ARG, "'%s' is a model of kind '%s'; parts are those of SONAR models", in, j.meta.kind);
    else if (j.opts->dtype == LCM_EXPORT_INT8 && strcmp(j.meta.kind, "sonar") != 0)
        st = lcm_fail(ctx, LCM_ERR_UNSUPPORTED, "'%s' is a model of kind '%s'; int8 is for SONAR models", in, j.meta.kind);
    else st = export_to(ctx, &j, out);
    for (size_t i = 0; j.copies && i < 2 * lcm_st_count(j.in); i++) free(j.copies[i]);
    free(j.copies);
    lcm_st_writer_free(j.w);
    lcm_sample_free(&j.sample);
    lcm_model_meta_free(&j.meta);
    lcm_st_close(j.in);
    return st;
}
