/* lcm_export: a model file in another storage type, with a sample and its provenance. */
#include "lcm/export.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/sample.h"

static const double F16_MAX = 65504;

typedef struct job {
    const lcm_export_opts *opts;
    lcm_st *in;
    lcm_model_meta meta;
    lcm_st_writer *w;
    real **copies; /* of converted tensors; count = lcm_st_count(in) */
    lcm_sample sample;
} job;

static bool of_sample(const char *name) { return strncmp(name, LCM_SAMPLE_PREFIX, strlen(LCM_SAMPLE_PREFIX)) == 0; }

/* Unchanged numbers keep the sample that goes with them. */
static bool keeps_sample(const lcm_export_opts *o) { return o->dtype == LCM_EXPORT_KEEP && !o->selftest; }

static bool is_float(lcm_dtype t) { return t == LCM_DT_F64 || t == LCM_DT_F32 || t == LCM_DT_F16 || t == LCM_DT_BF16; }

static lcm_status convert(lcm_ctx *ctx, job *j, size_t i, const lcm_st_tensor *t) {
    int64_t n = lcm_st_elements(t);
    lcm_dtype to = j->opts->dtype == LCM_EXPORT_F16 && t->ndim >= 2 ? LCM_DT_F16 : LCM_DT_F32;
    LCM_TRY(lcm_calloc(ctx, &j->copies[i], (size_t)n + 1, sizeof(real)));
    LCM_TRY(lcm_st_read_real(ctx, j->copies[i], t, n));
    for (int64_t k = 0; to == LCM_DT_F16 && k < n; k++)
        if (!(fabs((double)j->copies[i][k]) <= F16_MAX))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%.200s' holds %g, F16 ends at %g", t->name, (double)j->copies[i][k], F16_MAX);
    return lcm_st_writer_add_real(ctx, j->w, t->name, to, t->dims, t->ndim, j->copies[i]);
}

static lcm_status put_tensors(lcm_ctx *ctx, job *j) {
    bool left_out = false;
    LCM_TRY(lcm_calloc(ctx, &j->copies, lcm_st_count(j->in) + 1, sizeof *j->copies));
    for (size_t i = 0; i < lcm_st_count(j->in); i++) {
        const lcm_st_tensor *t = lcm_st_at(j->in, i);
        if (of_sample(t->name) && !keeps_sample(j->opts)) left_out = true;
        else if (j->opts->dtype != LCM_EXPORT_KEEP && is_float(t->dtype)) LCM_TRY(convert(ctx, j, i, t));
        else LCM_TRY(lcm_st_writer_add(ctx, j->w, t->name, t->dtype, t->dims, t->ndim, t->data));
    }
    if (left_out && !j->opts->selftest)
        lcm_log(ctx, LCM_LOG_WARN, "the self-test sample was left out: it belongs to the old numbers");
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
        LCM_TRY(lcm_sonar_load(ctx, &f, path, LCM_SONAR_BOTH, false));
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
    if (j.opts->dtype < LCM_EXPORT_KEEP || j.opts->dtype > LCM_EXPORT_F16) LCM_FAIL(ctx, LCM_ERR_ARG, "export: dtype %d", j.opts->dtype);
    LCM_TRY(lcm_model_open(ctx, &j.in, &j.meta, in, NULL));
    st = export_to(ctx, &j, out);
    for (size_t i = 0; j.copies && i < lcm_st_count(j.in); i++) free(j.copies[i]);
    free(j.copies);
    lcm_st_writer_free(j.w);
    lcm_sample_free(&j.sample);
    lcm_model_meta_free(&j.meta);
    lcm_st_close(j.in);
    return st;
}
