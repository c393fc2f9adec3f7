/* include/lcm/modelinfo.h over the safetensors reader. */
#include "lcm/modelinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/safetensors.h"

struct lcm_modelinfo {
    lcm_st *file;
};

static_assert((int)LCM_MODELINFO_MAX_RANK == (int)LCM_ST_MAX_RANK, "ranks of the file and of the public structure");

lcm_status lcm_modelinfo_open(lcm_ctx *ctx, lcm_modelinfo **out, const char *path) {
    lcm_modelinfo *info;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &info, 1, sizeof *info));
    st = lcm_st_open(ctx, &info->file, path);
    if (st) {
        free(info);
        return st;
    }
    *out = info;
    return LCM_OK;
}

void lcm_modelinfo_close(lcm_modelinfo *info) {
    if (info == NULL) return;
    lcm_st_close(info->file);
    free(info);
}

const char *lcm_modelinfo_meta(const lcm_modelinfo *info, const char *key) { return lcm_st_meta(info->file, key); }

const char *lcm_modelinfo_meta_key(const lcm_modelinfo *info, size_t i) { return lcm_st_meta_key(info->file, i); }

size_t lcm_modelinfo_count(const lcm_modelinfo *info) { return lcm_st_count(info->file); }

/* Bits of the exponent, all of which are set in NaN and infinity; 0 for integers. */
static uint64_t exponent_mask(lcm_dtype t) {
    switch (t) {
    case LCM_DT_F64: return UINT64_C(0x7ff0000000000000);
    case LCM_DT_F32: return 0x7f800000;
    case LCM_DT_F16: return 0x7c00;
    case LCM_DT_BF16: return 0x7f80;
    default: return 0;
    }
}

void lcm_modelinfo_tensor(const lcm_modelinfo *info, size_t i, lcm_tensor_info *out) {
    const lcm_st_tensor *t = lcm_st_at(info->file, i);
    memset(out, 0, sizeof *out);
    out->name = t->name;
    out->dtype = lcm_dtype_name(t->dtype);
    out->is_float = exponent_mask(t->dtype) != 0;
    out->ndim = t->ndim;
    memcpy(out->dims, t->dims, sizeof out->dims);
    out->elements = lcm_st_elements(t);
    out->bytes = t->nbytes;
}

/* An int8 matrix lies beside its scales, NAME.scale. */
static const lcm_st_tensor *scales_of(const lcm_st *st, const lcm_st_tensor *t) {
    char name[LCM_ST_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.scale", t->name);
    return t->dtype == LCM_DT_U8 && t->ndim == 4 ? lcm_st_find(st, name) : NULL;
}

int64_t lcm_modelinfo_parameters(const lcm_modelinfo *info) {
    int64_t n = 0; /* the bytes of all tensors lie in one file: no overflow */
    for (size_t i = 0; i < lcm_st_count(info->file); i++) {
        const lcm_st_tensor *t = lcm_st_at(info->file, i), *scales = scales_of(info->file, t);
        if (exponent_mask(t->dtype)) n += lcm_st_elements(t);
        if (scales) n += lcm_st_elements(t) - lcm_st_elements(scales);
    }
    return n;
}

void lcm_modelinfo_nonfinite(const lcm_modelinfo *info, size_t i, int64_t *nans, int64_t *infs) {
    const lcm_st_tensor *t = lcm_st_at(info->file, i);
    uint64_t mask = exponent_mask(t->dtype);
    size_t size = lcm_dtype_size(t->dtype);
    const char *p = t->data;
    *nans = *infs = 0;
    if (mask == 0) return;
    for (size_t at = 0; at < t->nbytes; at += size) {
        uint64_t bits = 0; /* little-endian in the file; the loader refuses other machines */
        memcpy(&bits, p + at, size);
        if ((bits & mask) != mask) continue;
        if (bits & ((mask & (~mask + 1)) - 1)) ++*nans; /* fraction: the bits below the exponent */
        else ++*infs;
    }
}
