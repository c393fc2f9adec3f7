/* lcm.train. */
#include "modelfile/train_record.h"

#include <stdlib.h>
#include <string.h>

static const char key[] = "lcm.train";

const lcm_field lcm_train_record_fields[] = {
    LCM_F_INT(lcm_train_record, steps, 0, 9007199254740992.0, "optimiser steps"),
    LCM_F_REAL(lcm_train_record, items, 0, 1e30, "items read"),
    LCM_F_STRING(lcm_train_record, unit, "what an item is"),
    LCM_F_REAL(lcm_train_record, flops, 0, 1e40, "floating-point operations"),
    LCM_F_REAL(lcm_train_record, seconds, 0, 1e15, "wall clock"),
    LCM_F_INT(lcm_train_record, seed, 0, 9007199254740992.0, "seed of the run"),
    LCM_F_INT(lcm_train_record, trained, 0, 9007199254740992.0, "parameters that training moves"),
    LCM_F_INT(lcm_train_record, fixed, 0, 9007199254740992.0, "parameters that it does not"),
    LCM_F_END};

lcm_status lcm_train_record_write(lcm_ctx *ctx, lcm_st_writer *w, const lcm_train_record *r) {
    json_t *obj = lcm_config_write(r, lcm_train_record_fields);
    char *text = obj ? json_dumps(obj, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    lcm_status st = text ? lcm_st_writer_meta(ctx, w, key, text) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: %s", key);
    free(text);
    json_decref(obj);
    return st;
}

lcm_status lcm_train_record_read(lcm_ctx *ctx, lcm_train_record *out, const lcm_st *st) {
    const char *text = lcm_st_meta(st, key);
    lcm_train_record r = {0};
    json_t *obj;
    lcm_status status;
    memset(out, 0, sizeof *out);
    if (text == NULL) return LCM_OK;
    LCM_TRY(lcm_json_parse(ctx, &obj, text, strlen(text), key));
    status = lcm_config_read(ctx, &r, lcm_train_record_fields, obj, key);
    json_decref(obj);
    if (status == LCM_ERR_ARG) return LCM_ERR_FORMAT; /* the file's fault, not the caller's; the message stands */
    if (status == LCM_OK) *out = r;
    return status;
}
