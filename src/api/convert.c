/* lcm_convert: from the files of others to one of ours. */
#include "lcm/convert.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "lcm/model_import.h"
#include "lcm_revision.h" /* made by the build */
#include "llama/hf.h"
#include "modelfile/model_meta.h"
#include "sonar/blaser.h"
#include "sonar/sonar_import.h"
#include "token/langs.h"
#include "token/spm_check.h"

enum { MAX_FILES = 8, MAX_LANGS_FILE = 1 << 20 };

typedef struct job {
    const lcm_convert_opts *opts;
    const char *out;
    const char *const *path;
    lcm_weights *file[MAX_FILES];
    size_t n;
    uint64_t space; /* of space_of; 0 without */
    json_t *provenance;
} job;

static_assert((int)LCM_LOAD_ENCODER == (int)LCM_SONAR_ENCODER && (int)LCM_LOAD_DECODER == (int)LCM_SONAR_DECODER, "parts");
static_assert((int)LCM_EXPORT_F32 == (int)LCM_IMPORT_F32 && (int)LCM_EXPORT_F16 == (int)LCM_IMPORT_F16, "types");

/* ---- SONAR ---- */

static lcm_status split_langs(lcm_ctx *ctx, const char **out, int *n, char *text) {
    char *save = NULL;
    for (char *p = strtok_r(text, " \t\r\n,", &save); p; p = strtok_r(NULL, " \t\r\n,", &save)) {
        if (*n == LCM_TOKENIZER_MAX_LANGS) LCM_FAIL(ctx, LCM_ERR_LIMIT, "more than %d languages", LCM_TOKENIZER_MAX_LANGS);
        out[(*n)++] = p;
    }
    return LCM_OK;
}

static lcm_status convert_sonar(lcm_ctx *ctx, job *j) {
    const char *langs[LCM_TOKENIZER_MAX_LANGS];
    lcm_sonar_source src[MAX_FILES];
    lcm_sonar_import_opts o = {.parts = j->opts->parts, .dtype = j->opts->dtype, .set = j->opts->set, .n_set = j->opts->n_set,
                               .space = j->space, .provenance = j->provenance};
    lcm_buf model = {0}, text = {0};
    lcm_status st = LCM_OK;
    const char *l = j->opts->langs;
    if (j->opts->tokenizer == NULL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a SONAR model file holds its tokenizer: give the SentencePiece model, too");
    if (l && strcmp(l, "nllb") == 0) o.langs = lcm_sonar_lang_codes(), o.n_langs = LCM_SONAR_LANGS;
    else if (l) {
        o.langs = langs;
        if (strcmp(l, "none") != 0) st = lcm_read_file(ctx, &text, l, MAX_LANGS_FILE);
        if (st == LCM_OK && text.len) st = split_langs(ctx, langs, &o.n_langs, text.data);
    }
    if (st == LCM_OK) st = lcm_read_file(ctx, &model, j->opts->tokenizer, LCM_SPM_MAX_BYTES);
    o.tokenizer = model.data;
    o.tokenizer_len = model.len;
    for (size_t i = 0; i < j->n; i++) src[i] = (lcm_sonar_source){j->file[i], j->path[i]};
    if (st == LCM_OK) st = lcm_sonar_import(ctx, j->out, src, j->n, &o);
    lcm_buf_free(&model);
    lcm_buf_free(&text);
    return st;
}

/* ---- What computes with SONAR's vectors: one file, and somebody must say which SONAR ---- */

static lcm_status check_single(lcm_ctx *ctx, const job *j) {
    if (j->n != 1) LCM_FAIL(ctx, LCM_ERR_ARG, "such a model is one file, %zu are given", j->n);
    if (j->opts->space_of == NULL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "no tensor says which SONAR model's vectors it works with: give the converted encoder (space-of)");
    return LCM_OK;
}

static lcm_status convert_lcm(lcm_ctx *ctx, job *j) {
    lcm_model_import_opts o = {.dtype = j->opts->dtype, .set = j->opts->set, .n_set = j->opts->n_set, .space = j->space,
                               .provenance = j->provenance};
    LCM_TRY(check_single(ctx, j));
    return lcm_model_import(ctx, j->out, j->file[0], &o);
}

static lcm_status convert_blaser(lcm_ctx *ctx, job *j) {
    const lcm_convert_opts *o = j->opts;
    LCM_TRY(check_single(ctx, j));
    return lcm_blaser_import(ctx, j->out, j->file[0], o->dtype, o->set, o->n_set, j->space, j->provenance);
}

/* ---- What there is: one line per source ---- */

static const struct {
    const char *kind;
    bool (*is)(const lcm_weights *w);
    lcm_status (*convert)(lcm_ctx *ctx, job *j);
} sources[] = {
    {"sonar", lcm_sonar_import_is, convert_sonar},
    {"lcm", lcm_model_import_is, convert_lcm},
    {"blaser", lcm_blaser_import_is, convert_blaser},
};
enum { N_SOURCES = sizeof sources / sizeof *sources };

static lcm_status choose(lcm_ctx *ctx, const job *j, int *which) {
    const char *kind = j->opts->kind;
    for (*which = 0; *which < N_SOURCES; ++*which)
        if ((kind == NULL || strcmp(sources[*which].kind, kind) == 0) && sources[*which].is(j->file[0])) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "'%s': %s, but its tensors are not those of a %.40s that can be converted", j->path[0],
             lcm_weights_layout(j->file[0]), kind ? kind : "model");
}

