/* The model file convention. */
#include "modelfile/model_meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

void lcm_space_format(char hex[17], uint64_t space) { snprintf(hex, 17, "%016" PRIx64, space); }

bool lcm_space_parse(uint64_t *space, const char *hex) {
    uint64_t h = 0;
    if (strspn(hex, "0123456789abcdef") != 16 || hex[16] != '\0') return false;
    for (int i = 0; i < 16; i++) h = h << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    *space = h;
    return true;
}

static bool good_kind(const char *kind) {
    size_t n = strlen(kind);
    return n > 0 && n < LCM_KIND_CAP && strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

lcm_status lcm_model_meta_put(lcm_ctx *ctx, lcm_st_writer *w, const char *key, const json_t *obj) {
    char *text;
    lcm_status st;
    if (!json_is_object(obj)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s: a JSON object is required", key);
    text = json_dumps(obj, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %s", key);
    st = lcm_st_writer_meta(ctx, w, key, text);
    free(text);
    return st;
}

lcm_status lcm_model_meta_write(lcm_ctx *ctx, lcm_st_writer *w, const char *kind, uint64_t space, const json_t *config,
                                const json_t *provenance) {
    char format[16], hex[17];
    if (!good_kind(kind)) LCM_FAIL(ctx, LCM_ERR_ARG, "lcm.kind: '%.40s' is not 1 to 31 of a-z 0-9 _", kind);
    snprintf(format, sizeof format, "%d", LCM_MODEL_FORMAT);
    lcm_space_format(hex, space);
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.format", format));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.kind", kind));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.space", hex));
    LCM_TRY(lcm_model_meta_put(ctx, w, "lcm.config", config));
    return provenance ? lcm_model_meta_put(ctx, w, "lcm.provenance", provenance) : LCM_OK;
}

static lcm_status require(lcm_ctx *ctx, const char **value, const lcm_st *st, const char *key) {
    *value = lcm_st_meta(st, key);
    if (*value == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "not a model of lcm: its metadata has no '%s'", key);
    return LCM_OK;
}

static lcm_status check_format(lcm_ctx *ctx, const lcm_st *st) {
    const char *s;
    size_t n;
    LCM_TRY(require(ctx, &s, st, "lcm.format"));
    n = strlen(s);
    if (n == 0 || strspn(s, "0123456789") != n || s[0] == '0')
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "lcm.format: '%.20s' is not a version number", s);
    if (n > 9 || strtol(s, NULL, 10) > LCM_MODEL_FORMAT)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "model format %.20s, this build reads up to %d", s, LCM_MODEL_FORMAT);
    return LCM_OK;
}

static lcm_status read_object(lcm_ctx *ctx, json_t **out, const lcm_st *st, const char *key) {
    const char *text;
    LCM_TRY(require(ctx, &text, st, key));
    LCM_TRY(lcm_json_parse(ctx, out, text, strlen(text), key));
    if (!json_is_object(*out)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: a JSON object is required", key);
    return LCM_OK;
}

static lcm_status read_meta(lcm_ctx *ctx, lcm_model_meta *m, const lcm_st *st) {
    const char *kind, *space;
    LCM_TRY(check_format(ctx, st));
    LCM_TRY(require(ctx, &kind, st, "lcm.kind"));
    if (!good_kind(kind)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "lcm.kind: '%.40s' is not 1 to 31 of a-z 0-9 _", kind);
    memcpy(m->kind, kind, strlen(kind) + 1);
    LCM_TRY(require(ctx, &space, st, "lcm.space"));
    if (!lcm_space_parse(&m->space, space))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "lcm.space: '%.40s' is not 16 hex digits", space);
    LCM_TRY(read_object(ctx, &m->config, st, "lcm.config"));
    LCM_TRY(lcm_train_record_read(ctx, &m->train, st));
    if (lcm_st_meta(st, "lcm.prompt")) LCM_TRY(read_object(ctx, &m->prompt, st, "lcm.prompt"));
    if (lcm_st_meta(st, "lcm.provenance")) return read_object(ctx, &m->provenance, st, "lcm.provenance");
    m->provenance = json_object();
    if (m->provenance == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory");
    return LCM_OK;
}

lcm_status lcm_model_meta_read(lcm_ctx *ctx, lcm_model_meta *out, const lcm_st *st) {
    lcm_status status;
    memset(out, 0, sizeof *out);
    status = read_meta(ctx, out, st);
    if (status) lcm_model_meta_free(out);
    return status;
}

void lcm_model_meta_free(lcm_model_meta *m) {
    json_decref(m->config);
    json_decref(m->provenance);
    json_decref(m->prompt);
    memset(m, 0, sizeof *m);
}

lcm_status lcm_model_blame(lcm_status st) {
    return st == LCM_ERR_NOTFOUND || st == LCM_ERR_NUMERIC || st == LCM_ERR_ARG ? LCM_ERR_FORMAT : st;
}

lcm_status lcm_model_open(lcm_ctx *ctx, lcm_st **st, lcm_model_meta *meta, const char *path, const char *kind) {
    lcm_status status;
    memset(meta, 0, sizeof *meta);
    LCM_TRY(lcm_st_open(ctx, st, path));
    status = lcm_model_meta_read(ctx, meta, *st);
    if (status == LCM_OK && kind && strcmp(kind, meta->kind) != 0)
        status = lcm_fail(ctx, LCM_ERR_FORMAT, "is a model of kind '%s', expected '%s'", meta->kind, kind);
    if (status == LCM_OK) return LCM_OK;
    lcm_fail_within(ctx, status, "'%s'", path);
    lcm_model_meta_free(meta);
    lcm_st_close(*st);
    *st = NULL;
    return status;
}

lcm_status lcm_model_check_space(lcm_ctx *ctx, uint64_t concepts, const char *what, uint64_t sonar) {
    if (concepts != sonar)
        LCM_FAIL(ctx, LCM_ERR_ARG, "%s was made for the SONAR space %016" PRIx64 ", but the SONAR model given speaks %016" PRIx64,
                 what, concepts, sonar);
    return LCM_OK;
}
