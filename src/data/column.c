/* Columns beside a concept store. */
#include "data/column.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lcm_status column_path(lcm_ctx *ctx, char *path, const lcm_store *s, const char *name) {
    char file[80];
    snprintf(file, sizeof file, "%s.safetensors", name);
    return lcm_path_join(ctx, path, LCM_PATH_MAX, lcm_store_dir(s), file);
}

static void store_id(char hex[17], const lcm_store *s) { snprintf(hex, 17, "%016" PRIx64, lcm_store_hash(s)); }

static lcm_status fill(lcm_ctx *ctx, lcm_st_writer *w, const lcm_store *s, const char *name, const real *x,
                       const char *origin) {
    int64_t n = lcm_store_n_concepts(s);
    char id[17];
    store_id(id, s);
    LCM_TRY(lcm_st_writer_add_real(ctx, w, name, LCM_DT_F32, &n, 1, x));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.format", "1"));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.kind", "concept_column"));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.space", lcm_store_space(s)));
    LCM_TRY(lcm_st_writer_meta(ctx, w, "lcm.store", id));
    return lcm_st_writer_meta(ctx, w, "lcm.config", origin);
}

lcm_status lcm_column_write(lcm_ctx *ctx, const lcm_store *s, const char *name, const real *x, const json_t *origin) {
    char path[LCM_PATH_MAX], *text = json_dumps(origin, JSON_COMPACT | JSON_SORT_KEYS);
    lcm_st_writer *w = NULL;
    lcm_status st = text ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: column '%s'", name);
    if (st == LCM_OK) st = column_path(ctx, path, s, name);
    if (st == LCM_OK) st = lcm_st_writer_new(ctx, &w);
    if (st == LCM_OK) st = fill(ctx, w, s, name, x, text);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, path);
    if (w) lcm_st_writer_free(w);
    free(text);
    return st;
}

static lcm_status read_column(lcm_ctx *ctx, real *x, const lcm_store *s, const lcm_st *st, const char *name) {
    const char *kind = lcm_st_meta(st, "lcm.kind"), *id = lcm_st_meta(st, "lcm.store");
    int64_t n = lcm_store_n_concepts(s);
    const lcm_st_tensor *t;
    char want[17];
    store_id(want, s);
    if (kind == NULL || strcmp(kind, "concept_column") != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "no column of a concept store");
    if (id == NULL || strcmp(id, want) != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "made for another store than '%s'", lcm_store_dir(s));
    LCM_TRY(lcm_st_require(ctx, &t, st, name, &n, 1));
    LCM_TRY(lcm_st_read_real(ctx, x, t, n));
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) LCM_FAIL(ctx, LCM_ERR_FORMAT, "value %" PRId64 " of '%s' is not finite", i, name);
    return LCM_OK;
}

lcm_status lcm_column_read(lcm_ctx *ctx, real *x, const lcm_store *s, const char *name) {
    char path[LCM_PATH_MAX];
    lcm_st *st;
    lcm_status status;
    LCM_TRY(column_path(ctx, path, s, name));
    LCM_TRY(lcm_st_open(ctx, &st, path));
    status = read_column(ctx, x, s, st, name);
    lcm_st_close(st);
    return status ? lcm_fail_within(ctx, status, "'%s'", path) : LCM_OK;
}