static const char *base_name(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

/* Names without folders: where a file lay is nobody's business. */
static lcm_status make_provenance(lcm_ctx *ctx, job *j) {
    json_t *from = json_array();
    for (size_t i = 0; i < j->n; i++) {
        const char *name = base_name(j->path[i]);
        bool good = lcm_utf8_valid_prefix(name, strlen(name)) == strlen(name);
        json_array_append_new(from, json_pack("{s:s, s:s}", "file", good ? name : "?", "layout", lcm_weights_layout(j->file[i])));
    }
    j->provenance = json_pack("{s:s, s:o}", "program", "lcm " LCM_VERSION, "converted_from", from);
    return j->provenance ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
}

static lcm_status read_space(lcm_ctx *ctx, uint64_t *space, const char *path) {
    lcm_model_meta meta;
    lcm_st *st;
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, NULL));
    *space = meta.space;
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    return LCM_OK;
}

/* ---- A Llama of Hugging Face: a folder, not files ---- */

static lcm_status write_llama(lcm_ctx *ctx, const job *j, const lcm_llama_file *f) {
    lcm_dtype dtype = j->opts->dtype == LCM_EXPORT_F16 ? LCM_DT_F16 : LCM_DT_F32;
    lcm_buf bytes = {0};
    lcm_status st = lcm_llama_write(ctx, &bytes, f->model, NULL, f->tok, dtype, j->provenance, NULL);
    if (st == LCM_OK) st = lcm_write_file(ctx, j->out, bytes.data, bytes.len);
    lcm_buf_free(&bytes);
    return st;
}

static lcm_status convert_folder(lcm_ctx *ctx, job *j) {
    const lcm_convert_opts *o = j->opts;
    lcm_llama_file f;
    lcm_status st;
    if (o->kind && strcmp(o->kind, "llama") != 0) LCM_FAIL(ctx, LCM_ERR_ARG, "a folder is read as a llama, not as '%.40s'", o->kind);
    if (o->parts || o->tokenizer || o->langs || o->space_of || o->n_set)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a folder of Hugging Face says all there is to say: only kind and dtype can be given");
    LCM_TRY(lcm_llama_import_hf(ctx, &f, j->path[0]));
    j->provenance = json_pack("{s:s, s:[{s:s}]}", "program", "lcm " LCM_VERSION, "converted_from", "layout", "Hugging Face llama folder");
    st = j->provenance ? write_llama(ctx, j, &f) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    if (st == LCM_OK) lcm_log(ctx, LCM_LOG_INFO, "llama: %lld parameters", (long long)f.model->params.count);
    lcm_llama_file_close(&f);
    return st;
}

static lcm_status convert(lcm_ctx *ctx, job *j) {
    int which;
    for (size_t i = 0; i < j->n; i++) {
        LCM_TRY(lcm_weights_open(ctx, &j->file[i], j->path[i]));
        if (lcm_weights_meta(j->file[i], "lcm.kind"))
            LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' is a model file of lcm already", j->path[i]);
    }
    if (j->opts->space_of) LCM_TRY(read_space(ctx, &j->space, j->opts->space_of));
    LCM_TRY(make_provenance(ctx, j));
    LCM_TRY(choose(ctx, j, &which));
    return sources[which].convert(ctx, j);
}

lcm_status lcm_convert(lcm_ctx *ctx, const char *out, const char *const *src, size_t n, const lcm_convert_opts *opts) {
    static const lcm_convert_opts none;
    job j = {.opts = opts ? opts : &none, .out = out, .path = src, .n = n};
    lcm_status st;
    if (n < 1 || n > MAX_FILES) LCM_FAIL(ctx, LCM_ERR_ARG, "%zu files to convert, 1 to %d are allowed", n, MAX_FILES);
    if (j.opts->dtype < LCM_EXPORT_KEEP || j.opts->dtype > LCM_EXPORT_F16) LCM_FAIL(ctx, LCM_ERR_ARG, "convert: dtype %d", j.opts->dtype);
    if (j.opts->parts < 0 || j.opts->parts > LCM_SONAR_BOTH) LCM_FAIL(ctx, LCM_ERR_ARG, "convert: parts %d", j.opts->parts);
    st = n == 1 && lcm_is_dir(src[0]) ? convert_folder(ctx, &j) : convert(ctx, &j);
    for (size_t i = 0; i < n; i++) lcm_weights_close(j.file[i]);
    json_decref(j.provenance);
    return st;
}
